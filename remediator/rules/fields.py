"""The fields of an event by the names that rules use, how each is read, and values as texts.

What a condition on a field means is in operators.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from remediator.model.event import ErrorInfo, Event
from remediator.rules.conditions import MISSING, Field, Getter, Kind

MAX_DEPTH = 20
MAX_KEY_TEXT = 200
"""Longest text of one value in a key, in characters; a longer one ends in a hash of all of it."""
ATTRIBUTES = "attributes."
_EXACT = 2**53
_LONG = 10**100
_EMPTY_IS_MISSING = ("source", "namespace", "deployment")
_INSTANTS = ("time", "logical_date", "started_at", "ended_at")
_NUMBERS = ("map_index", "try_number", "retries", "clear_number", "dag_version")
_PLAIN = tuple(name for name in Event.__struct_fields__ if name not in ("error", "condition", "attributes"))
_ERROR = tuple(f"error.{name}" for name in ErrorInfo.__struct_fields__)
_CONDITION = ("condition.name", "condition.scope", "condition.active")
FIELDS: tuple[str, ...] = (*_PLAIN, "duration", *_ERROR, *_CONDITION)
"""Every field but the attributes, which are `attributes.<path>`. duration: ended_at - started_at, microseconds."""


def field_of(name: str) -> Field | None:
    """A field of an event, None if there is no such field."""
    getter = getter_of(name)
    return None if getter is None else Field(name, _kind_of(name), getter)


def _kind_of(name: str) -> Kind:
    if name.startswith(ATTRIBUTES):
        return Kind.FREE
    if name in _INSTANTS:
        return Kind.INSTANT
    if name == "duration":
        return Kind.DURATION
    return Kind.NUMBER if name in _NUMBERS else Kind.TEXT


def getter_of(name: str) -> Getter | None:
    """How to read a field, None if there is no such field."""
    if name in _PLAIN:
        return _plain(name)
    if name == "duration":
        return _duration
    if name in FIELDS:
        whole, _, part = name.partition(".")
        return _inner(whole, part)
    path = name.removeprefix(ATTRIBUTES)
    if path == name or not path or path.count(".") >= MAX_DEPTH:
        return None
    return lambda event: _dig(event.attributes, path)


def _plain(name: str) -> Getter:
    read = attrgetter(name)
    empty = "" if name in _EMPTY_IS_MISSING else None

    def get(event: Event) -> Any:
        value = read(event)
        return MISSING if value is None or value == empty else value

    return get


def _inner(whole: str, part: str) -> Getter:
    read, read_part = attrgetter(whole), attrgetter(part)

    def get(event: Event) -> Any:
        table = read(event)
        value = None if table is None else read_part(table)
        return MISSING if value is None else value

    return get


def _duration(event: Event) -> Any:
    if event.started_at is None or event.ended_at is None:
        return MISSING
    return event.ended_at - event.started_at


def _dig(table: Any, path: str) -> Any:
    """The value at a dotted path; a key that itself has dots is found where the rest of the path spells it."""
    while isinstance(table, dict):
        if path in table:
            value = table[path]
            return MISSING if value is None else value
        head, dot, path = path.partition(".")
        if not dot:
            return MISSING
        table = table.get(head)
    return MISSING


# Values as texts ----------------------------------------------------------------------------------------------------


def key_values(fields: Iterable[str], event: Event) -> tuple[str, ...] | str:
    """The values of the fields as texts, or the name of the first that is missing (or is no field at all)."""
    values: list[str] = []
    for name in fields:
        getter = getter_of(name)
        value = MISSING if getter is None else getter(event)
        if value is MISSING:
            return name
        values.append(_short(text_of(value)))
    return tuple(values)


def _short(text: str) -> str:
    if len(text) <= MAX_KEY_TEXT:
        return text
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: MAX_KEY_TEXT - 17]}~{digest}"


def text_of(value: Any, separator: str = ",", depth: int = 0) -> str:
    """A value as a text that is the same for equal values. Has no lone surrogates. Never raises."""
    match value:
        case str():
            text = value
        case bool():
            text = "true" if value else "false"
        case float() if value.is_integer() and abs(value) < _EXACT:
            text = str(int(value))
        case int() if abs(value) >= _LONG:
            text = f"{value:#x}"
        case list() | tuple() | dict() if depth >= MAX_DEPTH:
            text = "..."
        case list() | tuple():
            text = separator.join(text_of(element, separator, depth + 1) for element in value)
        case dict():
            pairs = sorted((text_of(key), text_of(inner, separator, depth + 1)) for key, inner in value.items())
            text = "{" + separator.join(f"{key}: {inner}" for key, inner in pairs) + "}"
        case None:
            text = ""
        case _:
            text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
