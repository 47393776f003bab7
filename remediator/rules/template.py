"""Texts with places: '{event.dag_id | upper}', compiled once and filled from a scene. No code, no loops, plain text.

Owns the grammar and the filters. What may be named is in scene. Escaping for a target is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from remediator.model.time import SECOND, format_duration, format_instant
from remediator.rules.conditions import MISSING, Getter, Kind
from remediator.rules.fields import text_of
from remediator.rules.periods import local_time, zone_of
from remediator.rules.scene import Scene, text_field, unknown_name
from remediator.rules.toml import listing, near, show

MAX_RENDERED = 2_000
MAX_FILTERS = 5
_CUT = "…"
_MOST_SECONDS = 10**12
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"\s*([^\s|{}\"()]+)\s*")
_FILTER = re.compile(r'\|\s*([a-z_]+)\s*(?:\(\s*("[^"]*"|[^"()\s]*)\s*\))?\s*')

Filter = Callable[[Any], Any]
"""Takes and returns a value or MISSING."""


class UnfitTemplateError(ValueError):
    """A text that cannot be compiled: what was found, what is allowed and a near name."""

    def __init__(self, found: str, allowed: str, hint: str = "") -> None:
        super().__init__(f"{found}; allowed: {allowed}")
        self.found, self.allowed, self.hint = found, allowed, hint


class Place(msgspec.Struct, frozen=True):
    """One place of a text: what is read, and the filters it goes through."""

    name: str
    kind: Kind
    get: Getter
    filters: tuple[Filter, ...]

    def value(self, scene: Scene) -> Any:
        """The filtered value, MISSING if there is none."""
        value = self.get(scene)
        for one in self.filters:
            value = one(value)
        return value


class Template(msgspec.Struct, frozen=True):
    """A compiled text. names: what it names, each once, in order."""

    parts: tuple[str | Place, ...]
    names: tuple[str, ...]

    def render(self, scene: Scene) -> str:
        """The text, a missing field shown as «name missing», cut at MAX_RENDERED characters. Never raises."""
        return _cut("".join(self._shown(part, scene) for part in self.parts), MAX_RENDERED)

    def render_strict(self, scene: Scene) -> str | None:
        """The text, None if any field is missing (and has no default)."""
        values = [part if isinstance(part, str) else part.value(scene) for part in self.parts]
        return None if MISSING in values else self.render(scene)

    def _shown(self, part: str | Place, scene: Scene) -> str:
        if isinstance(part, str):
            return part
        value = part.value(scene)
        return f"«{part.name} missing»" if value is MISSING else _as_text(value, part.kind)


def compile_template(text: str) -> Template:
    """The text's template. Raises UnfitTemplateError for unknown names, unknown filters and lone braces."""
    parts: list[str | Place] = []
    at = 0
    for found in _PART.finditer(text):
        parts.append(text[at : found.start()])
        parts.append(found[0][0] if found[0] in ("{{", "}}") else _place(found))
        at = found.end()
    parts.append(text[at:])
    names = dict.fromkeys(part.name for part in parts if isinstance(part, Place))
    return Template(tuple(part for part in parts if part), tuple(names))


def _place(found: re.Match[str]) -> Place:
    inner = found[1]
    if inner is None:
        raise UnfitTemplateError(f"a lone {found[0]}", "names in braces such as {event.dag_id}; {{ and }} for braces")
    name = _NAME.match(inner)
    if name is None:
        raise UnfitTemplateError(f"no name in {show(found[0])}", "a name such as {event.dag_id}")
    field = text_field(name[1])
    if field is None:
        raise UnfitTemplateError(f"unknown name {show(name[1])}", *unknown_name(name[1]))
    filters, kind = _filters(inner, name.end(), field.kind)
    return Place(field.name, kind, field.get, filters)


