"""The memory source: assignment by hand, holes, a dead broker, and its turns."""

from __future__ import annotations

from remediator.sources.memory import MemorySource, MemoryTopic
from tests.support.broker import Progress, step


async def pause(_point: str) -> None:
    """Nobody else runs."""


def source_of(topic: MemoryTopic, progress: Progress, **options: object) -> MemorySource:
    return MemorySource("feed", [topic], progress.read, lambda: 7, pause, **options)  # type: ignore[arg-type]


async def test_offsets_without_records_are_passed_over() -> None:
    topic, progress = MemoryTopic("t"), Progress()
    topic.append(b"a")
    topic.skip(3)
    topic.append(b"b")
    source = source_of(topic, progress)
    await step(source, progress)
    await step(source, progress)
    assert [record.offset for record in progress.records] == [0, 4]
    assert progress.positions == {("t", 0): 5}


async def test_only_what_is_assigned_is_read() -> None:
    topic, progress = MemoryTopic("t", 2), Progress()
    topic.append(b"a", partition=0)
    topic.append(b"b", partition=1)
    source = source_of(topic, progress, assigned=[("t", 0)])
    await step(source, progress)
    await step(source, progress)
    assert progress.values() == [b"a"]
    source.assign("t", 1)
    source.revoke("t", 0)
    topic.append(b"c", partition=0)
    await step(source, progress)
    await step(source, progress)
    assert progress.values() == [b"a", b"b"]


async def test_two_owners_of_one_partition_count_a_record_once() -> None:
    topic, progress = MemoryTopic("t"), Progress()
    topic.append(b"a")
    first, second = source_of(topic, progress), source_of(topic, progress)
    for _ in range(4):
        ahead, behind = await first.poll(), await second.poll()
        for source, batches in ((first, ahead), (second, behind)):
            for batch in batches:
                if not progress.commit(batch):
                    await source.reseek(batch.topic, batch.partition)
    assert progress.values() == [b"a"]
    assert progress.refused


async def test_an_unreachable_broker_proves_nothing() -> None:
    topic, progress = MemoryTopic("t"), Progress()
    source = source_of(topic, progress)
    await step(source, progress)
    source.reachable = False
    assert not source.healthy()
    assert await source.poll() == []
    source.reachable = True
    assert [batch.at_head for batch in await source.poll()] == [True]


async def test_a_busy_partition_does_not_starve_the_others() -> None:
    topic, progress = MemoryTopic("t", 2), Progress()
    source = source_of(topic, progress, max_records=1)
    for _ in range(10):
        topic.append(b"busy", partition=0)
    topic.append(b"quiet", partition=1)
    for _ in range(4):
        await step(source, progress)
    assert b"quiet" in progress.values()
