"""The logs that the source contract runs over: memory, a file, the embedded broker, Apache Kafka."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from remediator.demo.broker import BrokerFailed, create_topics
from remediator.sources.file import FileSource
from remediator.sources.kafka import KafkaSource
from remediator.sources.kafka_settings import KafkaSettings
from remediator.sources.memory import MemorySource, MemoryTopic
from remediator.sources.opening import Start
from remediator.sources.port import Source
from tests.support.broker import Progress, clock, produce


class MemoryBackend:
    """Everything that a log can do, without a broker."""

    def __init__(self) -> None:
        self.topic = "events"
        self._topic = MemoryTopic(self.topic, 2)

    async def put(self, values: Iterable[bytes | None], partition: int = 0) -> None:
        for value in values:
            self._topic.append(value, partition=partition, key=b"k", timestamp=clock() // 1000 * 1000)

    def source(self, progress: Progress, *, start: Start = "earliest", max_records: int = 500) -> Source:
        return MemorySource("feed", [self._topic], progress.read, clock, pause, start=start, max_records=max_records)

    async def drop_before(self, offset: int) -> None:
        self._topic.drop_before(offset)

    async def grow(self, partitions: int) -> None:
        self._topic.grow(partitions)

    async def recreate(self) -> None:
        self._topic.recreate()


class FileBackend:
    """A recording: what is put before the source starts."""

    def __init__(self, path: Path) -> None:
        self.topic = "events"
        self._path = path
        self._next = [0, 0]

    async def put(self, values: Iterable[bytes | None], partition: int = 0) -> None:
        with self._path.open("a") as file:
            for value in values:
                line = {
                    "topic": self.topic,
                    "partition": partition,
                    "offset": self._next[partition],
                    "key": "k",
                    "timestamp_ms": clock() // 1000,
                    "value": None if value is None else value.decode(),
                }
                file.write(json.dumps(line) + "\n")
                self._next[partition] += 1

    def source(self, progress: Progress, *, start: Start = "earliest", max_records: int = 500) -> Source:
        assert start == "earliest", "a recording is always read from its beginning"
        return FileSource(self._path, progress.read, max_records=max_records)


class KafkaBackend:
    """A topic and a group of its own on a running broker."""

    def __init__(self, bootstrap: str, *, session_timeout_ms: int = 6_000) -> None:
        self.bootstrap = bootstrap
        self.session_timeout_ms = session_timeout_ms
        self.topic = f"events-{uuid.uuid4().hex[:8]}"
        self.group = f"group-{uuid.uuid4().hex[:8]}"

    async def create(self) -> None:
        await create_topics(self.bootstrap, {self.topic: 2})

    async def put(self, values: Iterable[bytes | None], partition: int = 0) -> None:
        await produce(self.bootstrap, self.topic, values, partition)

    def source(self, progress: Progress, *, start: Start = "earliest", max_records: int = 500) -> Source:
        settings = KafkaSettings(
            bootstrap=(self.bootstrap,),
            group=self.group,
            topics=(self.topic,),
            start=start,
            max_records=max_records,
            session_timeout_ms=self.session_timeout_ms,
            metadata_max_age_ms=500,
            fetch_max_wait_ms=50,
        )
        return KafkaSource(settings, progress.read, clock)

    async def drop_before(self, offset: int) -> None:
        async with Admin(self.bootstrap) as admin:
            await admin.delete_records({TopicPartition(self.topic, 0): RecordsToDelete(before_offset=offset)})

    async def grow(self, partitions: int) -> None:
        async with Admin(self.bootstrap) as admin:
            await admin.create_partitions({self.topic: NewPartitions(total_count=partitions)})

    async def recreate(self) -> None:
        async with Admin(self.bootstrap) as admin:
            await admin.delete_topics([self.topic])
            async with asyncio.timeout(20):
                while self.topic in await admin.list_topics():
                    continue
        try:
            await self.create()
        except BrokerFailed:
            # A client that still asked for the topic may have made the broker create it, with one partition.
            await self.grow(2)


class Admin:
    """An admin client for the length of a block."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._admin.start()
        return self._admin

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()


Backend = MemoryBackend | FileBackend | KafkaBackend


async def pause(_point: str) -> None:
    """Let others run."""
    await asyncio.sleep(0)
