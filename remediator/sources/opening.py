"""Where reading a partition begins: the decision every source shares, free of any I/O.

Owns the choice between the stored position, the start setting and a gap. Must not talk to a broker or a store.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from remediator.sources.port import Lost

Start = Literal["earliest", "latest"]
"""Where a feed begins that was never read before."""

UNKNOWN = -1
"""Stands for both ends of a loss whose offsets nobody can tell any more."""


class Opening(msgspec.Struct, frozen=True):
    """expected: what the store holds (None: nothing). position: the offset to read next. lost: what is missing."""

    expected: int | None
    position: int
    lost: Lost | None = None

    @property
    def pins(self) -> bool:
        """Must it be committed before any record, because it says more than the store already knows?"""
        return self.lost is not None or self.expected is None


def open_partition(stored: int | None, start: Start, beginning: int, end: int) -> Opening:
    """Decide from the stored position and the broker's [beginning, end) where to read on.

    A position below `beginning` was overtaken by retention; one above `end` belongs to an earlier incarnation of
    the topic, of whose rest and of whose successor's start nothing is known.
    """
    if stored is None:
        return Opening(None, end if start == "latest" else beginning)
    if stored < beginning:
        return Opening(stored, beginning, Lost(stored, beginning - 1, "retention"))
    if stored > end:
        return Opening(stored, beginning, Lost(UNKNOWN, UNKNOWN, "recreated"))
    return Opening(stored, stored)
