"""What source tests need around a broker: producers, a position store in memory, and polling with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer

from remediator.model.record import Record
from remediator.model.time import Instant
from remediator.sources.port import Source, SourceBatch

SECONDS = 30.0


def clock() -> Instant:
    """The machine's clock."""
    return time.time_ns() // 1000


async def produce(bootstrap: str, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
    """Send values and wait until the broker has them."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, enable_idempotence=False) as producer:
        for sent in [await producer.send(topic, value, key=b"k", partition=partition) for value in values]:
            await sent


class Progress:
    """The store's progress of one feed: compare-and-swap of positions, and all that came with them."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        self.records: list[Record] = []
        self.batches: list[SourceBatch] = []
        self.refused: list[SourceBatch] = []

    async def read(self, topic: str) -> dict[int, int]:
        return {number: at for (name, number), at in self.positions.items() if name == topic}

    def commit(self, batch: SourceBatch) -> bool:
        """Take the batch if it goes on where the stored position is."""
        key = (batch.topic, batch.partition)
        if self.positions.get(key) != batch.expected:
            self.refused.append(batch)
            return False
        self.positions[key] = batch.next_offset
        self.records.extend(batch.records)
        self.batches.append(batch)
        return True

    def values(self, topic: str | None = None, partition: int | None = None) -> list[bytes | None]:
        return [
            record.value
            for record in self.records
            if topic in (None, record.topic) and partition in (None, record.partition)
        ]

    def heads(self) -> set[tuple[str, int]]:
        """The partitions that were last said to be at their head."""
        last = {(batch.topic, batch.partition): batch.at_head for batch in self.batches}
        return {key for key, at_head in last.items() if at_head}


async def step(source: Source, progress: Progress) -> list[SourceBatch]:
    """One poll, committed the way the matcher does it."""
    batches = await source.poll()
    for batch in batches:
        if not progress.commit(batch):
            await source.reseek(batch.topic, batch.partition)
    return batches


async def step_until(
    progress: Progress, condition: Callable[[], bool], *sources: Source, seconds: float = SECONDS
) -> None:
    """Poll the sources in turn until the condition holds. Raises AssertionError that says how far it came."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{len(progress.records)} records, {progress.positions}, {sources}"
        for source in sources:
            await step(source, progress)
