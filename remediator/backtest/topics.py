"""A feed's topics from a moment to their present ends, in the order in which they were received.

Owns the consumer and the merge of partitions. Joins no group and commits nothing; what is buffered is bounded by one
poll of each partition.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from remediator.model.record import Record
from remediator.model.time import MILLISECOND, Instant
from remediator.sources.kafka_link import close_consumer
from remediator.sources.kafka_settings import KafkaSettings

PER_PARTITION = 500
SILENCE_S = 30.0
"""A broker that gives nothing for so long, though there is more, is not waited for."""
ASK_S = 15.0


class Unreadable(Exception):  # noqa: N818  (what the topics are)
    """The topics cannot be read; the text says why."""


async def read_topics(
    settings: KafkaSettings,
    since: Instant,
    most: int,
    take: Callable[[Record], None],
    progress: Callable[[int, int], None],
) -> bool:
    """Hand over at most `most` records. progress: (done, known to be there). Returns whether there were more.

    Raises Unreadable.
    """
    try:
        consumer = AIOKafkaConsumer(**_options(settings))
    except OSError as error:
        raise Unreadable(f"the certificate files cannot be used: {error}") from None
    try:
        await _connect(consumer, settings)
        async with asyncio.timeout(ASK_S):
            spans = await _spans(consumer, settings, since)
        return await _Merge(consumer, spans).run(most, take, progress)
    except (KafkaError, OSError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
    except TimeoutError:
        raise Unreadable("the broker does not answer") from None
    finally:
        await close_consumer(consumer)


async def _connect(consumer: AIOKafkaConsumer, settings: KafkaSettings) -> None:
    try:
        await consumer.start()
    except (KafkaError, OSError) as error:
        raise Unreadable(f"cannot connect to {', '.join(settings.bootstrap)}: {error}") from None


def _options(settings: KafkaSettings) -> dict[str, Any]:
    options = settings.consumer_options()
    return options | {"group_id": None, "group_instance_id": None, "client_id": "remediator-backtest"}


async def _spans(
    consumer: AIOKafkaConsumer, settings: KafkaSettings, since: Instant
) -> dict[TopicPartition, tuple[int, int]]:
    """Partition -> (where to begin, where to end), without the empty ones. Begins at `since`, or with the oldest."""
    existing = await consumer.topics()
    wanted = [one for one in existing if re.fullmatch(settings.pattern, one)] if settings.pattern else settings.topics
    if missing := sorted(set(wanted) - existing):
        raise Unreadable(f"topics that do not exist or may not be read: {', '.join(missing)}")
    partitions = [
        TopicPartition(topic, number)
        for topic in sorted(wanted)
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]
    if not partitions:
        return {}
    ends = await consumer.end_offsets(partitions)
    first = await consumer.beginning_offsets(partitions)
    if since > 0:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since // MILLISECOND))
        first |= {one: at.offset if at and at.timestamp >= 0 else ends[one] for one, at in found.items()}
    consumer.assign(partitions)
    for one in partitions:
        consumer.seek(one, first[one])
    return {one: (first[one], ends[one]) for one in partitions if first[one] < ends[one]}


class _Merge:
    """Always the oldest record of all partitions that are not at their end."""

    def __init__(self, consumer: AIOKafkaConsumer, spans: dict[TopicPartition, tuple[int, int]]) -> None:
        self._consumer = consumer
        self._ends = {partition: end for partition, (_, end) in spans.items()}
        self._buffers: dict[TopicPartition, deque[ConsumerRecord]] = {one: deque() for one in spans}
        self._seen: set[TopicPartition] = set()
        self._total = sum(end - first for first, end in spans.values())

    async def run(self, most: int, take: Callable[[Record], None], progress: Callable[[int, int], None]) -> bool:
        for done in range(most + 1):
            await self._fill()
            if not self._buffers:
                return False
            if done == most:
                return True
            oldest = min(self._buffers.values(), key=lambda one: (one[0].timestamp, one[0].topic, one[0].partition))
            take(_record(oldest.popleft()))
            if done % PER_PARTITION == 0:
                progress(done, min(most, self._total))
        return False

    async def _fill(self) -> None:
        """Until every partition has a record at hand, or nothing more before its end."""
        while dry := [one for one, waiting in self._buffers.items() if not waiting]:
            for one in [one for one in dry if await self._consumer.position(one) >= self._ends[one]]:
                del self._buffers[one]
                dry.remove(one)
            if not dry:
                return
            async with asyncio.timeout(SILENCE_S):
                found = await self._consumer.getmany(*dry, timeout_ms=1_000, max_records=PER_PARTITION)
            for one, records in found.items():
                self._see_end(one)
                self._buffers[one].extend(record for record in records if record.offset < self._ends[one])

    def _see_end(self, one: TopicPartition) -> None:
        """The first fetch knows the end better than the broker that was asked for it (the embedded one is behind)."""
        if one not in self._seen:
            self._seen.add(one)
            self._ends[one] = max(self._ends[one], self._consumer.highwater(one) or 0)


def _record(given: ConsumerRecord) -> Record:
    return Record(given.topic, given.partition, given.offset, given.timestamp * MILLISECOND, given.key, given.value)
