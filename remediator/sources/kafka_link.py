"""The connection of a Kafka source: a consumer that is connected, subscribed and replaced when it is beyond help.

Owns connecting, subscribing and closing, and which partitions the group assigned. Must not read records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from remediator.sources.kafka_settings import KafkaSettings

FIRST_BACKOFF_SECONDS = 0.1
LAST_BACKOFF_SECONDS = 5.0
MISSING_TOPICS_SECONDS = 3.0
CLOSE_SECONDS = 3.0
CLOSE_PART_SECONDS = 0.5


class Link(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """`consumer` is None while there is no connection; `problem` then says why.

    epoch counts every change of the assignment, also of the consumer; whoever remembers anything about a partition
    compares it. The client library swallows what a rebalance listener raises, so this one only takes notes.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.consumer: AIOKafkaConsumer | None = None
        self.epoch = 0
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.late_topics: frozenset[str] = frozenset()
        """Listed topics that did not exist when they were first looked for: they are read from their beginning."""
        self.problem = "not connected yet"
        self.changed = asyncio.Event()
        self._settings = settings
        self._missing: frozenset[str] = frozenset(settings.topics)
        self._looked = False
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._note(frozenset())

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._note(frozenset(assigned))

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_connecting(), name="kafka-link")

    def check(self) -> None:
        """Raise what ended the background task, if anything did."""
        if self._keeper is not None and self._keeper.done() and not self._keeper.cancelled():
            self._keeper.result()

    async def stop(self) -> None:
        """Leave the group and disconnect, within CLOSE_SECONDS even if nobody answers. Idempotent."""
        await self._drop_keeper()
        self._drop_consumer()
        if self._closing:
            await asyncio.wait(self._closing)

    async def replace(self, problem: str) -> None:
        """Give this consumer up and connect anew."""
        await self._drop_keeper()
        self._drop_consumer()
        self.problem = problem
        self.start()

    async def _drop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})

    def _drop_consumer(self) -> None:
        consumer, self.consumer = self.consumer, None
        self._note(frozenset())
        if consumer is not None:
            self._close(consumer)

    def _close(self, consumer: AIOKafkaConsumer) -> None:
        task = asyncio.create_task(close_consumer(consumer), name="kafka-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _note(self, assigned: frozenset[TopicPartition]) -> None:
        self.epoch += 1
        self.assigned = assigned
        self.changed.set()

    async def _keep_connecting(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while not await self._connect():
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF_SECONDS)
        self._missing = frozenset(self._settings.topics)
        while True:
            if await self._subscribe():
                return
            await asyncio.sleep(MISSING_TOPICS_SECONDS)

    async def _connect(self) -> bool:
        try:
            consumer = AIOKafkaConsumer(**self._settings.consumer_options())
        except OSError as error:
            self.problem = f"the certificate files cannot be used: {error}"
            return False
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            self._close(consumer)
            self.problem = f"cannot connect to {', '.join(self._settings.bootstrap)}: {error}"
            return False
        except asyncio.CancelledError:
            self._close(consumer)
            raise
        self.problem = ""
        self.consumer = consumer
        self.changed.set()
        return True

    async def _subscribe(self) -> bool:
        """Subscribe to what exists; True when nothing is missing.

        Only to what exists, because asking for the metadata of a missing topic makes many brokers create it.
        """
        if self.consumer is None:
            return True
        if self._settings.pattern:
            self.consumer.subscribe(pattern=rf"(?:{self._settings.pattern})\Z", listener=self)
            return True
        try:
            existing = await self.consumer.topics()
        except (KafkaError, OSError) as error:
            self.problem = f"cannot list topics: {error}"
            return False
        self._subscribe_to(self._missing & existing)
        return not self._missing

    def _subscribe_to(self, found: frozenset[str]) -> None:
        self._missing -= found
        if not self._looked:
            self._looked, self.late_topics = True, self._missing
        if found and self.consumer is not None:
            self.consumer.subscribe(topics=sorted(set(self._settings.topics) - self._missing), listener=self)
            # The client drops the earlier assignment here without telling its listener.
            self._note(frozenset())
        missing = ", ".join(sorted(self._missing))
        self.problem = f"waiting for topics that do not exist or may not be read: {missing}" if missing else ""


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect; give up after CLOSE_SECONDS. Never raises what the client raises."""
    if await _finish(consumer.stop(), CLOSE_SECONDS):
        return
    # The client closes its parts one after the other, and leaves out the rest when one of them fails.
    for part in (consumer._fetcher, consumer._client):
        if part is not None:
            await _finish(part.close(), CLOSE_PART_SECONDS)


async def _finish(closing: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Did it end well in time? In a task of its own: the client lets cancellations of its inner tasks through, which
    must not look like ours."""
    task = asyncio.create_task(closing, name="kafka-closing")
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CLOSE_PART_SECONDS)
    return task.done() and not task.cancelled() and task.exception() is None
