"""What every source promises: nothing skipped, positions that chain, heads that are proven."""

from __future__ import annotations

import pytest

from tests.contract.sources.source_backends import Backend, FileBackend, KafkaBackend, MemoryBackend
from tests.support.broker import Progress, clock, step_until


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def test_delivers_everything_in_order_with_positions_that_chain(backend: Backend) -> None:
    await backend.put(numbered(0, 40), partition=0)
    await backend.put(numbered(100, 30), partition=1)
    progress = Progress()
    source = backend.source(progress, max_records=7)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 70, source)
    finally:
        await source.stop()
    assert progress.values(partition=0) == numbered(0, 40)
    assert progress.values(partition=1) == numbered(100, 30)
    assert not progress.refused
    assert {batch.partitions for batch in progress.batches} == {2}
    assert progress.positions == {(backend.topic, 0): 40, (backend.topic, 1): 30}
    first = progress.records[0]
    assert (first.topic, first.key) == (backend.topic, b"k")
    assert abs(clock() - first.timestamp) < 120_000_000


async def test_a_poll_hands_over_no_more_than_was_asked_for(backend: Backend) -> None:
    await backend.put(numbered(0, 40), partition=0)
    await backend.put(numbered(0, 40), partition=1)
    progress = Progress()
    source = backend.source(progress, max_records=9)
    await source.start()
    try:
        await step_until(progress, lambda: bool(progress.records), source)
        batches = await source.poll()
    finally:
        await source.stop()
    assert 0 < sum(len(batch.records) for batch in batches) <= 9


async def test_a_tombstone_is_a_record(backend: Backend) -> None:
    await backend.put([b"a", None, b"b"])
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 3, source)
    finally:
        await source.stop()
    assert progress.values() == [b"a", None, b"b"]


async def test_a_successor_goes_on_at_the_stored_position(backend: Backend) -> None:
    await backend.put(numbered(0, 20))
    progress = Progress()
    first = backend.source(progress, max_records=5)
    await first.start()
    await step_until(progress, lambda: len(progress.records) >= 5, first)
    await first.stop()
    taken = len(progress.records)
    assert taken < 20
    second = backend.source(progress)
    await second.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 20, second)
    finally:
        await second.stop()
    assert progress.values() == numbered(0, 20)
    assert not progress.refused


async def test_a_refused_batch_is_read_again_from_the_stored_position(backend: Backend) -> None:
    await backend.put(numbered(0, 10))
    progress = Progress()
    source = backend.source(progress, max_records=4)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 4, source)
        lost = [batch for batch in await source.poll() if batch.records]
        await source.reseek(backend.topic, 0)
        await step_until(progress, lambda: len(progress.records) == 10, source)
    finally:
        await source.stop()
    assert lost
    assert progress.values() == numbered(0, 10)


async def test_every_partition_is_proven_to_be_read_to_its_end(backend: Backend) -> None:
    await backend.put(numbered(0, 3), partition=0)
    await backend.put(numbered(0, 3), partition=1)
    progress = Progress()
    source = backend.source(progress, max_records=2)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.heads()) == 2, source)
        assert source.healthy()
    finally:
        await source.stop()
    assert len(progress.records) == 6
    assert not any(batch.at_head and batch.next_offset < 3 for batch in progress.batches)


async def test_stopping_twice_and_polling_after_it_do_no_harm(backend: Backend) -> None:
    await backend.put(numbered(0, 3))
    progress = Progress()
    source = backend.source(progress)
    await source.start()
    await step_until(progress, lambda: len(progress.records) == 3, source)
    await source.stop()
    await source.stop()
    assert await source.poll() == []


