"""Events as rule tests write them: an event's own field names, times as people write them.

Owns their reading. Which further keys an event may have where is said by who asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from remediator.model.event import ConditionInfo, ErrorInfo, Event
from remediator.model.time import Instant, parse_duration, parse_instant
from remediator.rules.toml import Table, kind_of, listing, near, show

INSTANTS = ("time", "logical_date", "started_at", "ended_at")
NESTED: dict[str, tuple[str, ...]] = {
    "error": ErrorInfo.__struct_fields__,
    "condition": ConditionInfo.__struct_fields__,
}
NUMBER = "${n}"
"""In the strings of an event that is repeated: which time it is, from 1."""


def event_data(table: Table, further: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The fields of an event as values that fit it; faults for keys that it does not have. None without a type."""
    fields = [name for name in Event.__struct_fields__ if name not in without]
    _known(table, (*fields, *further))
    for name, known in NESTED.items():
        if isinstance(table.data.get(name), dict):
            _known(table.table(name), known)
    if "type" not in table:
        table.require("type")
        return None
    data = {key: value for key, value in table.data.items() if key in fields}
    for name in INSTANTS:
        if name in data:
            data[name] = read_instant(table, name, data[name])
    return _with_lifetime(table, data)


def to_event(table: Table, data: Mapping[str, Any], at: Instant) -> Event | None:
    """Event data -> Event. `at` is its time unless it says another. Kept as a fault: a value of the wrong type."""
    try:
        return msgspec.convert({"time": at, **data}, Event)
    except msgspec.ValidationError as error:
        _report_unfit(table, str(error))
        return None


def numbered(value: Any, number: int) -> Any:
    """The value with the number filled in; a string that is nothing else becomes the number itself."""
    match value:
        case str():
            return number if value == NUMBER else value.replace(NUMBER, str(number))
        case list():
            return [numbered(item, number) for item in value]
        case dict():
            return {key: numbered(item, number) for key, item in value.items()}
    return value


def read_instant(table: Table, key: str, value: Any) -> Any:
    """A moment as ISO 8601 text or TOML's own; a whole number is microseconds. Kept as a fault: anything else."""
    try:
        if isinstance(value, datetime):
            return parse_instant(value.isoformat())
        if isinstance(value, str):
            return parse_instant(value)
    except ValueError:
        pass
    if not isinstance(value, int) or isinstance(value, bool):
        table.fault(key, show(value), 'a moment, such as "2026-11-23T08:00:00Z"')
        return 0
    return value


def _with_lifetime(table: Table, data: dict[str, Any]) -> dict[str, Any]:
    condition = data.get("condition")
    if isinstance(condition, dict) and isinstance(condition.get("lifetime"), str):
        try:
            data["condition"] = {**condition, "lifetime": parse_duration(condition["lifetime"])}
        except ValueError as error:
            table.table("condition").fault("lifetime", show(condition["lifetime"]), str(error))
            data["condition"] = {**condition, "lifetime": 0}
    return data


def _report_unfit(table: Table, message: str) -> None:
    reason, _, path = message.partition(" - at `$.")
    key = path.rstrip("`").partition(".")[0].partition("[")[0]
    value: Any = table.data.get(key)
    table.fault(key if key in table else "", f"{kind_of(value)} as {key}", f"an event's fields: {reason}")


def _known(table: Table, fields: tuple[str, ...]) -> None:
    for field in fields:
        table.raw(field)
    table.close()


def check_name(table: Table, key: str, names: Iterable[str], what: str) -> None:
    """Kept as a fault: a name that is none of these."""
    name, allowed = table.data.get(key), list(names)
    if isinstance(name, str) and name not in allowed:
        table.fault(key, f"unknown {what} {show(name)}", listing(allowed), near(name, allowed))
