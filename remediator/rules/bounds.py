"""Comparisons: what the bounds of gt, gte, lt and lte may be for each kind of field, and the hours of an instant.

A bound is a number, a duration, an instant or another field. Part of the table of operators.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import msgspec

from remediator.model.time import SECOND, parse_duration, parse_instant
from remediator.rules.conditions import MISSING, Condition, Field, Kind, Lookup, Trouble, UnfitError, Verdict, key_of
from remediator.rules.periods import MINUTES_OF_DAY, Hours, in_periods, parse_days, parse_minutes, zone_of
from remediator.rules.toml import MAX_INTEGER, kind_of, listing, near, quote_key, show

Path = tuple[str | int, ...]
Accepts = Callable[[float, float], bool]
HOURS = ("between", "days", "timezone")
_ALLOWED: dict[Kind, str] = {
    Kind.TEXT: 'a number or { field = "..." }',
    Kind.NUMBER: 'a number or { field = "..." }',
    Kind.INSTANT: 'an instant such as "2026-11-01T00:00:00Z" or { field = "..." }',
    Kind.DURATION: 'a duration such as "30m" or { field = "..." }',
    Kind.FREE: 'a number, a duration such as "30m" or { field = "..." }',
}


class Context(msgspec.Struct, frozen=True):
    """What a condition is compiled for: the kind of its field, the other fields, and the levels of `not` around it."""

    kind: Kind
    lookup: Lookup
    depth: int = 0


def comparison(accepts: Accepts) -> Callable[[Any, Path, Context], Condition]:
    """The operator that accepts (value, bound)."""

    def compile_comparison(raw: Any, path: Path, context: Context) -> Condition:
        if isinstance(raw, dict):
            return _with_field(_Other.read(raw, path, context), accepts)
        bound = _bound(raw, path, context.kind)

        def compare(value: Any, _: Any) -> Verdict:
            return accepts(value, bound) if _is_number(value) else _no_number(value)

        return Condition(compare)

    return compile_comparison


def _bound(raw: Any, path: Path, kind: Kind) -> float:
    try:
        match kind, raw:
            case Kind.DURATION, str():
                return parse_duration(raw)
            case Kind.INSTANT, str():
                return parse_instant(raw)
            case Kind.FREE, str():
                return parse_duration(raw) / SECOND
            case ((Kind.TEXT | Kind.NUMBER | Kind.INSTANT | Kind.FREE), int() | float()) if is_sound_number(raw):
                return float(raw) if isinstance(raw, float) else raw
    except (ValueError, OverflowError):
        pass
    raise UnfitError(path, show(raw), _ALLOWED[kind])


def is_sound_number(raw: object) -> bool:
    """A number of 64 bits, and not nan."""
    return _is_number(raw) and not isnan(raw) and abs(raw) <= MAX_INTEGER  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _no_number(value: Any) -> Trouble:
    return Trouble(f"{kind_of(value)} where a number is needed")


# Another field ------------------------------------------------------------------------------------------------------


class _Other(msgspec.Struct, frozen=True):
    """Another field of what is judged, and by what its numbers are multiplied."""

    field: Field
    times: float

    @staticmethod
    def read(raw: dict[str, Any], path: Path, context: Context, allow_times: bool = True) -> _Other:
        allowed = ("field", "times") if allow_times else ("field",)
        for key in raw:
            if key not in allowed:
                raise UnfitError((*path, key), f"unknown key {quote_key(key)}", listing(allowed), near(key, allowed))
        name, times = raw.get("field"), raw.get("times", 1)
        field = context.lookup(name) if isinstance(name, str) else None
        if field is None:
            found = show(name) if "field" in raw else "no field"
            raise UnfitError((*path, "field") if "field" in raw else path, found, "the name of a field")
        if not is_sound_number(times):
            raise UnfitError((*path, "times"), show(times), "a number")
        return _Other(field, times * _scale(context.kind, field, path))


def _scale(kind: Kind, other: Field, path: Path) -> float:
    """What makes the other field's numbers comparable: attributes are seconds where the other side is a duration."""
    if kind is Kind.DURATION and other.kind in (Kind.FREE, Kind.NUMBER):
        return SECOND
    if other.kind is Kind.DURATION and kind is Kind.FREE:
        return 1 / SECOND
    timed = {Kind.INSTANT, Kind.DURATION}
    if kind is not other.kind and (kind in timed or other.kind in timed):
        raise UnfitError((*path, "field"), f"{quote_key(other.name)}, {_a(other.kind)}", f"a field that is {_a(kind)}")
    return 1


def _a(kind: Kind) -> str:
    return "an instant" if kind is Kind.INSTANT else "free" if kind is Kind.FREE else f"a {kind}"


def _with_field(other: _Other, accepts: Accepts) -> Condition:
    def compare(value: Any, subject: Any) -> Verdict:
        bound = other.field.get(subject)
        if bound is MISSING:
            return Trouble(f"{other.field.name} is missing")
        if not _is_number(value):
            return _no_number(value)
        if not _is_number(bound):
            return Trouble(f"{other.field.name} is {kind_of(bound)} where a number is needed")
        try:
            return accepts(value, bound if other.times == 1 else bound * other.times)
        except OverflowError:
            return Trouble(f"{other.field.name} is too large")

    return Condition(compare)


def equal_field(raw: dict[str, Any], path: Path, context: Context) -> Condition:
    """`equals = { field = ".." }`: both are the same text, number, true or false."""
    other = _Other.read(raw, path, msgspec.structs.replace(context, kind=Kind.FREE), allow_times=False).field

    def compare(value: Any, subject: Any) -> Verdict:
        found = other.get(subject)
        if found is MISSING:
            return Trouble(f"{other.name} is missing")
        key = key_of(value)
        return key is not None and key == key_of(found)

    return Condition(compare)


# The hours of an instant --------------------------------------------------------------------------------------------


def within_hours(raw: dict[str, Any], context: Context) -> Condition:
    """`between`, `days`, `timezone` of one table, together."""
    if context.kind is not Kind.INSTANT:
        name = next(iter(raw))
        raise UnfitError((name,), f"{name} on a field that is {_a(context.kind)}", "fields that are instants")
    if set(raw) == {"timezone"}:
        raise UnfitError(("timezone",), "timezone alone", "timezone with between or days")
    hours = Hours(*_between(raw), _read("days", raw, parse_days, ()), _read("timezone", raw, zone_of, zone_of("UTC")))

    def test(value: Any, _: Any) -> Verdict:
        return in_periods((hours,), value) if isinstance(value, int) else _no_number(value)

    return Condition(test)


def _between(raw: dict[str, Any]) -> tuple[int, int]:
    if "between" not in raw:
        return 0, MINUTES_OF_DAY
    texts = raw["between"]
    if not isinstance(texts, list) or len(texts) != 2:
        raise UnfitError(("between",), show(texts), 'two times such as ["22:00", "06:00"]')
    try:
        return parse_minutes(texts[0]), parse_minutes(texts[1], end=True)
    except ValueError as error:
        raise UnfitError(("between",), ", ".join(map(show, texts)), str(error)) from None


def _read(name: str, raw: dict[str, Any], parse: Callable[[object], Any], default: Any) -> Any:
    try:
        return parse(raw[name]) if name in raw else default
    except ValueError as error:
        raise UnfitError((name,), show(raw[name]), str(error)) from None
