"""Two sources in one group: partitions move, nothing is lost, positions decide who counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from remediator.sources.kafka import KafkaSource
from remediator.sources.kafka_settings import KafkaSettings
from remediator.sources.port import Source
from tests.contract.sources.source_backends import KafkaBackend
from tests.support.broker import Progress, clock, step, step_until


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def run_side_by_side(progress: Progress, done: Callable[[], bool], *sources: Source) -> None:
    """Both poll and commit at the same time, as two processes would."""

    async def run(source: Source) -> None:
        while not done():
            await step(source, progress)

    async with asyncio.timeout(60):
        await asyncio.gather(*(run(source) for source in sources))


async def check_rebalance(backend: KafkaBackend) -> None:
    for partition in (0, 1):
        await backend.put(numbered(0, 300), partition)
    progress = Progress()
    first, second = backend.source(progress, max_records=20), backend.source(progress, max_records=20)
    await first.start()
    await step_until(progress, lambda: len(progress.records) >= 40, first)
    await second.start()
    await run_side_by_side(progress, lambda: len(progress.records) >= 600, first, second)
    for partition in (0, 1):
        await backend.put(numbered(300, 100), partition)
    await run_side_by_side(progress, lambda: len(progress.records) >= 800, first, second)
    await first.stop()
    for partition in (0, 1):
        await backend.put(numbered(400, 10), partition)
    await run_side_by_side(progress, lambda: len(progress.records) >= 820, second)
    await second.stop()
    for partition in (0, 1):
        assert progress.values(partition=partition) == numbered(0, 410)


@pytest.mark.broker
async def test_partitions_move_between_two_members_on_the_embedded_broker(on_embedded: KafkaBackend) -> None:
    await check_rebalance(on_embedded)


@pytest.mark.kafka
async def test_partitions_move_between_two_members_on_apache_kafka(on_apache: KafkaBackend) -> None:
    await check_rebalance(on_apache)


@pytest.mark.kafka
async def test_the_latest_start_of_one_member_holds_for_the_partitions_of_the_other(on_apache: KafkaBackend) -> None:
    for partition in (0, 1):
        await on_apache.put(numbered(0, 50), partition)
    progress = Progress()
    first, second = on_apache.source(progress, start="latest"), on_apache.source(progress, start="latest")
    await first.start()
    await second.start()
    await run_side_by_side(progress, lambda: len(progress.positions) == 2, first, second)
    for partition in (0, 1):
        await on_apache.put(numbered(50, 5), partition)
    await run_side_by_side(progress, lambda: len(progress.records) >= 10, first, second)
    await first.stop()
    await second.stop()
    assert sorted(progress.values()) == sorted(numbered(50, 5) * 2)  # type: ignore[type-var]


@pytest.mark.kafka
async def test_a_latest_start_pins_the_partitions_of_the_other_members_too(on_apache: KafkaBackend) -> None:
    for partition in (0, 1):
        await on_apache.put(numbered(0, 50), partition)
    nothing_stored = Progress()
    first, second = (on_apache.source(nothing_stored, start="latest") for _ in range(2))
    await first.start()
    await second.start()
    async with asyncio.timeout(30):
        # Once the second opened something, each of them owns one partition.
        while not (await asyncio.gather(first.poll(), second.poll()))[1]:
            continue
        for partition in (0, 1):
            await first.reseek(on_apache.topic, partition)
        while not (pins := [batch for batch in await first.poll() if batch.expected is None]):
            continue
    await first.stop()
    await second.stop()
    assert {batch.partition: batch.next_offset for batch in pins} == {0: 50, 1: 50}


def named(backend: KafkaBackend, progress: Progress, member: str, session_ms: int) -> KafkaSource:
    settings = KafkaSettings(
        bootstrap=(backend.bootstrap,),
        group=backend.group,
        topics=(backend.topic,),
        start="earliest",
        member=member,
        session_timeout_ms=session_ms,
    )
    return KafkaSource(settings, progress.read, clock)


@pytest.mark.kafka
async def test_a_member_of_its_own_name_goes_on_at_once(on_apache: KafkaBackend) -> None:
    """A member that stops under its own name does not leave, as one that was killed: its session is still alive."""
    await on_apache.put(numbered(0, 50))
    progress = Progress()
    for life in (1, 2):
        source = named(on_apache, progress, "one", 60_000)
        await source.start()
        await step_until(progress, lambda life=life: len(progress.records) >= 50 * life, source, seconds=10)
        await source.stop()
        await on_apache.put(numbered(50 * life, 50))


@pytest.mark.kafka
async def test_what_keeps_a_member_out_of_its_group_is_said(on_apache: KafkaBackend) -> None:
    source = named(on_apache, Progress(), "", 100)
    await source.start()
    async with asyncio.timeout(20):
        while "InvalidSessionTimeout" not in source.problem:
            assert await source.poll() == []
    await source.stop()
