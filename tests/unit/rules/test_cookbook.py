"""docs/cookbook.md and docs/cookbook/ say the same, lint finds nothing in it, and every rule's own test passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remediator.cli.main import build
from remediator.rules import load
from remediator.rules.lint import lint
from remediator.rules.spec import Rule

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "cookbook"
PAGE = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
RECIPES = [file for file in sorted(FOLDER.glob("*.toml")) if not file.name.endswith(load.TEST_SUFFIX)]
SHOWN = re.compile(r"`?cookbook/([\w.-]+)(?:`|</code></summary>)\n\n```toml\n(.*?)```", re.DOTALL)


def rules_of(file: Path) -> tuple[Rule, ...]:
    return load.load_rules([file], None).rules


def test_the_page_shows_every_file_as_it_is() -> None:
    files = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
    assert dict(SHOWN.findall(PAGE)) == files


def test_the_situations_are_numbered_and_in_the_list_of_contents() -> None:
    numbers = [int(one) for one in re.findall(r"^## (\d+)\. ", PAGE, re.M)]
    assert numbers == list(range(1, len(RECIPES) + 1))
    assert re.findall(r"\]\(#([\w-]+)\)", PAGE) == re.findall(r'<a id="([\w-]+)">', PAGE) == [f.stem for f in RECIPES]
    assert len(RECIPES) >= 20


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_stands_alone_and_is_tested(file: Path) -> None:
    assert lint(load.load_rules([file], None)) == []
    answer = CliRunner().invoke(build(), ["rules", "test", str(file)])
    assert answer.exit_code == 0, answer.output


def test_all_of_them_go_together() -> None:
    spec = load.load_rules([FOLDER], None)
    assert lint(spec) == []
    answer = CliRunner().invoke(build(), ["rules", "test", str(FOLDER)])
    assert answer.exit_code == 0, answer.output


def test_together_they_use_the_whole_language() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in RECIPES)
    keys = ("window", "distinct", "ratio", "sequence", "compound", "hold_for", "ended_by", "once_within", "active",
            "quiet", "during", "group", "budget", "parameters", "defaults", "define", "use", "any", "not", "wait", "if",
            "text", "title", "labels", "on_resolve", "otherwise", "backoff", "field", "matches")  # fmt: skip
    assert [key for key in keys if not re.search(rf"\b{key}\b", text)] == []
