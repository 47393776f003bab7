"""The mapping codec: any JSON object becomes one event, by paths that the configuration declares."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.masking import MASK, is_secret_key
from remediator.codecs.names import event_type, name
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, in_range, instant
from remediator.codecs.text import (
    MAX_DATASETS,
    MAX_TAGS,
    MESSAGE_CHARS,
    TRACE_CHARS,
    URL_CHARS,
    masked_head,
    masked_tail,
)
from remediator.model.event import ErrorInfo, Event
from remediator.model.record import Record
from remediator.model.time import MILLISECOND, SECOND, Instant

JsonPath = tuple[str | int, ...]
"""Keys and indices, from the record's top."""
Scalar = str | int | float | bool
ATTRIBUTES = "attributes."
MAX_COUNT = 2**31 - 1
_EPOCH_UNITS = {"epoch_s": SECOND, "epoch_ms": MILLISECOND}


class MappingSpec(msgspec.Struct, frozen=True):
    """type: the event type, or '' if `type_path` says where it is; `types` then gives the event type for each value.

    time: where it is, () for the record's own. time_format: 'iso', 'epoch_s' or 'epoch_ms', of all times.
    fields: event field, 'error.<part>' or 'attributes.<name>' -> where it is.
    when: each path must hold one of its values, else the record is none of ours.
    """

    type: str = ""
    type_path: JsonPath = ()
    types: dict[str, str] = {}
    time: JsonPath = ()
    time_format: str = "iso"
    fields: dict[str, JsonPath] = {}
    when: tuple[tuple[JsonPath, tuple[Scalar, ...]], ...] = ()


class MappingCodec:
    """Records that do not fit `when`, or whose value `types` does not list, give no events."""

    def __init__(self, spec: MappingSpec) -> None:
        self._spec = spec
        self._reader = JsonReader[dict[str, Any]](dict[str, Any])

    def decode(self, record: Record) -> list[Event]:
        """See Codec. A declared time that is missing, or a value that its field cannot hold, is undecodable."""
        if record.value is None:
            return []
        spec = self._spec
        table = self._reader.read(self._reader.checked(record.value))
        if not all(_holds(_found(table, path), wanted) for path, wanted in spec.when):
            return []
        type_ = _type(spec, table)
        if type_ is None:
            return []
        return [_event(spec, table, type_, record)]


def at(table: Any, path: JsonPath) -> Any:
    """The value at the path, None if there is none. Below a key that looks secret it is '***'."""
    value = _found(table, path)
    return MASK if value is not None and _is_secret(path) else value


def _found(table: Any, path: JsonPath) -> Any:
    value = table
    for part in path:
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, dict) else None
        else:
            value = value[part] if isinstance(value, list) and part < len(value) else None
    return value


def _is_secret(path: JsonPath) -> bool:
    return any(isinstance(part, str) and is_secret_key(part) for part in path)


def _holds(found: Any, wanted: tuple[Scalar, ...]) -> bool:
    """Equality that tells true from 1."""
    return any(found == one and isinstance(found, bool) == isinstance(one, bool) for one in wanted)


def _type(spec: MappingSpec, table: dict[str, Any]) -> str | None:
    if not spec.type_path:
        return spec.type
    said = _plain_text(at(table, spec.type_path), spec.type_path)
    if spec.types:
        return spec.types.get(said)
    return event_type(said, shown(spec.type_path))


def _event(spec: MappingSpec, table: dict[str, Any], type_: str, record: Record) -> Event:
    values: dict[str, Any] = {"source": "mapping"}
    error: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    for field, path in spec.fields.items():
        found = at(table, path)
        if found is None:
            continue
        if field.startswith(ATTRIBUTES):
            attributes[field.removeprefix(ATTRIBUTES)] = found
        elif field in TIMES:
            values[field] = _instant(found, spec.time_format, path)
        elif field in ERRORS:
            error[field.removeprefix("error.")] = ERRORS[field](_plain_text(found, path))
        else:
            values[field] = FIELDS[field](found, path)
    values["error"] = ErrorInfo(**error) if error else None
    values["attributes"] = bounded(attributes)
    return Event(type=type_, time=_time(spec, table, record), **values)


