"""Reading one partition record by record, around a batch that cannot be decoded.

Owns how a broken batch is found and skipped: exactly its offsets, never more. Must not decide what the loss means.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError

from remediator.sources.kafka_partition import Partition
from remediator.sources.port import Lost

ROUND_SECONDS = 0.5
WAIT_MS = 100


class Reading(msgspec.Struct):
    """What one round of reading brought: good records, or a loss and the records behind it, or a problem."""

    records: list[Any]
    next_offset: int
    lost: Lost | None = None
    problem: str = ""


async def read_carefully(
    consumer: AIOKafkaConsumer, at: TopicPartition, partition: Partition, max_records: int
) -> Reading:
    """Read up to `max_records` good records. A batch that stays broken is walked over offset by offset, because
    asking for any offset of it yields the whole of it again; the first good read tells where it ends.

    A codec that is not installed is no damage: the partition waits, and the problem says so.
    """
    reading = Reading([], partition.position)
    until = asyncio.get_running_loop().time() + ROUND_SECONDS
    while len(reading.records) < max_records and asyncio.get_running_loop().time() < until:
        try:
            found = (await consumer.getmany(at, timeout_ms=WAIT_MS, max_records=1)).get(at, [])
        except UnsupportedCodecError as error:
            reading.problem = f"{at.topic}[{at.partition}]: {error}: install the codec's library"
            break
        except Exception as error:
            if isinstance(error, KafkaError) and not isinstance(error, CorruptRecordException):
                raise
            if reading.records:
                break
            partition.broke()
            consumer.seek(at, partition.cursor)
            continue
        if not found and not await _at_end(consumer, at, partition):
            break
        if _take(partition, reading, found):
            break
    consumer.seek(at, reading.next_offset if reading.records or reading.lost else partition.cursor)
    return reading


def _take(partition: Partition, reading: Reading, found: list[Any]) -> bool:
    """Note what a good read brought. True: nothing more is to be read for now."""
    if not reading.records:
        reading.lost = partition.healed()
    reading.records += found
    reading.next_offset = found[-1].offset + 1 if found else partition.cursor
    partition.careful = bool(found)
    return not found


async def _at_end(consumer: AIOKafkaConsumer, at: TopicPartition, partition: Partition) -> bool:
    """Is there nothing behind the cursor, so that silence means the end and not a slow answer?"""
    async with asyncio.timeout(WAIT_MS / 1000 * 10):
        ends = await consumer.end_offsets([at])
    return bool(partition.cursor >= ends[at])
