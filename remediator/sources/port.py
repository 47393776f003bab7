"""The source port: batches of records with the positions that make them countable exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from remediator.model.record import Record
from remediator.model.time import Instant


class Lost(msgspec.Struct, frozen=True):
    """Offsets first..last are gone from the broker (retention, compaction to the end, a recreated topic)."""

    first: int
    last: int
    reason: str


class SourceBatch(msgspec.Struct, frozen=True):
    """Records of one partition, in order, possibly none.

    expected: the position that the store must still hold for this batch to count (None: none was stored yet).
    next_offset: last offset + 1; without records `expected`, or more where offsets hold none (transaction markers).
    partitions: how many partitions the topic has.
    at_head: this poll found the position at the high-water mark of a live broker.
    polled_at: the clock right before the poll that proved at_head.
    """

    topic: str
    partition: int
    partitions: int
    records: Sequence[Record]
    expected: int | None
    next_offset: int
    at_head: bool
    polled_at: Instant
    lost: Lost | None = None


class PositionReader(Protocol):
    """How a source learns where its owner stands: the store's `progress`, bound to the feed."""

    async def __call__(self, topic: str) -> dict[int, int]:
        """Partition -> next offset."""


class Source(Protocol):
    """Contract of every source. Memory is bounded: `poll` hands over what the last call left room for."""

    async def start(self) -> None:
        """Connect; keep trying in the background while the other side is away."""

    async def poll(self) -> list[SourceBatch]:
        """The next batches, waiting a bounded time (at most about a second) for the first record.

        After it returned a batch, the next batch of that partition has this one's next_offset as `expected`.
        """

    async def reseek(self, topic: str, partition: int) -> None:
        """The store refused the batch: forget what was read of it and go on from the stored position."""

    async def stop(self) -> None:
        """Leave cleanly within a few seconds. Idempotent."""

    def healthy(self) -> bool:
        """Is the other side answering? False while it does not."""
