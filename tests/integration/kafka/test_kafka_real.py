"""What only Apache Kafka does: it keeps data, has transactions, compacts, and serves what is broken on disk."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from remediator.sources.kafka import KafkaSource
from tests.contract.sources.source_backends import Admin, KafkaBackend
from tests.support.broker import Progress, clock, produce, step_until
from tests.support.kafka import ApacheKafka, install

pytestmark = pytest.mark.kafka


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


@pytest.fixture
async def own_kafka(apache_kafka: ApacheKafka, tmp_path: Path) -> AsyncIterator[ApacheKafka]:
    """A node of this test's own, to be stopped and damaged. (The session's node proves that it can be had.)"""
    kafka = ApacheKafka(await install(), tmp_path / "node")
    await kafka.start()
    yield kafka
    await kafka.kill()


async def test_a_restart_loses_and_repeats_nothing(own_kafka: ApacheKafka) -> None:
    backend = KafkaBackend(own_kafka.bootstrap)
    await backend.create()
    await backend.put(numbered(0, 20))
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    await step_until(progress, lambda: len(progress.heads()) == 2, source)
    await own_kafka.stop()
    await step_until(progress, lambda: not source.healthy(), source)
    await own_kafka.start()
    await backend.put(numbered(20, 20))
    await step_until(progress, lambda: len(progress.records) == 40, source)
    await step_until(progress, source.healthy, source)
    await source.stop()
    assert progress.values() == numbered(0, 40)
    assert not [batch for batch in progress.batches if batch.lost]


async def test_a_frozen_broker_proves_nothing(own_kafka: ApacheKafka) -> None:
    backend = KafkaBackend(own_kafka.bootstrap)
    await backend.create()
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    await step_until(progress, lambda: len(progress.heads()) == 2, source)
    own_kafka.pause()
    frozen = clock()
    await step_until(progress, lambda: not source.healthy(), source)
    assert all(batch.polled_at <= frozen + 100_000 for batch in progress.batches if batch.at_head)
    own_kafka.resume()
    await step_until(progress, source.healthy, source)
    await source.stop()


async def test_a_broken_batch_is_skipped_exactly_and_reported(own_kafka: ApacheKafka) -> None:
    backend = KafkaBackend(own_kafka.bootstrap)
    await backend.create()
    for first in (0, 10, 20, 30):
        await backend.put(numbered(first, 10))
    await backend.put(numbered(0, 10), partition=1)
    await own_kafka.stop()
    damage(own_kafka.log_dir(backend.topic, 0), b"15")
    damage(own_kafka.log_dir(backend.topic, 0), b"35")
    await own_kafka.start()
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    await step_until(progress, lambda: len(progress.heads()) == 2 and len(progress.records) >= 30, source, seconds=60)
    await backend.put(numbered(40, 5))
    await step_until(progress, lambda: len(progress.records) >= 35, source, seconds=60)
    await source.stop()
    assert progress.values(partition=0) == numbered(0, 10) + numbered(20, 10) + numbered(40, 5)
    assert progress.values(partition=1) == numbered(0, 10)
    losses = [(batch.lost.first, batch.lost.last, batch.lost.reason) for batch in progress.batches if batch.lost]
    assert losses == [(10, 19, "corrupt"), (30, 39, "corrupt")]


def damage(directory: Path, value: bytes) -> None:
    """Flip one bit of a record's value on disk."""
    segment = next(directory.glob("*.log"))
    content = bytearray(segment.read_bytes())
    # key length 1, key, value length, value: lengths are zigzag varints
    place = content.index(bytes([2]) + b"k" + bytes([2 * len(value)]) + value) + 3
    content[place] ^= 1
    segment.write_bytes(content)


async def test_aborted_transactions_are_left_out_and_do_not_hide_the_head(on_apache: KafkaBackend) -> None:
    progress = Progress()
    source = on_apache.source(progress)
    producer = AIOKafkaProducer(bootstrap_servers=on_apache.bootstrap, transactional_id=uuid.uuid4().hex)
    await producer.start()
    for commit, values in ((True, numbered(0, 3)), (False, numbered(100, 3)), (True, numbered(3, 3))):
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(on_apache.topic, value, partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await source.start()
    await step_until(progress, lambda: len(progress.heads()) == 2, source)
    assert progress.values() == numbered(0, 6)
    assert progress.positions[on_apache.topic, 0] == 12

    await producer.begin_transaction()
    await producer.send_and_wait(on_apache.topic, b"6", partition=0)
    begun = clock()
    heads = lambda: {batch.partition for batch in progress.batches if batch.at_head and batch.polled_at > begun}  # noqa: E731
    await step_until(progress, lambda: 1 in heads(), source)
    await step_until(progress, lambda: progress.batches[-1].polled_at > begun + 1_500_000, source)
    assert 0 not in heads(), "what an open transaction holds is still to come"
    await producer.commit_transaction()
    await step_until(progress, lambda: 0 in heads(), source)
    await producer.stop()
    await source.stop()
    assert progress.values() == numbered(0, 7)
    assert not [batch for batch in progress.batches if batch.lost]


async def test_compaction_leaves_holes_that_are_no_loss(apache_kafka: ApacheKafka) -> None:
    topic = f"compacted-{uuid.uuid4().hex[:8]}"
    configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.bytes": "1048576"}
    configs |= {"segment.ms": "100", "max.compaction.lag.ms": "100"}
    async with Admin(apache_kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    await produce(apache_kafka.bootstrap, topic, numbered(0, 20))
    async with asyncio.timeout(60):
        # Each batch may close the segment before it, which the cleaner then compacts to its last record per key.
        number = 20
        while len(await read_all(apache_kafka.bootstrap, topic)) > 15:
            await produce(apache_kafka.bootstrap, topic, numbered(number, 1))
            number += 1
    backend = KafkaBackend(apache_kafka.bootstrap)
    backend.topic = topic
    progress = Progress()
    progress.positions = {(topic, 0): 0}
    source = backend.source(progress)
    await source.start()
    await step_until(progress, lambda: len(progress.heads()) == 1, source)
    await source.stop()
    offsets = [record.offset for record in progress.records]
    assert progress.positions == {(topic, 0): number}
    assert offsets != list(range(number))
    assert offsets[-1] == number - 1
    assert not [batch for batch in progress.batches if batch.lost]


async def read_all(bootstrap: str, topic: str) -> list[int]:
    """The offsets that a plain client still finds."""
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        offsets: list[int] = []
        while not offsets or offsets[-1] < end - 1:
            offsets += [record.offset for record in (await consumer.getmany(timeout_ms=200)).get(partition, [])]
    return offsets


async def test_looking_for_a_missing_topic_does_not_create_it(apache_kafka: ApacheKafka) -> None:
    backend = KafkaBackend(apache_kafka.bootstrap)
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    await step_until(progress, source.healthy, source)
    assert isinstance(source, KafkaSource)
    assert backend.topic in source.problem
    looked = clock()
    await step_until(progress, lambda: clock() > looked + 1_000_000, source)
    async with Admin(apache_kafka.bootstrap) as admin:
        assert backend.topic not in await admin.list_topics()
    await source.stop()
