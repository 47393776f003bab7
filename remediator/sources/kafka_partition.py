"""What a Kafka source remembers of one partition, and how client records become ours.

Owns the bookkeeping of positions between two polls. Must not talk to the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from remediator.model.record import Record
from remediator.model.time import Instant
from remediator.sources.port import Lost, SourceBatch

RETRIES = 3
"""How often a batch that cannot be decoded is fetched again before it is given up."""


class Partition:
    """position: the offset that was handed over last, plus one: what the next batch expects the store to hold.

    careful: read record by record, because something in this partition could not be decoded.
    cursor: while a broken batch is being skipped, where the client was sent to look for its end.
    beyond_since: since when the broker has shown an end below the position, None while it does not.
    """

    def __init__(self, topic: str, number: int, partitions: int, position: int) -> None:
        self.topic = topic
        self.number = number
        self.partitions = partitions
        self.position = position
        self.cursor = position
        self.careful = False
        self.failures = 0
        self.told_at: Instant | None = None
        self.beyond_since: float | None = None

    def batch(self, records: Sequence[Record], next_offset: int, end: int | None, asked_at: Instant,
              lost: Lost | None = None) -> SourceBatch:  # fmt: skip
        """The next batch; `end` is the proven end offset, None if there is no proof."""
        at_head = end is not None and next_offset >= end
        expected, self.position, self.cursor = self.position, next_offset, next_offset
        if at_head:
            self.told_at = asked_at
        return SourceBatch(
            topic=self.topic,
            partition=self.number,
            partitions=self.partitions,
            records=records,
            expected=expected,
            next_offset=next_offset,
            at_head=at_head,
            polled_at=asked_at,
            lost=lost,
        )

    def seconds_beyond(self, end: int, now: float) -> float:
        """How long the position has been behind the end without a break; 0 if it is not."""
        if end >= self.position:
            self.beyond_since = None
            return 0.0
        if self.beyond_since is None:
            self.beyond_since = now
        return now - self.beyond_since

    def broke(self) -> bool:
        """A read at the cursor failed again. True: the cursor moved on, over one more offset of the broken batch."""
        self.failures += 1
        if self.failures < RETRIES:
            return False
        self.cursor += 1
        return True

    def healed(self) -> Lost | None:
        """A read at the cursor went well: what was skipped to get there, if anything."""
        self.failures = 0
        return Lost(self.position, self.cursor - 1, "corrupt") if self.cursor > self.position else None


def convert(topic: str, partition: int, records: Iterable[Any]) -> list[Record]:
    """Client records -> Records. A record of the oldest format has no time; it gets 0."""
    try:
        return [Record(topic, partition, r.offset, r.timestamp * 1000, r.key, r.value) for r in records]
    except TypeError:
        return [Record(topic, partition, r.offset, (r.timestamp or 0) * 1000, r.key, r.value) for r in records]
