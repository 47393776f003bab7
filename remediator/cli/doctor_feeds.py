"""Checks of one feed: is the broker there, do the topics exist, how far behind are we, whose are the events?

Reads a few of the latest records of each partition, outside of the feed's group: moves nothing and commits nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from remediator.cli.doctor_check import Check, fail, ok, warn
from remediator.cli.doctor_group import check_group
from remediator.config.settings import Config, Feed
from remediator.model.event import Event
from remediator.model.record import Record
from remediator.runtime.surface_rules import Assign
from remediator.runtime.wiring import kafka_settings, make_intake
from remediator.sources.kafka_link import close_consumer
from remediator.store.port import Store, StoreError

SAMPLE = 200
"""Records of each partition that are looked at."""
SAMPLE_S = 5.0
MOST_RECORDS = 5_000
LAG_NOTED = 10_000
NAMED = 5


class Sampled(msgspec.Struct):
    """What the latest records are. unclaimed: (namespace, topic) -> events; several: claimed more than once."""

    records: int = 0
    unreadable: int = 0
    unclaimed: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    several: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)


async def check_feed(config: Config, feed: Feed, store: Store | None) -> list[Check]:
    """All checks of one feed. store: open, to tell how far it has read; None if there is none."""
    name = f"feed {feed.name}"
    try:
        consumer = _consumer(feed)
    except OSError as error:
        return [fail(name, f"the certificate files cannot be used: {error}", "check [feed.security]")]
    try:
        await consumer.start()
        existing = await consumer.topics()
    except (KafkaError, OSError) as error:
        text = f"the broker cannot be reached: {str(error) or type(error).__name__}"
        return [fail(name, text, f"check {', '.join(feed.bootstrap_servers)} and [feed.security]")]
    finally:
        await close_consumer(consumer)
    checks, topics = topic_checks(feed, existing)
    checks.append(await check_group(config, feed))
    return [*checks, *(await _read_checks(config, feed, topics, store) if topics else [])]


def _consumer(feed: Feed, *topics: str) -> AIOKafkaConsumer:
    """Without a group. Raises OSError for unusable certificate files."""
    options = kafka_settings(feed).consumer_options()
    return AIOKafkaConsumer(*topics, **{**options, "group_id": None, "group_instance_id": None,
                                        "auto_offset_reset": "latest"})  # fmt: skip


def topic_checks(feed: Feed, existing: set[str]) -> tuple[list[Check], list[str]]:
    """Which of the wanted topics are there."""
    name = f"feed {feed.name}"
    if feed.topic_pattern:
        topics = sorted(topic for topic in existing if re.fullmatch(feed.topic_pattern, topic))
        if not topics:
            todo = "check topic_pattern, and that the user may see the topics"
            return [warn(name, f"no topic fits {feed.topic_pattern!r}", todo)], []
    else:
        missing = sorted(set(feed.topics) - existing)
        if missing:
            text = f"topics that do not exist or may not be read: {', '.join(missing)}"
            return [fail(name, text, "create them, or give the user the right to read them")], []
        topics = sorted(feed.topics)
    return [ok(name, f"the broker answers, with {len(topics)} topics: {', '.join(topics[:NAMED])}")], topics


async def _read_checks(config: Config, feed: Feed, topics: Sequence[str], store: Store | None) -> list[Check]:
    consumer = _consumer(feed, *topics)
    try:
        await consumer.start()
        begins, ends = await _ranges(consumer)
        sampled = await _sample(config, feed, consumer, begins, ends)
    except (KafkaError, OSError, TimeoutError) as error:
        text = f"its records cannot be read: {type(error).__name__} {error}"
        return [fail(f"feed {feed.name}: reading", text, "check the user's rights on the topics")]
    finally:
        await close_consumer(consumer)
    return [*await _lag_checks(feed, store, ends), *sample_checks(feed, sampled)]


async def _ranges(consumer: AIOKafkaConsumer) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    partitions = list(consumer.assignment())
    async with asyncio.timeout(SAMPLE_S):
        return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)


async def _sample(
    config: Config,
    feed: Feed,
    consumer: AIOKafkaConsumer,
    begins: Mapping[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> Sampled:
    sampled, intake = Sampled(), make_intake(config, feed)
    for partition, end in ends.items():
        consumer.seek(partition, max(begins[partition], end - SAMPLE))
    loop = asyncio.get_running_loop()
    until = loop.time() + SAMPLE_S
    while loop.time() < until and sampled.records < MOST_RECORDS:
        found = await consumer.getmany(timeout_ms=500, max_records=1_000)
        if not found:
            break
        for partition, records in found.items():
            ends[partition] = max(ends[partition], consumer.highwater(partition) or 0)
            for one in records:
                record = Record(one.topic, one.partition, one.offset, one.timestamp * 1_000, one.key, one.value)
                take(sampled, intake.decode(record), intake.assign, one.topic)
    return sampled


def take(sampled: Sampled, decoded: list[Event] | str, assign: Assign, topic: str) -> None:
    """One record more: its events, or the reason why there are none."""
    sampled.records += 1
    if isinstance(decoded, str):
        sampled.unreadable += 1
        return
    for event in decoded:
        owner, claimants = assign(event, topic)
        if not owner and not event.deployment:
            counter = sampled.several if claimants else sampled.unclaimed
            counter[event.namespace or "", topic] += 1


async def _lag_checks(feed: Feed, store: Store | None, ends: Mapping[TopicPartition, int]) -> list[Check]:
    name = f"feed {feed.name}: lag"
    if store is None:
        return []
    try:
        stored = {topic: await store.progress(feed.name, topic) for topic in {one.topic for one in ends}}
    except StoreError as error:
        return [warn(name, f"the store cannot say how far it has read: {error}", "see the check of the store")]
    return [lag_check(name, stored, ends)]


def lag_check(name: str, stored: Mapping[str, Mapping[int, int]], ends: Mapping[TopicPartition, int]) -> Check:
    """How many records are still to be read."""
    known = [(one, end) for one, end in ends.items() if one.partition in stored[one.topic]]
    if not known:
        return warn(name, "nothing of it was ever read", "start the daemon, or check that it reads this feed")
    lag = sum(max(0, end - stored[one.topic][one.partition]) for one, end in known)
    if lag >= LAG_NOTED:
        return warn(name, f"{lag:,} records behind", "is the daemon running? If it is, give it time, or more processes")
    return ok(name, f"{lag:,} records behind")


def sample_checks(feed: Feed, sampled: Sampled) -> list[Check]:
    """What the latest records say about codec and deployments."""
    name = f"feed {feed.name}"
    if not sampled.records:
        return [warn(f"{name}: records", "its topics are empty", "check that the producers write there")]
    read = f"{sampled.records - sampled.unreadable:,} of the latest {sampled.records:,} records are understood"
    todo = f"check codec ({feed.codec!r}); `remediator status` counts dead letters"
    checks = [warn(f"{name}: records", read, todo) if sampled.unreadable else ok(f"{name}: records", read)]
    for what, counter in (("no deployment claims", sampled.unclaimed), ("several deployments claim", sampled.several)):
        if counter:
            places = ", ".join(f"{namespace!r} on {topic} ({count})" for (namespace, topic), count
                               in counter.most_common(NAMED))  # fmt: skip
            checks.append(warn(f"{name}: namespaces", f"{what} {places}", "set namespaces of the [[deployment]]"))
    return checks
