"""The bookkeeping of one Kafka partition."""

from __future__ import annotations

from types import SimpleNamespace

from remediator.model.record import Record
from remediator.sources.kafka_partition import RETRIES, Partition, convert
from remediator.sources.port import Lost


def test_each_batch_expects_what_the_last_one_reached() -> None:
    partition = Partition("t", 1, 3, 5)
    first = partition.batch([], 8, None, 100)
    second = partition.batch([], 12, 12, 200)
    assert (first.expected, first.next_offset, first.at_head) == (5, 8, False)
    assert (second.expected, second.next_offset, second.at_head, second.polled_at) == (8, 12, True, 200)
    assert (second.partitions, partition.position, partition.told_at) == (3, 12, 200)


def test_an_end_that_is_not_reached_is_no_head() -> None:
    partition = Partition("t", 0, 1, 0)
    assert not partition.batch([], 3, 4, 100).at_head
    assert partition.told_at is None


def test_a_broken_batch_is_tried_again_before_it_is_walked_over() -> None:
    partition = Partition("t", 0, 1, 7)
    assert [partition.broke() for _ in range(RETRIES + 1)] == [False] * (RETRIES - 1) + [True, True]
    assert partition.cursor == 9
    assert partition.healed() == Lost(7, 8, "corrupt")
    assert partition.failures == 0


def test_a_passing_fault_loses_nothing() -> None:
    partition = Partition("t", 0, 1, 7)
    partition.broke()
    assert partition.healed() is None


def test_a_position_behind_the_end_is_timed_without_a_break() -> None:
    partition = Partition("t", 0, 1, 7)
    assert partition.seconds_beyond(6, 100.0) == 0
    assert partition.seconds_beyond(6, 103.0) == 3
    assert partition.seconds_beyond(7, 104.0) == 0
    assert partition.seconds_beyond(6, 105.0) == 0


def test_records_are_converted_to_microseconds() -> None:
    found = [SimpleNamespace(offset=4, timestamp=1_700_000_000_123, key=None, value=b"v")]
    assert convert("t", 2, found) == [Record("t", 2, 4, 1_700_000_000_123_000, None, b"v")]


def test_records_without_a_time_get_zero() -> None:
    found = [SimpleNamespace(offset=4, timestamp=None, key=b"k", value=None)]
    assert convert("t", 2, found) == [Record("t", 2, 4, 0, b"k", None)]
