"""A source over logs in memory, for simulations and tests.

Owns a log per partition with retention and holes, and the port over it. Awaits nothing but `pause` and the position
reader, so that a simulation decides the order of everything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence

from remediator.model.record import Record
from remediator.model.time import Instant
from remediator.sources.opening import Opening, Start, open_partition
from remediator.sources.port import PositionReader, SourceBatch

Pause = Callable[[str], Awaitable[None]]
"""A point where others may run; the text names it: 'source.poll', 'source.positions'."""


class MemoryLog:
    """One partition: records in [beginning, end), not every offset of which needs to hold one."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.beginning = 0
        self.end = 0

    def index(self, offset: int) -> int:
        """The index of the first record at or after `offset`."""
        return bisect_left(self.records, offset, key=lambda record: record.offset)


class MemoryTopic:
    """A topic that several sources and a producer share."""

    def __init__(self, name: str, partitions: int = 1) -> None:
        self.name = name
        self._logs = [MemoryLog() for _ in range(partitions)]

    @property
    def partitions(self) -> int:
        return len(self._logs)

    def grow(self, partitions: int) -> None:
        """Add partitions until there are `partitions`."""
        self._logs.extend(MemoryLog() for _ in range(partitions - len(self._logs)))

    def append(
        self, value: bytes | None, *, partition: int = 0, key: bytes | None = None, timestamp: Instant = 0
    ) -> int:
        """Append one record; returns its offset."""
        log = self._logs[partition]
        log.records.append(Record(self.name, partition, log.end, timestamp, key, value))
        log.end += 1
        return log.end - 1

    def skip(self, count: int, *, partition: int = 0) -> None:
        """Use up offsets without records, as aborted transactions and compaction do."""
        self._logs[partition].end += count

    def drop_before(self, offset: int, *, partition: int = 0) -> None:
        """Retention: forget everything below `offset`."""
        log = self._logs[partition]
        log.beginning = min(max(log.beginning, offset), log.end)
        del log.records[: log.index(log.beginning)]

    def recreate(self) -> None:
        """Delete the topic and create it again: empty, from offset 0."""
        self._logs = [MemoryLog() for _ in self._logs]

    def beginning(self, partition: int) -> int:
        return self._logs[partition].beginning

    def end(self, partition: int) -> int:
        return self._logs[partition].end

    def read(self, partition: int, offset: int, limit: int) -> list[Record]:
        """At most `limit` records from `offset` on."""
        log = self._logs[partition]
        first = log.index(offset)
        return log.records[first : first + limit]


class MemorySource:
    """The source port over memory topics.

    Without `assigned` the source owns every partition of every topic, also those that are added later; with it only
    those, plus and minus what `assign` and `revoke` say. `reachable` may be set to False to play a dead broker.
    """

    def __init__(
        self,
        feed: str,
        topics: Sequence[MemoryTopic],
        positions: PositionReader,
        clock: Callable[[], Instant],
        pause: Pause,
        *,
        start: Start = "earliest",
        max_records: int = 500,
        assigned: Iterable[tuple[str, int]] | None = None,
    ) -> None:
        self.feed = feed
        self.reachable = True
        self._topics = {topic.name: topic for topic in topics}
        self._positions = positions
        self._clock = clock
        self._pause = pause
        self._start = start
        self._max_records = max_records
        self._assigned = None if assigned is None else set(assigned)
        self._reading: dict[tuple[str, int], int] = {}
        self._turn = 0
        self._stopped = False

    def assign(self, topic: str, partition: int) -> None:
        """Hand a partition to this source; it begins at the stored position."""
        self._assigned = self._owned() | {(topic, partition)}
        self._reading.pop((topic, partition), None)

    def revoke(self, topic: str, partition: int) -> None:
        """Take a partition away from this source."""
        self._assigned = self._owned() - {(topic, partition)}
        self._reading.pop((topic, partition), None)

    async def start(self) -> None:
        """Nothing to connect to."""
        self._stopped = False

    async def stop(self) -> None:
        """Forget everything that was read."""
        self._stopped = True
        self._reading.clear()

    def healthy(self) -> bool:
        return self.reachable

    async def reseek(self, topic: str, partition: int) -> None:
        """The next poll begins at the stored position again."""
        self._reading.pop((topic, partition), None)

    async def poll(self) -> list[SourceBatch]:
        """Openings of new partitions first, then records; an idle partition says that it is at its head."""
        await self._pause("source.poll")
        if self._stopped or not self.reachable:
            return []
        batches = await self._open_new()
        return batches or self._read_all()

    def _owned(self) -> set[tuple[str, int]]:
        if self._assigned is not None:
            return self._assigned
        return {(name, partition) for name, topic in self._topics.items() for partition in range(topic.partitions)}

    async def _open_new(self) -> list[SourceBatch]:
        batches: list[SourceBatch] = []
        for topic in sorted({topic for topic, partition in self._owned() - self._reading.keys()}):
            await self._pause("source.positions")
            batches += self._open_topic(topic, await self._positions(topic))
        return batches

    def _open_topic(self, name: str, stored: dict[int, int]) -> list[SourceBatch]:
        topic, batches = self._topics[name], []
        start = "earliest" if stored else self._start
        for _, partition in sorted(key for key in self._owned() - self._reading.keys() if key[0] == name):
            beginning, end = topic.beginning(partition), topic.end(partition)
            opening = open_partition(stored.get(partition), start, beginning, end)
            self._reading[name, partition] = opening.position
            if opening.pins:
                batches.append(self._batch(topic, partition, [], opening))
        return batches

    def _read_all(self) -> list[SourceBatch]:
        batches, room = [], self._max_records
        order = sorted(self._reading)
        # Each poll begins with another partition, so that a busy one cannot starve the rest.
        first = self._turn % max(len(order), 1)
        self._turn += 1
        for name, partition in order[first:] + order[:first]:
            topic, position = self._topics[name], self._reading[name, partition]
            opening = open_partition(position, self._start, topic.beginning(partition), topic.end(partition))
            records = topic.read(partition, opening.position, room)
            room -= len(records)
            batches.append(self._batch(topic, partition, records, opening))
        return [batch for batch in batches if batch.records or batch.at_head or batch.lost is not None]

    def _batch(self, topic: MemoryTopic, partition: int, records: list[Record], opening: Opening) -> SourceBatch:
        next_offset = records[-1].offset + 1 if records else opening.position
        self._reading[topic.name, partition] = next_offset
        return SourceBatch(
            topic=topic.name,
            partition=partition,
            partitions=topic.partitions,
            records=records,
            expected=opening.expected,
            next_offset=next_offset,
            at_head=not topic.read(partition, next_offset, 1),
            polled_at=self._clock(),
            lost=opening.lost,
        )
