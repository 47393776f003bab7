"""Records and dead letters: bytes with a position, before and instead of meaning."""

from __future__ import annotations

import msgspec

from remediator.model.time import Instant


class Record(msgspec.Struct, frozen=True, gc=False):
    """Bytes at a position of a source, as the broker handed them over."""

    topic: str
    partition: int
    offset: int
    timestamp: Instant
    key: bytes | None
    value: bytes | None


class Origin(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Which record: of a source that knows no offsets, whatever it counts its records by."""

    feed: str
    topic: str
    partition: int
    offset: int

    @property
    def text(self) -> str:
        """'main/openlineage[2]@1234', as people write it."""
        return f"{self.feed}/{self.topic}[{self.partition}]@{self.offset}"


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that no codec could read: kept with its reason and position, its bytes cut to a bound."""

    feed: str
    topic: str
    partition: int
    offset: int
    timestamp: Instant
    reason: str
    size: int
    head: bytes


DEAD_LETTER_HEAD_BYTES = 2_048
"""Enough to recognise the producer; the record itself stays in the broker."""
