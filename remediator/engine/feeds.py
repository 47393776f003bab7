"""Watermarks: up to which event time a feed counts as complete. Pure arithmetic over FeedState."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.engine.state import FeedState, WorldState
from remediator.model.inputs import Watermark
from remediator.model.policy import Policy
from remediator.model.time import Instant


def hear(feed: FeedState, mark: Watermark, at: Instant) -> None:
    """Take a partition's mark in. Marks never go back: a slow writer's old one changes nothing."""
    name = f"{mark.topic}/{mark.partition}"
    feed.partitions[name] = max(feed.partitions.get(name, 0), mark.complete_until)
    feed.topics[mark.topic] = max(feed.topics.get(mark.topic, 0), mark.partitions)
    feed.heard_at = max(feed.heard_at, at)


def watermark(known: Mapping[str, FeedState], name: str, policy: Policy) -> Instant:
    """The feed's watermark; 0 while any partition that its topics have was never heard of."""
    feed = known.get(name)
    if feed is None or not feed.partitions or sum(feed.topics.values()) > len(feed.partitions):
        return 0
    return min(feed.partitions.values()) - policy.feed_lateness.get(name, policy.lateness)


def is_behind(world: WorldState, feed: str, policy: Policy) -> bool:
    """Is the feed catching up, so that what it says may already be over?"""
    return watermark(world.feeds, feed, policy) < world.now - policy.behind_after
