"""Brokers and topics that are not there, go away and come back (embedded broker)."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from remediator.demo.broker import BrokerFailed, EmbeddedBroker, create_topics
from remediator.sources.kafka import KafkaSource
from remediator.sources.kafka_settings import KafkaSettings
from tests.support.broker import Progress, clock, produce, step_until

pytestmark = pytest.mark.broker


def settings(broker: EmbeddedBroker, **changes: object) -> KafkaSettings:
    base = KafkaSettings(
        bootstrap=(broker.bootstrap,),
        group="group",
        topics=("events",),
        start="earliest",
        session_timeout_ms=2_000,
        metadata_max_age_ms=500,
        fetch_max_wait_ms=50,
        recreated_after_ms=500,
    )
    return msgspec.structs.replace(base, **changes)


async def test_waits_for_a_broker_that_is_not_there_yet() -> None:
    broker = EmbeddedBroker()
    progress = Progress()
    source = KafkaSource(settings(broker), progress.read, clock)
    await source.start()
    begun = time.monotonic()
    while "cannot connect" not in source.problem:
        assert await source.poll() == []
        assert time.monotonic() - begun < 10
    assert not source.healthy()
    async with broker:
        await create_topics(broker.bootstrap, {"events": 1})
        await produce(broker.bootstrap, "events", [b"a"])
        await step_until(progress, lambda: progress.values() == [b"a"], source)
        await step_until(progress, source.healthy, source)
        await source.stop()


async def test_a_dead_broker_proves_nothing_and_does_not_hold_up_stopping() -> None:
    progress = Progress()
    async with EmbeddedBroker() as broker:
        await create_topics(broker.bootstrap, {"events": 1})
        await produce(broker.bootstrap, "events", [b"a"])
        source = KafkaSource(settings(broker), progress.read, clock)
        await source.start()
        await step_until(progress, lambda: bool(progress.heads()), source)
    died = clock()
    await step_until(progress, lambda: not source.healthy(), source)
    assert source.problem
    count = len(progress.batches)
    assert await source.poll() == []
    assert len(progress.batches) == count
    assert all(batch.polled_at <= died for batch in progress.batches if batch.at_head)
    begun = time.monotonic()
    await source.stop()
    assert time.monotonic() - begun < 6
    assert [task.get_name() for task in asyncio.all_tasks()] == [asyncio.current_task().get_name()]  # type: ignore[union-attr]


async def create_again(bootstrap: str) -> None:
    """Make the topic, unless the consumer's question for it has made it already."""
    try:
        await create_topics(bootstrap, {"events": 1})
    except BrokerFailed as failed:
        if "TopicAlreadyExistsError" not in str(failed):
            raise


async def test_a_broker_that_forgot_everything_is_read_from_its_beginning() -> None:
    progress = Progress()
    broker = EmbeddedBroker()
    await broker.start()
    await create_topics(broker.bootstrap, {"events": 1})
    await produce(broker.bootstrap, "events", [b"a", b"b", b"c"])
    source = KafkaSource(settings(broker), progress.read, clock)
    await source.start()
    await step_until(progress, lambda: len(progress.records) == 3, source)
    await broker.stop()
    await broker.start()
    try:
        await create_again(broker.bootstrap)
        await produce(broker.bootstrap, "events", [b"d"])
        await step_until(progress, lambda: len(progress.records) == 4, source, seconds=40)
    finally:
        await source.stop()
        await broker.stop()
    assert progress.values() == [b"a", b"b", b"c", b"d"]
    assert [batch.lost.reason for batch in progress.batches if batch.lost] == ["recreated"]


async def test_a_topic_created_later_is_read_from_its_beginning_whatever_the_start() -> None:
    progress = Progress()
    async with EmbeddedBroker() as broker:
        await create_topics(broker.bootstrap, {"events": 1})
        source = KafkaSource(settings(broker, topics=("events", "later"), start="latest"), progress.read, clock)
        await source.start()
        await step_until(progress, lambda: bool(progress.positions), source)
        assert source.healthy()
        assert "later" in source.problem
        await create_topics(broker.bootstrap, {"later": 2})
        await produce(broker.bootstrap, "later", [b"a"], partition=1)
        await step_until(progress, lambda: progress.values("later") == [b"a"], source)
        assert source.problem == ""
        await source.stop()


async def test_no_topic_at_all_is_healthy() -> None:
    progress = Progress()
    async with EmbeddedBroker() as broker:
        source = KafkaSource(settings(broker), progress.read, clock)
        await source.start()
        await step_until(progress, source.healthy, source)
        assert "events" in source.problem
        assert progress.batches == []
        await source.stop()


async def test_a_pattern_takes_whole_names_and_topics_that_appear() -> None:
    progress = Progress()
    async with EmbeddedBroker() as broker:
        await create_topics(broker.bootstrap, {"af.one": 1, "af.one.old": 1})
        source = KafkaSource(settings(broker, topics=(), pattern=r"af\.[a-z]+", start="latest"), progress.read, clock)
        await source.start()
        await step_until(progress, lambda: bool(progress.positions), source)
        await create_topics(broker.bootstrap, {"af.two": 1})
        for topic in ("af.one", "af.one.old", "af.two"):
            await produce(broker.bootstrap, topic, [topic.encode()])
        await step_until(progress, lambda: len(progress.records) == 2, source)
        await source.stop()
    assert sorted(progress.positions) == [("af.one", 0), ("af.two", 0)]
