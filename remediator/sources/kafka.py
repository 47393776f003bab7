"""The Kafka source: batches with positions that live in the store, never in the broker.

Owns the order of one poll: open what was assigned, read, repair. Must not commit offsets to the broker and must not
trust a rebalance callback with work: the client library swallows what it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from remediator.model.time import Instant
from remediator.sources.kafka_careful import Undecodable, getmany, read_carefully
from remediator.sources.kafka_heads import Heads
from remediator.sources.kafka_link import Link
from remediator.sources.kafka_opening import Opened, look
from remediator.sources.kafka_partition import Partition, convert
from remediator.sources.kafka_settings import KafkaSettings
from remediator.sources.opening import Opening
from remediator.sources.port import PositionReader, SourceBatch

POLL_SECONDS = 1.0
AFTER_ERROR_SECONDS = 0.2
REPLACE_AFTER_SECONDS = 20.0
"""A client that reached nobody for so long is replaced: it knows only brokers that it has met."""


class KafkaSource:
    """The source port over one consumer group member. `problem` says in words what is wrong, '' if nothing is."""

    def __init__(self, settings: KafkaSettings, positions: PositionReader, clock: Callable[[], Instant]) -> None:
        self._settings = settings
        self._positions = positions
        self._clock = clock
        self._link = Link(settings)
        self._heads = Heads(clock)
        self._epoch = -1
        self._read: dict[TopicPartition, Partition] = {}
        self._refused: set[TopicPartition] = set()
        self._opening: asyncio.Task[Opened] | None = None
        self._problem = ""
        self._turn = 0
        self._stopped = False

    @property
    def problem(self) -> str:
        """What is wrong with the connection, the brokers or the last read, in one line."""
        return "; ".join(text for text in (self._link.problem, self._heads.problem, self._problem) if text)

    def healthy(self) -> bool:
        return self._link.consumer is not None and self._heads.alive

    async def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        self._stopped = False
        self._link.start()

    async def stop(self) -> None:
        """Leave the group and disconnect, within a few seconds also from a dead broker. Idempotent."""
        self._stopped = True
        self._drop_opening()
        await self._heads.stop()
        await self._link.stop()
        self._read.clear()

    async def reseek(self, topic: str, partition: int) -> None:
        """Open the partition again in the next poll, from the stored position."""
        self._reopen([TopicPartition(topic, partition)])

    async def poll(self) -> list[SourceBatch]:
        """The next batches, after at most about a second. Raises what the position reader raises."""
        self._link.check()
        until = _now() + POLL_SECONDS
        consumer = self._link.consumer
        self._forget_old_assignment()
        if consumer is None or self._stopped:
            return await self._wait_for_change(until)
        if await self._replace_if_hopeless():
            return []
        self._heads.ask_if_due(consumer, self._read)
        try:
            return await self._open(consumer, until) or await self._poll_open(consumer, until)
        except (TimeoutError, ConsumerStoppedError):
            return []
        except (KafkaError, Undecodable) as error:
            await self._repair(consumer, error)
        return []

    # -- assignment ---------------------------------------------------------------------------------------------

    def _forget_old_assignment(self) -> None:
        if self._epoch != self._link.epoch:
            self._epoch = self._link.epoch
            self._drop_opening()
            self._heads.forget(list(self._read))
            self._read.clear()
            self._refused.clear()
        self._link.changed.clear()

    def _reopen(self, partitions: Sequence[TopicPartition]) -> None:
        self._drop_opening()
        self._heads.forget(partitions)
        for partition in partitions:
            self._read.pop(partition, None)

    def _refuse(self, partitions: Sequence[TopicPartition]) -> None:
        """The broker has nothing at their positions: open them again, knowing that."""
        self._refused.update(partitions)
        self._reopen(partitions)

    def _drop_opening(self) -> None:
        task, self._opening = self._opening, None
        if task is not None and not task.cancel() and not task.cancelled():
            task.exception()

    async def _wait_for_change(self, until: float) -> list[SourceBatch]:
        """Nothing can be read until something is connected or assigned."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._link.changed.wait()
        return []

    async def _replace_if_hopeless(self) -> bool:
        since = self._heads.failing_since
        if since is None or _now() - since < REPLACE_AFTER_SECONDS:
            return False
        self._heads.failing_since = None
        await self._link.replace(self._heads.problem)
        return True

    # -- opening ------------------------------------------------------------------------------------------------

    async def _open(self, consumer: AIOKafkaConsumer, until: float) -> list[SourceBatch]:
        """Openings that must be committed before any record of their partitions."""
        wanted = self._link.assigned - self._read.keys()
        if not wanted:
            return []
        if self._opening is None:
            asking = look(
                consumer, self._settings, self._positions, wanted, self._link.late_topics, frozenset(self._refused)
            )
            self._opening = asyncio.create_task(asking, name="kafka-opening")
        # What is open already is not held up by what cannot be opened.
        await asyncio.wait({self._opening}, timeout=0 if self._read else max(until - _now(), 0))
        if not self._opening.done() or self._epoch != self._link.epoch:
            return []
        task, self._opening = self._opening, None
        return self._take(consumer, task.result())

    def _take(self, consumer: AIOKafkaConsumer, opened: Opened) -> list[SourceBatch]:
        self._problem = opened.problem
        batches: list[SourceBatch] = []
        for at, opening in opened.openings.items():
            if at in self._read:
                continue
            if at in self._link.assigned:
                consumer.seek(at, opening.position)
                self._refused.discard(at)
                self._read[at] = Partition(at.topic, at.partition, opened.counts[at.topic], opening.position)
            if opening.pins:
                batches.append(_pin(at, opened.counts[at.topic], opening, self._clock()))
        return batches

    # -- reading ------------------------------------------------------------------------------------------------

    async def _poll_open(self, consumer: AIOKafkaConsumer, until: float) -> list[SourceBatch]:
        if not self._link.assigned:
            # Raises what keeps us out of the group; the client asks for it when it reads, which it cannot do yet.
            consumer._coordinator.check_errors()
        if not self._read:
            return await self._wait_for_change(until)
        batches = await self._read_careful(consumer)
        while True:
            found = await self._fetch(consumer, until, at_once=bool(batches))
            if self._epoch != self._link.epoch:
                return []
            batches += self._batches(consumer, found)
            batches = batches or await self._told_heads(consumer)
            if batches or _now() >= until:
                return batches
            self._heads.ask_if_due(consumer, self._read)

    async def _fetch(
        self, consumer: AIOKafkaConsumer, until: float, *, at_once: bool
    ) -> Mapping[TopicPartition, Sequence[Any]]:
        """What is there; else wait for a head, which is answered soon, or for records until the next is due."""
        found = await self._getmany(consumer, 0)
        if found or at_once:
            return found
        if self._heads.task is not None:
            await asyncio.wait({self._heads.task}, timeout=max(until - _now(), 0))
            return {}
        return await self._getmany(consumer, max(min(until - _now(), self._heads.seconds_to_next()), 0))

    async def _getmany(self, consumer: AIOKafkaConsumer, seconds: float) -> Mapping[TopicPartition, Sequence[Any]]:
        plain = [at for at, partition in self._read.items() if not partition.careful]
        if not plain:
            await asyncio.sleep(min(seconds, AFTER_ERROR_SECONDS))
            return {}
        only = () if len(plain) == len(self._link.assigned) else plain
        return await getmany(consumer, only, seconds=seconds, max_records=self._settings.max_records)

    def _batches(self, consumer: AIOKafkaConsumer, found: Mapping[TopicPartition, Sequence[Any]]) -> list[SourceBatch]:
        if found:
            self._problem = ""
        return [
            self._read[at].batch(
                convert(at.topic, at.partition, records),
                records[-1].offset + 1,
                self._end(consumer, at),
                self._heads.asked_at,
            )
            for at, records in found.items()
            if at in self._read
        ]

    def _end(self, consumer: AIOKafkaConsumer, at: TopicPartition) -> int | None:
        """How far the partition is proven to have reached, None without a fresh proof.

        The last fetch may know more than the answer: of records in open transactions, which are still to come.
        """
        end = self._heads.ends.get(at)
        return None if end is None else max(end, consumer.highwater(at) or 0)

    async def _told_heads(self, consumer: AIOKafkaConsumer) -> list[SourceBatch]:
        """Of every partition that a new answer proves to be read to its end."""
        batches = []
        for at, partition in list(self._read.items()):
            end = self._end(consumer, at)
            if end is None or partition.careful or partition.told_at == self._heads.asked_at:
                continue
            if consumer.highwater(at) is not None and self._is_recreated(partition, end):
                self._refuse([at])
                continue
            # Offsets without records (aborted transactions, markers) move the client's position, not ours.
            position = partition.position if partition.position >= end else await _position(consumer, at)
            if position >= end and self._read.get(at) is partition:
                batches.append(partition.batch([], max(position, partition.position), end, self._heads.asked_at))
        return batches

    def _is_recreated(self, partition: Partition, end: int) -> bool:
        return partition.seconds_beyond(end, _now()) * 1000 > self._settings.recreated_after_ms

    # -- repair -------------------------------------------------------------------------------------------------

    async def _read_careful(self, consumer: AIOKafkaConsumer) -> list[SourceBatch]:
        """One round on one of the partitions that hold something broken, each in its turn."""
        careful = [at for at, partition in self._read.items() if partition.careful]
        if not careful:
            return []
        self._turn += 1
        at = careful[self._turn % len(careful)]
        partition = self._read[at]
        epoch = self._epoch
        reading = await read_carefully(consumer, at, partition, self._settings.max_records)
        self._problem = reading.problem or self._problem
        if epoch != self._link.epoch or not (reading.records or reading.lost):
            return []
        records = convert(at.topic, at.partition, reading.records)
        end = self._end(consumer, at)
        return [partition.batch(records, reading.next_offset, end, self._heads.asked_at, reading.lost)]

    async def _repair(self, consumer: AIOKafkaConsumer, error: KafkaError | Undecodable) -> None:
        """Whatever a failed read took from the client without handing it over is read again."""
        if self._epoch == self._link.epoch and not isinstance(error, IllegalStateError | NoOffsetForPartitionError):
            self._problem = f"{type(error).__name__}: {error}"
            if type(error) is KafkaError:
                # The client's background task has died; it says so with the bare class only.
                await self._link.replace(self._problem)
            elif isinstance(error, OffsetOutOfRangeError):
                self._refuse([at for at in self._read if at in error.args[0]])
            else:
                self._suspect(error)
                self._seek_back(consumer)
        await asyncio.sleep(AFTER_ERROR_SECONDS)

    def _suspect(self, error: KafkaError | Undecodable) -> None:
        """Read those record by record that may hold what cannot be decoded; a checksum error names its partition."""
        if isinstance(error, Undecodable | UnsupportedCodecError):
            named = [at for at in self._read if str(error).endswith(str(at))]
            for at in named or self._read:
                self._read[at].careful = True

    def _seek_back(self, consumer: AIOKafkaConsumer) -> None:
        with suppress(IllegalStateError):
            for at, partition in self._read.items():
                consumer.seek(at, partition.cursor)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _position(consumer: AIOKafkaConsumer, at: TopicPartition) -> int:
    async with asyncio.timeout(POLL_SECONDS):
        position: int = await consumer.position(at)
    return position


def _pin(at: TopicPartition, partitions: int, opening: Opening, now: Instant) -> SourceBatch:
    return SourceBatch(
        topic=at.topic,
        partition=at.partition,
        partitions=partitions,
        records=[],
        expected=opening.expected,
        next_offset=opening.position,
        at_head=False,
        polled_at=now,
        lost=opening.lost,
    )
