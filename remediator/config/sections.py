"""The sections about the daemon itself: [daemon], [store], [rules], [http], [log], [dispatcher]."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from remediator.config.secrets import SecretReader
from remediator.config.settings import (
    Daemon,
    DispatcherSettings,
    HttpSettings,
    LogSettings,
    RulesSettings,
    StoreSettings,
)
from remediator.model.time import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Duration, format_duration
from remediator.rules.toml import Table, show

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "console")
CALLS_OF_ACTION = 4
"""A retry looks, connects and clears, and looks again."""
STORE_URLS = "sqlite:///path/to/file or postgresql://user@host:port/database"


def read_daemon(root: Table) -> Daemon:
    """[daemon]"""
    table, default = root.table("daemon"), Daemon()
    settings = Daemon(
        name=table.text("name", default.name, max_length=100),
        lease=table.duration("lease", default.lease, 1 * SECOND, 10 * MINUTE),
    )
    if not settings.name:
        table.fault("name", '""', "a name")
    table.close()
    return settings


def read_store(root: Table, secrets: SecretReader) -> StoreSettings:
    """[store]"""
    table, default = root.table("store"), StoreSettings()
    url = table.text("url", default.url, secret=True)
    settings = StoreSettings(
        url=url,
        password=secrets.read(table, "password"),
        synchronous=table.choice("synchronous", default.synchronous, ("FULL", "NORMAL")),
        max_page_count=table.optional_integer("max_page_count", 1_000),
        retention=table.duration("retention", default.retention, 1 * HOUR, 3_650 * DAY),
        outbox_retention=table.duration("outbox_retention", default.outbox_retention, 1 * HOUR, 3_650 * DAY),
        audit_retention=_audit_retention(table),
        snapshot_every=table.integer("snapshot_every", default.snapshot_every, 100, 10_000_000),
    )
    table.close()
    _check_store_url(table, url)
    return settings


def _audit_retention(table: Table) -> Duration | None:
    """None, which keeps the audit for ever, unless it is written."""
    return table.duration("audit_retention", 0, 30 * DAY, 36_500 * DAY) if "audit_retention" in table else None


def _check_store_url(table: Table, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        table.fault("url", "an address that is not valid", STORE_URLS)
        return
    if parts.scheme == "postgresql" and parts.password is not None:
        table.fault("url", "a password written into the url", 'no password here, but password = { env = "NAME" }')
    elif parts.scheme == "sqlite":
        if not url.startswith("sqlite:///") or url == "sqlite:///":
            table.fault("url", show(url), STORE_URLS)
    elif parts.scheme != "postgresql" or not parts.hostname:
        table.fault("url", f"a url of kind {parts.scheme or 'none'!r}", STORE_URLS)
    if "password" in table and not parts.username:
        table.fault("password", "a password without a user in url", "postgresql://user@host/database, or no password")


def read_rules(root: Table, base: Path) -> RulesSettings:
    """[rules]"""
    table, default = root.table("rules"), RulesSettings()
    paths = tuple(Path(path) for path in table.texts("paths", tuple(str(path) for path in default.paths)))
    settings = RulesSettings(paths=paths, reload=table.boolean("reload", default.reload))
    table.close()
    for path in paths:
        if not (base / path).exists():
            table.fault("paths", f'"{path}", which does not exist', "files and folders, relative to this file")
    return settings


def read_http(root: Table, secrets: SecretReader) -> HttpSettings:
    """[http]"""
    table, default = root.table("http"), HttpSettings()
    settings = HttpSettings(
        enabled=table.boolean("enabled", default.enabled),
        host=table.text("host", default.host),
        port=table.integer("port", default.port, 0, 65_535),
        token=secrets.read(table, "token"),
    )
    table.close()
    if settings.enabled and not is_loopback(settings.host) and "token" not in table:
        table.fault("host", f'"{settings.host}" without a token', 'a loopback address, or token = { env = "NAME" }')
    return settings


def is_loopback(host: str) -> bool:
    """Is the address reachable from this machine only?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_log(root: Table) -> LogSettings:
    """[log]"""
    table, default = root.table("log"), LogSettings()
    settings = LogSettings(
        level=table.choice("level", default.level, LEVELS), format=table.choice("format", default.format, FORMATS)
    )
    table.close()
    return settings


def read_dispatcher(root: Table, timeouts: Sequence[Duration]) -> DispatcherSettings:
    """[dispatcher]. `timeouts`: of one call of each target; an action takes up to CALLS_OF_ACTION of them."""
    table, default = root.table("dispatcher"), DispatcherSettings()
    settings = DispatcherSettings(
        changes_per_minute=table.integer("changes_per_minute", default.changes_per_minute, 0, 10_000),
        concurrency=table.integer("concurrency", default.concurrency, 1, 256),
        poll=table.duration("poll", default.poll, 10 * MILLISECOND, 1 * MINUTE),
        claim=table.duration("claim", default.claim, 1 * SECOND, 1 * HOUR),
    )
    table.close()
    longest = CALLS_OF_ACTION * max(timeouts, default=0)
    if settings.claim < longest:
        found = f"{format_duration(settings.claim)}, in which an action may not be done yet"
        table.fault("claim", found, f"{format_duration(longest)} or more: {CALLS_OF_ACTION} times the longest timeout")
    return settings
