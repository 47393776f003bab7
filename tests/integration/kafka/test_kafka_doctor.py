"""Doctor about a consumer group: who reads with it, as real brokers tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from remediator.cli.doctor_group import Member, check_group, members_of
from remediator.config.settings import Config, Feed, StoreSettings
from remediator.model.policy import Policy
from remediator.sources.port import Source
from tests.contract.sources.source_backends import KafkaBackend
from tests.support.broker import Progress, step


async def _members(feed: Feed, count: int, *sources: Source) -> list[Member]:
    """Who reads, once there are so many: the sources are polled meanwhile, as a rebalance wants."""
    progress = Progress()
    async with asyncio.timeout(30):
        while len(found := await members_of(feed)) != count:
            for source in sources:
                await step(source, progress)
    return found


async def check_members(backend: KafkaBackend) -> list[Member]:
    """A second daemon joins: doctor says so. Returns both members."""
    group = backend.group
    feed = Feed("main", (backend.bootstrap,), topics=(backend.topic,), group=group)
    config = Config(Path(), (feed,), Policy(), store=StoreSettings("sqlite:///a.db"))
    nobody = await check_group(config, feed)
    assert (nobody.status, nobody.text) == ("ok", f"nobody reads with group {group!r} now"), nobody.text
    first, second = backend.source(Progress()), backend.source(Progress())
    try:
        await first.start()
        await _members(feed, 1, first)
        alone = await check_group(config, feed)
        assert (alone.status, alone.text.partition(":")[0]) == ("ok", f"1 reads with group {group!r}")
        await second.start()
        members = await _members(feed, 2, first, second)
        both = await check_group(config, feed)
        assert (both.status, both.text.partition(":")[0]) == ("warn", f"2 read with group {group!r}")
    finally:
        await first.stop()
        await second.stop()
    return members


@pytest.mark.broker
async def test_a_second_daemon_is_named_on_the_embedded_broker(on_embedded: KafkaBackend) -> None:
    assert all(one.text.startswith("remediator-") for one in await check_members(on_embedded))


@pytest.mark.kafka
async def test_a_second_daemon_is_named_on_apache_kafka(on_apache: KafkaBackend) -> None:
    assert {one.text for one in await check_members(on_apache)} == {"remediator at /127.0.0.1"}
