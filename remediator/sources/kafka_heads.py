"""Proof that the broker lives and how far each partition reached at a known moment.

Owns the periodic question for end offsets. An idle fetch proves nothing: a dead broker looks like an idle topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from remediator.model.time import Instant

INTERVAL_SECONDS = 1.0
TIMEOUT_SECONDS = 4.0
"""Longer than a fetch may wait at the broker, which answers one request of a connection after the other."""


class Heads:
    """ends: partition -> end offset at `asked_at`, the clock right before the question; empty after a failure."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self.ends: dict[TopicPartition, int] = {}
        self.asked_at: Instant = 0
        self.alive = False
        self.problem = ""
        self.failing_since: float | None = None
        self._clock = clock
        self._begun = float("-inf")
        self.task: asyncio.Task[None] | None = None

    def seconds_to_next(self) -> float:
        """How long until the next question is due; 0 if one is under way or due."""
        if self.task is not None:
            return 0.0
        return max(self._begun + INTERVAL_SECONDS - asyncio.get_running_loop().time(), 0.0)

    def ask_if_due(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Begin the next question if it is time. `task` runs until it is answered."""
        if self.task is None and self.seconds_to_next() <= 0:
            self._begun = asyncio.get_running_loop().time()
            self.task = asyncio.create_task(self._ask(consumer, list(partitions)), name="kafka-heads")
            self.task.add_done_callback(self._answered)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """What was known about these holds no longer, and what is being asked neither."""
        for partition in partitions:
            self.ends.pop(partition, None)
        if self.task is not None:
            self.task.cancel()
            self.task = None
        self._begun = float("-inf")

    def fail(self, problem: str) -> None:
        """The broker does not answer."""
        self.ends, self.alive, self.problem = {}, False, problem
        if self.failing_since is None:
            self.failing_since = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        if self.task is not None:
            task = self.task
            task.cancel()
            await asyncio.wait({task})

    def _answered(self, task: asyncio.Task[None]) -> None:
        if self.task is task:
            self.task = None

    async def _ask(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                ends = await _ends(consumer, partitions)
        except TimeoutError:
            self.fail(f"the brokers did not answer within {TIMEOUT_SECONDS:g} s")
        except (KafkaError, OSError) as error:
            self.fail(f"the brokers cannot tell the end offsets: {error}")
        else:
            self.ends, self.asked_at, self.alive, self.problem, self.failing_since = ends, asked_at, True, "", None


async def _ends(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """End offsets; with nothing assigned any answer proves that the broker lives."""
    if not partitions:
        await consumer.topics()
        return {}
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return ends
