"""Watermarks: up to which event time a feed counts as complete. Pure arithmetic over FeedState."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.engine.state import FeedState, WorldState
from remediator.model.inputs import Watermark
from remediator.model.policy import Policy
from remediator.model.time import HOUR, Duration, Instant

FORGOTTEN_AFTER: Duration = HOUR
"""A partition not heard of for so long is not read any more: its topic was taken from the feed, or it is gone."""


def hear(feed: FeedState, mark: Watermark, at: Instant) -> None:
    """Take a partition's mark in. Marks never go back: a slow writer's old one changes nothing."""
    name = f"{mark.topic}/{mark.partition}"
    feed.partitions[name] = max(feed.partitions.get(name, 0), mark.complete_until)
    feed.topics[mark.topic] = max(feed.topics.get(mark.topic, 0), mark.partitions)
    if at - feed.heard_at > FORGOTTEN_AFTER // 12:
        feed.heard = dict.fromkeys(feed.partitions, at)  # nobody read at all: that says nothing about one partition
    feed.heard_at = feed.heard[name] = max(feed.heard_at, at)
    _forget(feed, mark)


def _forget(feed: FeedState, mark: Watermark) -> None:
    """A topic that is read but for one of its partitions stays incomplete: `topics` still counts it."""
    old = feed.heard_at - FORGOTTEN_AFTER
    gone = [name for name in feed.partitions if feed.heard.setdefault(name, feed.heard_at) <= old]
    for name in gone:
        del feed.partitions[name], feed.heard[name]
    if gone:
        left = {name.rpartition("/")[0] for name in feed.partitions}
        feed.topics = {topic: count for topic, count in feed.topics.items() if topic in left}
        feed.topics[mark.topic] = mark.partitions


def watermark(known: Mapping[str, FeedState], name: str, policy: Policy) -> Instant:
    """The feed's watermark; 0 while any partition that its topics have was never heard of."""
    feed = known.get(name)
    if feed is None or not feed.partitions or sum(feed.topics.values()) > len(feed.partitions):
        return 0
    return min(feed.partitions.values()) - lateness(name, policy)


def lateness(name: str, policy: Policy) -> Duration:
    """How much disorder the feed may have."""
    return policy.feed_lateness.get(name, policy.lateness)


def is_behind(world: WorldState, feed: str, policy: Policy) -> bool:
    """Is the feed catching up, so that what it says may already be over?"""
    allowed = max(policy.behind_after, 3 * lateness(feed, policy))  # a hold ends at 2: it must begin later than that
    return watermark(world.feeds, feed, policy) < world.now - allowed
