"""docs/stories.md: the scripted parts are what is told now (UPDATE_GOLDEN=1 rewrites them, as `make docs` does, which
rewrites those of the demo too); those have what a story has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from remediator.demo.pages import DEMO_PARTS, PAGE, all_scripted, with_ids, with_parts, with_times
from remediator.model.reasons import Reason

PLACE = Path(__file__).parents[3] / PAGE


def parts_of(page: str) -> dict[str, str]:
    """Part -> its text, as the page has it now."""
    pattern = re.compile(r"<!-- begin ([\w-]+) -->\n(.*?)<!-- end \1 -->\n", re.DOTALL)
    return {found[1]: found[2] for found in pattern.finditer(page)}


PARTS = parts_of(PLACE.read_text("utf-8"))
DEMO = [name for name, *_ in DEMO_PARTS]


def test_the_scripted_parts_are_up_to_date() -> None:
    scripted = all_scripted()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        PLACE.write_text(with_parts(PLACE.read_text("utf-8"), scripted), "utf-8")
    found = parts_of(PLACE.read_text("utf-8"))
    assert {name: found.get(name) for name in scripted} == scripted


def test_the_page_has_no_part_that_nobody_writes() -> None:
    assert PARTS.keys() == all_scripted().keys() | set(DEMO)


@pytest.mark.parametrize("name", DEMO)
def test_a_part_of_the_demo_has_what_a_story_has(name: str) -> None:
    blocks = re.findall(r"```console\n(.*?)```\n", PARTS[name], re.DOTALL)
    assert blocks
    for block in blocks:
        command, *told = block.splitlines()
        assert re.fullmatch(r"\$ remediator explain --(incident|action) [0-9a-f]{24}", command)
        assert [line.split()[0] for line in told[:3]] == ["WRONG", "DONE", "LEFT"]
        assert any(re.match(r"  +\+\d", line) for line in told)
        assert [reason for reason in Reason if "_" in reason and reason in block] == []
    assert set(re.findall(r"20\d\d-\d\d-\d\d", PARTS[name])) <= {"2027-01-15"}


def test_the_demo_shows_a_proof_and_an_action() -> None:
    assert "Proved: it helped." in PARTS["demo-healed"]
    assert "remediator explain --action" in PARTS["demo-healed"]


def test_ids_and_times_become_the_same_in_every_run() -> None:
    one, other = "0123456789abcdef01234567", "fedcba9876543210fedcba98"
    text = f"{one} [action {one[:12]}] {other} {one}"
    first, second = with_ids("s", text), with_ids("s", text.replace("0123", "4567"))
    assert first == second
    assert one not in first
    moved = with_times("run__2026-11-23T04:57:25.1+00:00 04%3A57 2026-11-23T04%3A57%3A26", "2026-11-23T04:57:25.5Z")
    assert moved == "run__2027-01-15T08:00:00+00:00 04%3A57 2027-01-15T08%3A00%3A01"


def test_a_part_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for 'x'"):
        with_parts("nothing\n", {"x": "text"})
