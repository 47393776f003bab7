"""[feed.mapping]: which paths of a JSON record become which fields of an event, for `codec = "mapping"`."""

from __future__ import annotations

import re
from typing import Any

from remediator.config.settings import EventMapping, JsonPath, Scalar
from remediator.rules.toml import Table, listing, near, show

TIME_FORMATS = ("iso", "epoch_s", "epoch_ms")
FIELDS = (
    "source", "namespace", "subject", "dag_id", "run_id", "task_id", "map_index", "try_number", "retries", "run_type",
    "logical_date", "started_at", "ended_at", "clear_number", "dag_version", "operator", "owner", "tags", "log_url",
    "job", "lineage_run", "parent_run", "root_job", "inputs", "outputs", "error.type", "error.message", "error.trace",
)  # fmt: skip
MAX_FIELDS = 100
MAX_PARTS = 20
A_PATH = 'a path such as "$.detail.job", "items[0].name" or "$[\'detail-type\']"'
RESERVED_TYPE = "task.failed_finally"
A_TYPE = f"an event type: words of a-z, 0-9 and _, joined by . or -, other than {RESERVED_TYPE}"
_ATTRIBUTE = re.compile(r"attributes\.[A-Za-z0-9_-]{1,100}")
_TYPE = re.compile(r"(?=.{1,128}$)[a-z0-9_]+(?:[.\-][a-z0-9_]+)*")
_PART = re.compile(r"\.([\w@:/-]+)|\[(?:'([^']+)'|\"([^\"]+)\"|(\d{1,6}))\]")


def read_mapping(feed: Table, codec: str) -> EventMapping | None:
    """The feed's [feed.mapping]; None for every codec but 'mapping', which needs it."""
    table = feed.table("mapping")
    if codec != "mapping":
        if "mapping" in feed:
            feed.fault("mapping", f"[feed.mapping] with codec {show(codec)}", 'codec = "mapping", or no such table')
        return None
    feed.require("mapping")
    if not isinstance(feed.data.get("mapping"), dict):
        return None
    mapping = _read(table)
    table.close()
    return mapping


def _read(table: Table) -> EventMapping:
    table.require("type")
    said = table.text("type")
    by_path = said.startswith("$")
    types = _read_types(table, by_path)
    if "type" in table and not by_path:
        _check_type(table, "type", said)
    return EventMapping(
        type="" if by_path else said,
        type_path=_path(table, "type", said) if by_path else (),
        types=types,
        time=_path(table, "time", table.text("time")) if "time" in table else (),
        time_format=table.choice("time_format", "iso", TIME_FORMATS),
        fields=_read_fields(table.table("fields")),
        when=_read_when(table.table("when")),
    )


def _read_types(table: Table, by_path: bool) -> dict[str, str]:
    inner = table.table("types")
    if "types" in table and not by_path:
        table.fault("types", "types of a type that is no path", 'a path in `type`, such as type = "$.status"')
    types = {value: inner.text(value) for value in _some(inner)}
    for value, type_ in types.items():
        _check_type(inner, value, type_)
    return types


def _read_fields(table: Table) -> dict[str, JsonPath]:
    fields = {}
    for field in _some(table):
        if field not in FIELDS and not _ATTRIBUTE.fullmatch(field):
            table.fault(
                field, f"unknown field {show(field)}", f"{listing(FIELDS)} or attributes.<name>", near(field, FIELDS)
            )
            continue
        fields[field] = _path(table, field, table.text(field))
    return fields


def _read_when(table: Table) -> tuple[tuple[JsonPath, tuple[Scalar, ...]], ...]:
    return tuple((_path(table, key, key), _scalars(table, key)) for key in _some(table))


def _some(table: Table) -> list[str]:
    """The keys of a table that is read by its keys, boundedly many."""
    if len(table.data) > MAX_FIELDS:
        table.fault("", f"{len(table.data):,} keys", f"at most {MAX_FIELDS}")
    return list(table.data)[:MAX_FIELDS]


def _scalars(table: Table, key: str) -> tuple[Scalar, ...]:
    value: Any = table.raw(key)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str | int | float) for one in values):
        table.fault(key, show(value), "a string, a number, true or false, or a list of them")
        return ()
    return tuple(values)


def _check_type(table: Table, key: str, type_: str) -> None:
    """Of a text; anything else is a fault already."""
    if not isinstance(table.data[key], str):
        return
    if not _TYPE.fullmatch(type_) or type_ == RESERVED_TYPE:
        table.fault(key, show(type_), A_TYPE)


def _path(table: Table, key: str, text: str) -> JsonPath:
    path = parse_path(text)
    if path is None and (text or isinstance(table.data[key], str)):
        table.fault(key, show(text), A_PATH)
    return path or ()


def parse_path(text: str) -> JsonPath | None:
    """'$.detail.jobs[0]', with or without '$.' -> ('detail', 'jobs', 0); None if it is no path."""
    rest = text.removeprefix("$") if text.startswith(("$", "[")) else f".{text}"
    parts: list[str | int] = []
    at = 0
    while at < len(rest) and len(parts) <= MAX_PARTS:
        found = _PART.match(rest, at)
        if found is None:
            return None
        bare, single, double, index = found.groups()
        parts.append(int(index) if index is not None else bare or single or double)
        at = found.end()
    return tuple(parts) if 0 < len(parts) <= MAX_PARTS else None
