"""What docs/rules.md shows is what loads, and what it names is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remediator.rules.fields import FIELDS
from remediator.rules.load import read_rules
from remediator.rules.operators import OPERATORS
from remediator.rules.testfile import read_cases
from remediator.rules.toml import parse_document

TEXT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_toml_block_loads(block: str) -> None:
    document = parse_document(block, "docs/rules.md")
    if "case" in document.data:
        assert read_cases(document, ["task-lost-connection"])
    else:
        assert read_rules(document, None, "docs/rules.md")
        document.check()


def test_there_are_blocks_to_load() -> None:
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("name", [*FIELDS, *OPERATORS])
def test_every_field_and_operator_is_named(name: str) -> None:
    assert re.search(rf"`[^`\n]*\b{re.escape(name)}\b[^`\n]*`|^.*\b{re.escape(name)} = ", TEXT, re.MULTILINE)