def _filters(inner: str, at: int, kind: Kind) -> tuple[tuple[Filter, ...], Kind]:
    """The filters, and the kind of value that leaves them."""
    filters: list[Filter] = []
    while at < len(inner):
        found = _FILTER.match(inner, at)
        if found is None:
            raise UnfitTemplateError(show(inner[at:]), 'filters such as | upper or | default("nobody")')
        if len(filters) == MAX_FILTERS:
            raise UnfitTemplateError("more filters", f"at most {MAX_FILTERS} for one name")
        name, argument = found[1], found[2] or ""
        if name not in FILTERS:
            raise UnfitTemplateError(f"unknown filter {show(name)}", listing(FILTERS), near(name, FILTERS))
        filters.append(FILTERS[name](name, argument, kind))
        kind = kind if name == "default" else Kind.TEXT
        at = found.end()
    return tuple(filters), kind


# Filters ------------------------------------------------------------------------------------------------------------


def _quoted(name: str, argument: str, example: str) -> str:
    if len(argument) < 2 or argument[0] != '"':
        raise UnfitTemplateError(f"{name}({argument})", f'{name}("{example}")')
    return argument[1:-1]


def _bare(name: str, argument: str) -> None:
    if argument:
        raise UnfitTemplateError(f"{name}({argument})", f"{name} without an argument")


def _default(name: str, argument: str, _: Kind) -> Filter:
    text = _quoted(name, argument, "nobody")
    return lambda value: text if value is MISSING else value


def _cased(change: Callable[[str], str]) -> Callable[[str, str, Kind], Filter]:
    def compile_cased(name: str, argument: str, kind: Kind) -> Filter:
        _bare(name, argument)
        return lambda value: value if value is MISSING else change(_as_text(value, kind))

    return compile_cased


def _truncate(name: str, argument: str, kind: Kind) -> Filter:
    if not argument.isascii() or not argument.isdigit() or not 0 < int(argument[:9]) <= MAX_RENDERED:
        raise UnfitTemplateError(f"{name}({argument})", f"{name}(n) with n from 1 to {MAX_RENDERED:,}")
    most = int(argument)
    return lambda value: value if value is MISSING else _cut(_as_text(value, kind), most)


def _time(name: str, argument: str, kind: Kind) -> Filter:
    if kind is not Kind.INSTANT:
        raise UnfitTemplateError(f"{name} of a {kind} value", "instants such as {event.time} and {firing.first}")
    try:
        zone = zone_of(_quoted(name, argument, "Europe/Berlin"))
    except UnfitTemplateError:
        raise
    except ValueError as error:
        raise UnfitTemplateError(f"{name}({argument})", str(error)) from None
    return lambda at: f"{local_time(at, zone):%Y-%m-%d %H:%M:%S %Z}" if isinstance(at, int) else at


def _length(name: str, argument: str, kind: Kind) -> Filter:
    _bare(name, argument)
    if kind in (Kind.INSTANT, Kind.TEXT):
        raise UnfitTemplateError(f"{name} of a{'n' * (kind is Kind.INSTANT)} {kind}", "durations, numbers of seconds")
    scale = 1 if kind is Kind.DURATION else SECOND

    def show_length(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST_SECONDS * SECOND:
            return value
        return format_duration(round(value * scale))

    return show_length


FILTERS: dict[str, Callable[[str, str, Kind], Filter]] = {
    "default": _default,
    "upper": _cased(str.upper),
    "lower": _cased(str.lower),
    "truncate": _truncate,
    "time": _time,
    "duration": _length,
}


def _as_text(value: Any, kind: Kind) -> str:
    """A value as people read it: instants in ISO 8601, durations as '1h30m', lists with commas."""
    if isinstance(value, int) and kind is Kind.INSTANT:
        try:
            return format_instant(value)
        except OverflowError:
            return text_of(value)
    if isinstance(value, int) and kind is Kind.DURATION:
        return format_duration(value)
    return text_of(value, ", ")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _CUT
