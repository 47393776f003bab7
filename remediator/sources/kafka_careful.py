"""Reading one partition record by record, around a batch that cannot be decoded.

Owns how a broken batch is found and skipped: exactly its offsets, never more. Must not decide what the loss means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, UnsupportedCodecError

from remediator.sources.kafka_partition import Partition
from remediator.sources.port import Lost

ROUND_SECONDS = 0.5
GRACE_SECONDS = 0.5
WAIT_SECONDS = 0.1


class Undecodable(Exception):  # noqa: N818  (a state of the records)
    """Some fetched batch fails its checksum or cannot be unpacked; the text is the client library's."""


async def getmany(
    consumer: AIOKafkaConsumer, only: Collection[TopicPartition], *, seconds: float, max_records: int
) -> Mapping[TopicPartition, Sequence[Any]]:
    """The client's getmany, bounded in time: it waits for the end of a rebalance without a bound of its own.

    Raises TimeoutError, KafkaError; Undecodable for damage, after which records of *other* partitions that the
    client had already taken from its buffer are gone from it: every partition has to be sought back.
    """
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            found: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
                *only, timeout_ms=int(seconds * 1000), max_records=max_records
            )
    except CorruptRecordException as error:
        raise Undecodable(str(error)) from error
    except (KafkaError, TimeoutError, ConsumerStoppedError):
        raise
    except Exception as error:
        # Unpacking damaged bytes raises whatever the decompressor or the parser happens to raise.
        raise Undecodable(f"{type(error).__name__}: {error}") from error
    return found


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
    Raises KafkaError for everything that is not damage.
    """
    reading = Reading([], partition.position)
    until = asyncio.get_running_loop().time() + ROUND_SECONDS
    while len(reading.records) < max_records and asyncio.get_running_loop().time() < until:
        try:
            found = await _next(consumer, at)
        except UnsupportedCodecError as error:
            reading.problem = f"{at.topic}[{at.partition}]: {error}: install the library of this codec"
            consumer.seek(at, reading.next_offset if reading.records else partition.cursor)
            return reading
        except Undecodable:
            if reading.records:
                consumer.seek(at, reading.next_offset)
                return reading
            partition.broke()
            consumer.seek(at, partition.cursor)
            continue
        if not found and not await _at_end(consumer, at, partition, reading):
            return reading
        _take(partition, reading, found)
        if not found:
            break
    partition.careful = not (reading.records or reading.lost)
    return reading


async def _next(consumer: AIOKafkaConsumer, at: TopicPartition) -> list[Any]:
    found = await getmany(consumer, (at,), seconds=WAIT_SECONDS, max_records=1)
    return list(found.get(at, ()))


def _take(partition: Partition, reading: Reading, found: list[Any]) -> None:
    if not reading.records:
        reading.lost = partition.healed()
        reading.next_offset = partition.cursor
    reading.records += found
    if found:
        reading.next_offset = found[-1].offset + 1


async def _at_end(consumer: AIOKafkaConsumer, at: TopicPartition, partition: Partition, reading: Reading) -> bool:
    """Is there nothing behind what was read, so that silence means the end and not a slow answer?"""
    async with asyncio.timeout(WAIT_SECONDS * 10):
        ends = await consumer.end_offsets([at])
    return bool(max(partition.cursor, reading.next_offset) >= ends[at])
