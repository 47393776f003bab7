"""[[feed]]: where records come from."""

from __future__ import annotations

import re
from pathlib import Path

from remediator.config.mapping import read_mapping
from remediator.config.names import Names, read_file_name
from remediator.config.secrets import SecretReader
from remediator.config.settings import MIB, Feed, FetchLimits, KafkaSecurity
from remediator.model.time import HOUR, MILLISECOND, MINUTE, SECOND, Duration
from remediator.rules.toml import Table

CODECS = ("openlineage", "cloudevents", "kubernetes", "alertmanager", "eventbridge", "mapping", "auto")
STARTS = ("latest", "earliest")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
FETCH_MIN = 65_536
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):\d{1,5}")


def read_feeds(root: Table, secrets: SecretReader, lateness: Duration, base: Path) -> tuple[Feed, ...]:
    """Every [[feed]]. `lateness` is what the policy says, for feeds that do not say."""
    names = Names()
    tables = root.tables("feed")
    if not tables:
        root.fault("", "no [[feed]]", "at least one [[feed]]: without one there is nothing to listen to")
    return tuple(_read_feed(table, names, secrets, lateness, base) for table in tables)


def _read_feed(table: Table, names: Names, secrets: SecretReader, lateness: Duration, base: Path) -> Feed:
    name = names.read(table, "feed")
    table.require("bootstrap_servers")
    codec = table.choice("codec", "auto", CODECS)
    feed = Feed(
        name=name,
        kind=table.choice("kind", "kafka", ("kafka",)),
        bootstrap_servers=_servers(table),
        topics=table.texts("topics"),
        topic_pattern=table.text("topic_pattern"),
        group=table.text("group", "remediator", max_length=249),
        member=table.text("member", max_length=249),
        session=table.duration("session", 10 * SECOND, 1 * SECOND, 5 * MINUTE),
        codec=codec,
        mapping=read_mapping(table, codec),
        start=table.choice("start", "latest", STARTS),
        lateness=table.duration("lateness", lateness, 0, 1 * HOUR),
        security=_security(table.table("security"), secrets, base),
        fetch=_fetch(table.table("fetch")),
    )
    table.close()
    _check_topics(table, feed)
    return feed


def _servers(table: Table) -> tuple[str, ...]:
    servers = tuple(part.strip() for text in table.texts("bootstrap_servers") for part in text.split(","))
    for server in servers:
        if not _SERVER.fullmatch(server):
            table.fault("bootstrap_servers", f'"{server}"', "host:port, several in a list")
    return servers


def _check_topics(table: Table, feed: Feed) -> None:
    if ("topics" in table) == ("topic_pattern" in table):
        found = "both topics and topic_pattern" if "topics" in table else "neither topics nor topic_pattern"
        table.fault("", found, "exactly one of them")
    if table.data.get("topics") == []:
        table.fault("topics", "an empty list", "at least one topic")
    try:
        re.compile(feed.topic_pattern)
    except re.error as error:
        table.fault("topic_pattern", f'"{feed.topic_pattern}": {error}', "a regular expression")


def _security(table: Table, secrets: SecretReader, base: Path) -> KafkaSecurity:
    default = KafkaSecurity()
    security = KafkaSecurity(
        protocol=table.choice("protocol", default.protocol, PROTOCOLS),
        mechanism=table.choice("mechanism", default.mechanism, MECHANISMS),
        username=table.text("username"),
        password=secrets.read(table, "password"),
        ca_file=read_file_name(table, "ca_file", base),
        cert_file=read_file_name(table, "cert_file", base),
        key_file=read_file_name(table, "key_file", base),
    )
    table.close()
    if security.protocol.startswith("SASL"):
        table.require("username", "password")
    if security.key_file:
        table.require("cert_file")
    return security


def _fetch(table: Table) -> FetchLimits:
    default = FetchLimits()
    fetch = FetchLimits(
        max_records=table.integer("max_records", default.max_records, 1, 100_000),
        max_bytes=table.integer("max_bytes", default.max_bytes, FETCH_MIN, 1024 * MIB),
        max_partition_bytes=table.integer("max_partition_bytes", default.max_partition_bytes, FETCH_MIN, 1024 * MIB),
        max_wait=table.duration("max_wait", default.max_wait, 1 * MILLISECOND, 10 * SECOND),
    )
    table.close()
    return fetch