async def test_latest_begins_behind_what_is_there_and_says_where(live: MemoryBackend | KafkaBackend) -> None:
    await live.put(numbered(0, 9))
    # A batch of its own: the embedded broker takes the second record of the last batch for its end.
    await live.put([b"9"])
    progress = Progress()
    source = live.source(progress, start="latest")
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.positions) == 2, source)
        pins = [batch for batch in progress.batches if batch.expected is None]
        await live.put(numbered(10, 5))
        await step_until(progress, lambda: len(progress.records) == 5, source)
    finally:
        await source.stop()
    assert {batch.partition: batch.next_offset for batch in pins} == {0: 10, 1: 0}
    assert progress.values() == numbered(10, 5)


async def test_an_idle_head_moves_with_the_clock(live: MemoryBackend | KafkaBackend) -> None:
    progress = Progress()
    source = live.source(progress)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.heads()) == 2, source)
        since = clock()

        def all_newer() -> bool:
            newer = {batch.partition for batch in progress.batches if batch.at_head and batch.polled_at > since}
            return newer == {0, 1}

        await step_until(progress, all_newer, source)
    finally:
        await source.stop()
    assert max(batch.polled_at for batch in progress.batches) <= clock()


async def test_what_retention_took_is_reported_and_reading_goes_on(lossy: MemoryBackend | KafkaBackend) -> None:
    await lossy.put(numbered(0, 10))
    progress = Progress()
    progress.positions = {(lossy.topic, 0): 2, (lossy.topic, 1): 0}
    await lossy.drop_before(6)
    source = lossy.source(progress)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 4, source)
    finally:
        await source.stop()
    (gap,) = [batch for batch in progress.batches if batch.lost]
    assert gap.lost is not None
    assert (gap.lost.first, gap.lost.last, gap.lost.reason) == (2, 5, "retention")
    assert gap.expected == 2
    assert progress.values() == numbered(6, 4)


async def test_a_recreated_topic_is_read_from_its_beginning(lossy: MemoryBackend | KafkaBackend) -> None:
    progress = Progress()
    progress.positions = {(lossy.topic, 0): 50, (lossy.topic, 1): 0}
    await lossy.put(numbered(0, 3))
    source = lossy.source(progress, start="latest")
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 3, source)
    finally:
        await source.stop()
    (gap,) = [batch for batch in progress.batches if batch.lost]
    assert gap.lost is not None
    assert (gap.lost.first, gap.lost.last, gap.lost.reason) == (-1, -1, "recreated")


async def test_a_topic_recreated_under_the_source_is_noticed(lossy: MemoryBackend | KafkaBackend) -> None:
    await lossy.put(numbered(0, 8))
    progress = Progress()
    source = lossy.source(progress)
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.records) == 8, source)
        await lossy.recreate()
        await lossy.put(numbered(100, 3))
        await step_until(progress, lambda: len(progress.records) == 11, source)
    finally:
        await source.stop()
    assert progress.values()[8:] == numbered(100, 3)
    assert [batch.lost.reason for batch in progress.batches if batch.lost] == ["recreated"]


async def test_partitions_added_later_are_read_from_their_beginning(lossy: MemoryBackend | KafkaBackend) -> None:
    progress = Progress()
    source = lossy.source(progress, start="latest")
    await source.start()
    try:
        await step_until(progress, lambda: len(progress.positions) == 2, source)
        await lossy.grow(3)
        await lossy.put(numbered(0, 5), partition=2)
        await step_until(progress, lambda: len(progress.records) == 5, source)
        await step_until(progress, lambda: progress.batches[-1].partitions == 3, source)
    finally:
        await source.stop()
    assert progress.values(partition=2) == numbered(0, 5)


async def test_a_recording_ends(tmp_path_factory: pytest.TempPathFactory) -> None:
    backend = FileBackend(tmp_path_factory.mktemp("file") / "recording.ndjson")
    await backend.put(numbered(0, 3))
    progress = Progress()
    source = backend.source(progress, max_records=2)
    await source.start()
    await step_until(progress, lambda: source.exhausted, source)  # type: ignore[attr-defined]
    await source.stop()
    assert len(progress.records) == 3
    assert max(record.timestamp for record in progress.records) == progress.batches[-1].polled_at
