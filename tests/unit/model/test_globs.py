"""Globs: one dialect, whether one text is tried or a rule's pattern is compiled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.globs import any_covers, covers
from remediator.rules.globs import compile_pattern, glob_pattern, utf8

PARTS = ("*", "?", "a", "b", "B", ".", "^", "\\", "/", "é", "\n", "[ab]", "[!a]", "[a-c]", "[!a-c]", "[^a]", "[")


@pytest.mark.parametrize(
    ("glob", "text", "is_covered"),
    [
        ("prod/*", "prod/orders/load", True),
        ("prod/*", "Prod/orders", False),
        ("load_?", "load_12", False),
        ("[!a-c]x", "dx", True),
        ("[!a-c]x", "bx", False),
        ("[a", "[a", True),
        ("[z-a]", "m", False),
    ],
)
def test_what_a_glob_covers(glob: str, text: str, is_covered: bool) -> None:
    assert covers(glob, text) is is_covered
    assert any_covers(("never", glob), text) is is_covered


@given(st.lists(st.sampled_from(PARTS), max_size=6).map("".join), st.text("abcB.^\\/é\n[", max_size=6))
def test_rules_read_the_same_dialect(glob: str, text: str) -> None:
    compiled = compile_pattern(glob_pattern(glob))
    assert (compiled.search(utf8(text)) is not None) is covers(glob, text)
