"""Check of one feed's consumer group: does somebody with another store read with it, and take partitions away?

Asks the broker for the group's members; joins nothing. Whose a member is cannot be told from outside, but with SQLite
one process has the store, so that all members beyond its own feeds are somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaError, for_code

from remediator.cli.doctor_check import Check, ok, warn
from remediator.config.settings import Config, Feed
from remediator.runtime.wiring import kafka_settings

ANSWER_S = 5.0
AGAIN_S = 0.25
NAMED = 5
ASKED_WITH = ("bootstrap_servers", "request_timeout_ms", "security_protocol", "ssl_context", "sasl_mechanism",
              "sasl_plain_username", "sasl_plain_password")  # fmt: skip
"""Of the options of a consumer, those that say how the broker is reached."""


class Member(msgspec.Struct, frozen=True):
    """One consumer of the group. client, host: '' of a broker that does not tell."""

    id: str
    client: str = ""
    host: str = ""

    @property
    def text(self) -> str:
        """'remediator at /10.0.0.7', or the member's id."""
        return f"{self.client} at {self.host}" if self.client and self.host else self.id


async def check_group(config: Config, feed: Feed) -> Check:
    """Who reads with the feed's group."""
    name = f"feed {feed.name}: group"
    try:
        members = await members_of(feed)
    except (KafkaError, OSError, TimeoutError) as error:
        text = f"nobody can tell who reads with group {feed.group!r}: {type(error).__name__} {error}".strip()
        return warn(name, text, "give the user the right to describe its group")
    return group_check(name, feed.group, members, own_members(config, feed))


async def members_of(feed: Feed) -> list[Member]:
    """The group's members now. Raises KafkaError, OSError, TimeoutError."""
    options = kafka_settings(feed).consumer_options()
    admin = AIOKafkaAdminClient(**{key: options[key] for key in ASKED_WITH if key in options})
    try:
        async with asyncio.timeout(ANSWER_S):
            await admin.start()
            return await _described(admin, feed.group)
    finally:
        await admin.close()


async def _described(admin: AIOKafkaAdminClient, group: str) -> list[Member]:
    """Ask again while the broker is busy, as Apache Kafka is with the first group of a cluster. Raises KafkaError."""
    while True:
        try:
            answers = await admin.describe_consumer_groups([group])
            return [one for answer in answers for found in answer.to_object()["groups"] for one in _members(found)]
        except GroupIdNotFound:
            return []
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(AGAIN_S)


def _members(group: dict[str, Any]) -> list[Member]:
    """Raises KafkaError."""
    if group["error_code"]:
        raise for_code(group["error_code"])()
    return [Member(one["member_id"], one["client_id"] or "", one["client_host"] or "") for one in group["members"]]


def own_members(config: Config, feed: Feed) -> int | None:
    """How many members the processes with this store have at most; None: any number, as with PostgreSQL."""
    if not config.store.url.startswith("sqlite:"):
        return None
    brokers = set(feed.bootstrap_servers)
    return sum(one.group == feed.group and bool(brokers & set(one.bootstrap_servers)) for one in config.feeds)


def group_check(name: str, group: str, members: Sequence[Member], own: int | None) -> Check:
    """What the number of members says."""
    if not members:
        return ok(name, f"nobody reads with group {group!r} now")
    named = ", ".join(sorted(one.text for one in members)[:NAMED])
    text = f"{len(members)} read{'s' * (len(members) == 1)} with group {group!r}: {named}"
    if own is None or len(members) <= own:
        return ok(name, text)
    todo = (
        "a daemon with another store takes partitions away, and neither sees all: give each store a group of its own "
        "(one that has just died is a member until its session is over)"
    )
    return warn(name, f"{text}; with SQLite {own} can be this store's", todo)
