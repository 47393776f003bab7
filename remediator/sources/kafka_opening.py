"""Where a Kafka source begins to read its partitions: asks broker and store, then decides.

Owns the questions and the rule for partitions that nobody has read yet. Must not seek or read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from remediator.sources.kafka_settings import KafkaSettings
from remediator.sources.opening import Opening, Start, open_partition
from remediator.sources.port import PositionReader

TIMEOUT_SECONDS = 5.0
Range = tuple[int, int]
Stored = dict[str, dict[int, int]]


class Opened(msgspec.Struct, frozen=True):
    """counts: topic -> number of partitions. openings: also of partitions that are somebody else's, where they must
    be pinned together with ours. problem: why some partitions could not be opened."""

    counts: dict[str, int]
    openings: dict[TopicPartition, Opening]
    problem: str


async def look(
    consumer: AIOKafkaConsumer,
    settings: KafkaSettings,
    positions: PositionReader,
    wanted: Collection[TopicPartition],
    late_topics: Collection[str],
    refused: Collection[TopicPartition],
) -> Opened:
    """Decide where to begin with `wanted`. `refused` are those that the broker would not read where they stood.

    Raises what `positions` raises.
    """
    known = sorted(consumer.subscription() | {partition.topic for partition in wanted})
    topics = known if settings.pattern else sorted({partition.topic for partition in wanted})
    stored = {topic: await positions(topic) for topic in topics}
    starts = _starts(settings, stored, late_topics)
    counts = {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in known}
    asked = {*wanted, *_to_pin(settings, stored, starts, counts)}
    ranges, problem = await _ranges(consumer, asked)
    return Opened(counts, _decide(stored, starts, ranges, refused), problem)


def _starts(settings: KafkaSettings, stored: Stored, late_topics: Collection[str]) -> dict[str, Start]:
    """Topic -> where partitions without a stored position begin.

    Where the feed already reads, a partition that nobody has read is new, and nothing of it may be missed.
    """
    feed_known = bool(settings.pattern) and any(stored.values())
    return {
        topic: "earliest" if positions or feed_known or topic in late_topics else settings.start
        for topic, positions in stored.items()
    }


def _to_pin(
    settings: KafkaSettings, stored: Stored, starts: Mapping[str, Start], counts: Mapping[str, int]
) -> set[TopicPartition]:
    """All partitions of every topic that begins at its end: whoever opens the rest of them later finds the topic
    known, and would take them for new ones and read them from their beginning."""
    return {
        TopicPartition(topic, number)
        for topic in stored
        if starts[topic] == "latest"
        for number in range(counts[topic])
    }


def _decide(
    stored: Stored,
    starts: Mapping[str, Start],
    ranges: Mapping[TopicPartition, Range],
    refused: Collection[TopicPartition],
) -> dict[TopicPartition, Opening]:
    openings = {}
    for partition, (beginning, end) in sorted(ranges.items()):
        position = stored[partition.topic].get(partition.partition)
        # A leader that has just been elected may not know yet how far its partition reaches (and the embedded broker
        # never does): that a position lies behind the end is believed only when the broker refuses to read there.
        known_end = end if partition in refused else max(end, position or 0)
        openings[partition] = open_partition(position, starts[partition.topic], beginning, known_end)
    return openings


async def _ranges(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> tuple[dict[TopicPartition, Range], str]:
    """(beginning, end) of each partition that can be asked, and what is wrong with the rest."""
    try:
        return await _ask(consumer, partitions), ""
    except (KafkaError, OSError, TimeoutError) as error:
        problem = f"cannot ask where partitions begin and end: {type(error).__name__} {error}"
    # One partition without a leader must not keep the others from being read.
    answers = await asyncio.gather(*(_ask(consumer, [one]) for one in partitions), return_exceptions=True)
    ranges: dict[TopicPartition, Range] = {}
    for answer in answers:
        if isinstance(answer, dict):
            ranges |= answer
        elif not isinstance(answer, KafkaError | OSError | TimeoutError):
            raise answer
    return ranges, problem


async def _ask(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Range]:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        beginnings = await consumer.beginning_offsets(list(partitions))
        ends = await consumer.end_offsets(list(partitions))
    return {partition: (beginnings[partition], ends[partition]) for partition in partitions}