def _time(spec: MappingSpec, table: dict[str, Any], record: Record) -> Instant:
    if not spec.time:
        return record.timestamp
    found = at(table, spec.time)
    if found is None:
        raise Undecodable(f"missing: the time at `{shown(spec.time)}`")
    return _instant(found, spec.time_format, spec.time)


def _instant(found: Any, time_format: str, path: JsonPath) -> Instant:
    place = shown(path)
    if time_format in _EPOCH_UNITS:
        return _since_epoch(found, _EPOCH_UNITS[time_format], place)
    try:
        moment = instant(datetime.fromisoformat(found), place)
    except (TypeError, ValueError):
        moment = None
    if moment is None:
        raise Undecodable(f"wrong type: no ISO 8601 time at `{place}`")
    return moment


def _since_epoch(found: Any, unit: int, place: str) -> Instant:
    try:
        number = float(found) if not isinstance(found, bool) else None
        if number is not None:
            exact = isinstance(found, int)
            return in_range(found * unit if exact else round(number * unit), place)
    except (TypeError, ValueError, OverflowError):
        pass
    raise Undecodable(f"wrong type: no number since 1970 at `{place}`")


def _plain_text(found: Any, path: JsonPath) -> str:
    if isinstance(found, str):
        return found
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    raise Undecodable(f"wrong type: no text at `{shown(path)}`")


def _text(found: Any, path: JsonPath) -> str | None:
    return name(_plain_text(found, path))


def _label(found: Any, path: JsonPath) -> str:
    return name(_plain_text(found, path)) or ""


def _url(found: Any, path: JsonPath) -> str:
    return masked_head(_plain_text(found, path), URL_CHARS)


def _count(found: Any, path: JsonPath) -> int:
    text = _plain_text(found, path)
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 10 and -1 <= int(text) <= MAX_COUNT:
        return int(text)
    raise Undecodable(f"wrong type: no whole number from -1 to {MAX_COUNT} at `{shown(path)}`")


def _names(limit: int) -> Callable[[Any, JsonPath], tuple[str, ...]]:
    def names(found: Any, path: JsonPath) -> tuple[str, ...]:
        items = found[:limit] if isinstance(found, list) else [found]
        return tuple(filter(None, (name(_plain_text(one, path)) for one in items)))

    return names


TIMES = frozenset({"logical_date", "started_at", "ended_at"})
ERRORS: dict[str, Callable[[str], str]] = {
    "error.type": lambda text: name(text) or "",
    "error.message": lambda text: masked_head(text, MESSAGE_CHARS),
    "error.trace": lambda text: masked_tail(text, TRACE_CHARS),
}
FIELDS: dict[str, Callable[[Any, JsonPath], Any]] = {
    "source": _label,
    "namespace": _label,
    "subject": _text,
    "dag_id": _text,
    "run_id": _text,
    "task_id": _text,
    "map_index": _count,
    "try_number": _count,
    "retries": _count,
    "run_type": _text,
    "clear_number": _count,
    "dag_version": _count,
    "operator": _text,
    "owner": _text,
    "tags": _names(MAX_TAGS),
    "log_url": _url,
    "job": _text,
    "lineage_run": _text,
    "parent_run": _text,
    "root_job": _text,
    "inputs": _names(MAX_DATASETS),
    "outputs": _names(MAX_DATASETS),
}


def shown(path: JsonPath) -> str:
    """('detail', 'job id', 0) -> "$.detail['job id'][0]"."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part}" if part.isidentifier() else f"[{part!r}]" for part in path
    )
    return "$" + "".join(parts)
