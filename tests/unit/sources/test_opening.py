"""Where reading begins, over every relation of stored position and broker range."""

from __future__ import annotations

import pytest

from remediator.sources.opening import Opening, Start, open_partition
from remediator.sources.port import Lost


@pytest.mark.parametrize(
    ("stored", "start", "beginning", "end", "opening"),
    [
        (None, "earliest", 3, 9, Opening(None, 3)),
        (None, "latest", 3, 9, Opening(None, 9)),
        (None, "latest", 0, 0, Opening(None, 0)),
        (5, "latest", 3, 9, Opening(5, 5)),
        (3, "latest", 3, 9, Opening(3, 3)),
        (9, "earliest", 3, 9, Opening(9, 9)),
        (2, "latest", 3, 9, Opening(2, 3, Lost(2, 2, "retention"))),
        (0, "latest", 9, 9, Opening(0, 9, Lost(0, 8, "retention"))),
        (10, "latest", 0, 9, Opening(10, 0, Lost(-1, -1, "recreated"))),
        (1, "earliest", 0, 0, Opening(1, 0, Lost(-1, -1, "recreated"))),
    ],
)
def test_opening(stored: int | None, start: Start, beginning: int, end: int, opening: Opening) -> None:
    assert open_partition(stored, start, beginning, end) == opening


def test_only_what_the_store_does_not_know_is_pinned() -> None:
    assert open_partition(None, "latest", 0, 5).pins
    assert open_partition(1, "latest", 2, 5).pins
    assert not open_partition(3, "latest", 2, 5).pins
