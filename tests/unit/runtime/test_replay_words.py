"""What `replay` says of two things that differ."""

from __future__ import annotations

from remediator.model.outcome import Delivered
from remediator.runtime.replay import SHOWN, both


def test_the_place_where_they_differ_is_shown_however_late_it_comes() -> None:
    alike = "x" * 4 * SHOWN
    said = both(Delivered(f"{alike} one"), Delivered(f"{alike} two"))
    assert "one" in said
    assert "two" in said
    assert len(said) < 2 * SHOWN + 60


def test_short_things_and_nothing_are_shown_whole() -> None:
    assert both(None, 2) == "the store holds nothing; the replay gives 2"
