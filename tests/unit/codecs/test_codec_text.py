"""Bounds of text: a name must fit an index row, whatever its alphabet."""

from __future__ import annotations

import pytest

from remediator.codecs.text import ID_BYTES, ID_CHARS, cut


@pytest.mark.parametrize("letter", ["a", "ä", "史", "🔥"])
def test_a_name_is_bounded_in_bytes_and_never_cut_inside_a_letter(letter: str) -> None:
    kept = cut(letter * 2 * ID_CHARS)
    assert kept is not None
    assert set(kept) == {letter}
    assert len(kept.encode()) <= ID_BYTES


def test_the_longest_name_that_airflow_has_is_kept() -> None:
    assert cut("史" * 250) == "史" * 250
