"""Filling topics, and the raw loop that reads them: the least that a consumer written by hand would do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.workload import LIMIT, PARTITIONS, Message
from remediator.config.settings import FetchLimits

WINDOW = 2_000
"""Records that may be on their way at once while a topic is filled."""


class Cost(msgspec.Struct, frozen=True):
    """What some records cost this process. cpu_s: user and system, of all its threads.

    matches: events that met a rule, of all records: what both contenders must agree on.
    """

    records: int
    wall_s: float
    cpu_s: float
    matches: int

    @property
    def us(self) -> float:
        """Microseconds of CPU per record."""
        return self.cpu_s / self.records * 1e6

    @property
    def rate(self) -> float:
        """Records per second of wall time."""
        return self.records / self.wall_s


class Stopwatch:
    """Starts when the first records have come: neither connecting nor joining a group is counted."""

    def __init__(self) -> None:
        self.skipped = 0
        self.running = False

    def first(self, records: int) -> None:
        self.skipped, self.running = records, True
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, records: int, matches: int = 0) -> Cost:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Cost(records - self.skipped, wall, cpu, matches)


async def fill(bootstrap: str, topic: str, messages: Iterable[Message]) -> int:
    """Send all of them and wait until the broker has them. Returns how many."""
    count = 0
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks=1, enable_idempotence=False, linger_ms=5, max_batch_size=262_144
    ) as producer:
        pending = []
        for partition, value in messages:
            pending.append(await producer.send(topic, value, partition=partition))
            count += 1
            if len(pending) >= WINDOW:
                for sent in pending:
                    await sent
                pending.clear()
        for sent in pending:
            await sent
    return count


async def raw_loop(bootstrap: str, topic: str, total: int, handle: Callable[[bytes], int], fetch: FetchLimits) -> Cost:
    """Read the topic from its beginning with the daemon's own fetch limits, without group, store or commit."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="none", enable_auto_commit=False,
        isolation_level="read_committed", max_partition_fetch_bytes=fetch.max_partition_bytes,
        fetch_max_bytes=fetch.max_bytes, fetch_max_wait_ms=fetch.max_wait // 1000,
    )  # fmt: skip
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        return await _read(consumer, total, handle, fetch.max_records)
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, total: int, handle: Callable[[bytes], int], most: int) -> Cost:
    watch, done, matches = Stopwatch(), 0, 0
    while done < total:
        found = await consumer.getmany(timeout_ms=1_000, max_records=most)
        for records in found.values():
            for record in records:
                matches += handle(record.value)
            done += len(records)
        if found and not watch.running:
            watch.first(done)
    return watch.stop(done, matches)


# -- what the raw loop does with a record -------------------------------------------------------------------------


class _Dag(msgspec.Struct):
    dag_id: str | None = None


class _DagRun(msgspec.Struct):
    run_id: str | None = None


class _Task(msgspec.Struct):
    task_id: str | None = None


class _Instance(msgspec.Struct):
    try_number: int | None = None


class _Airflow(msgspec.Struct):
    dag: _Dag | None = None
    dagRun: _DagRun | None = None  # noqa: N815
    task: _Task | None = None
    taskInstance: _Instance | None = None  # noqa: N815


class _Error(msgspec.Struct):
    message: str | None = None


class _Facets(msgspec.Struct):
    airflow: _Airflow | None = None
    airflowDagRun: _Airflow | None = None  # noqa: N815
    errorMessage: _Error | None = None  # noqa: N815


class _Run(msgspec.Struct):
    runId: str  # noqa: N815
    facets: _Facets


class _Job(msgspec.Struct):
    namespace: str
    name: str


class _Lineage(msgspec.Struct):
    eventType: str  # noqa: N815
    eventTime: datetime  # noqa: N815
    run: _Run
    job: _Job


class _Data(msgspec.Struct):
    dag_id: str
    run_id: str
    task_id: str
    try_number: int
    check: str
    value: int


class _Cloud(msgspec.Struct):
    type: str
    source: str
    subject: str
    time: datetime
    data: _Data


def corpus_handler() -> Callable[[bytes], int]:
    """Typed decode of the members that matter, then the closures of the event's type."""
    decode = msgspec.json.Decoder(_Lineage).decode
    patterns = [
        re.compile(text, re.IGNORECASE)
        for text in ("connection reset|refused|timed out", "name or service not known", "too many connections|429",
                     "deadlock|could not serialize", "memoryerror|oom", "worker lost|pod")
    ]  # fmt: skip
    table: dict[str, list[Callable[[_Lineage], bool]]] = {
        "FAIL": [lambda event, pattern=pattern: _says(event, pattern) for pattern in patterns]  # type: ignore[misc]
    }

    def handle(value: bytes) -> int:
        event = decode(value)
        return sum(test(event) for test in table.get(event.eventType, ()))

    return handle


def _says(event: _Lineage, pattern: re.Pattern[str]) -> bool:
    error = event.run.facets.errorMessage
    return error is not None and error.message is not None and pattern.search(error.message) is not None


def small_handler(rules: Iterable[Any]) -> Callable[[bytes], int]:
    """Typed decode, then the closures of (type, DAG, check)."""
    decode = msgspec.json.Decoder(_Cloud).decode
    table: dict[tuple[str, str, str], list[Callable[[_Cloud], bool]]] = {}
    for rule in rules:
        key = (rule.on[0], rule.where["dag_id"], rule.where["attributes.check"])
        table.setdefault(key, []).append(lambda event: event.data.value > LIMIT)

    def handle(value: bytes) -> int:
        event = decode(value)
        return sum(test(event) for test in table.get((event.type, event.data.dag_id, event.data.check), ()))

    return handle
