"""Clauses: a `where` table compiled into tests of an event's fields. A clause answers yes, no, or error with a reason.

Owns the names of fields and how each is read from an event. What a condition means is in operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from remediator.model.event import ErrorInfo, Event
from remediator.rules.operators import Condition, Trouble, UnfitError, Verdict, all_verdicts, compile_condition
from remediator.rules.toml import kind_of, listing, near, quote_key


class Missing:
    """The value of a field that the event does not have."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()
MAX_DEPTH = 20
Getter = Callable[[Event], Any]
Report = Callable[[tuple[str | int, ...], str, str, str], None]
"""Takes the path inside `where`, what was found, what is allowed and a near name."""

ATTRIBUTES = "attributes."
_EMPTY_IS_MISSING = ("source", "namespace", "deployment")
_PLAIN = tuple(name for name in Event.__struct_fields__ if name not in ("error", "attributes"))
FIELDS: tuple[str, ...] = (*_PLAIN, *(f"error.{name}" for name in ErrorInfo.__struct_fields__))
"""Every field but the attributes, which are `attributes.<path>`."""


class Clause(msgspec.Struct, frozen=True):
    """One field and its condition, compiled; `raw` is the condition as written."""

    field: str
    raw: Any
    get: Getter
    condition: Condition

    def verdict(self, event: Event) -> Verdict:
        """Yes, no, or why neither. Never raises."""
        value = self.get(event)
        if value is MISSING:
            answer = self.condition.missing
            verdict: Verdict = answer if answer is not None else False
        else:
            verdict = self.condition.test(value)
        return Trouble(f"{self.field}: {verdict.reason}") if isinstance(verdict, Trouble) else verdict


class ClauseVerdict(msgspec.Struct, frozen=True):
    """What one clause made of one event. verdict: 'yes', 'no' or 'error'; value_met: None for a missing field."""

    field: str
    condition: Any
    value_met: Any
    verdict: str
    reason: str


def compile_where(where: Mapping[str, Any], report: Report) -> tuple[Clause, ...]:
    """The clauses of a `where` table, in its order. Each fault is reported and its clause left out."""
    clauses: list[Clause] = []
    for field, raw in where.items():
        getter = getter_of(field)
        if getter is None:
            report((field,), *_unknown_field(field, raw))
            continue
        try:
            clauses.append(Clause(field, raw, getter, compile_condition(raw)))
        except UnfitError as unfit:
            report((field, *unfit.path), unfit.found, unfit.allowed, unfit.hint)
    return tuple(clauses)


def verdict_of(clauses: tuple[Clause, ...], event: Event) -> Verdict:
    """All clauses together: no if any says no, else the first error, else yes."""
    return all_verdicts(clause.verdict(event) for clause in clauses)


def explain_clause(clause: Clause, event: Event) -> ClauseVerdict:
    """The clause's answer with the value that it met."""
    value, verdict = clause.get(event), clause.verdict(event)
    met = None if value is MISSING else value
    if isinstance(verdict, Trouble):
        return ClauseVerdict(clause.field, clause.raw, met, "error", verdict.reason)
    reason = "the field is missing" if value is MISSING else "the condition holds" if verdict else "it does not hold"
    return ClauseVerdict(clause.field, clause.raw, met, "yes" if verdict else "no", reason)


def getter_of(field: str) -> Getter | None:
    """How to read a field, None if there is no such field."""
    if field in _PLAIN:
        return _plain(field)
    if field in FIELDS:
        return _of_error(field.removeprefix("error."))
    path = field.removeprefix(ATTRIBUTES)
    if path == field or not path or path.count(".") >= MAX_DEPTH:
        return None
    return lambda event: _dig(event.attributes, path)


def _plain(name: str) -> Getter:
    read = attrgetter(name)
    empty = "" if name in _EMPTY_IS_MISSING else None

    def get(event: Event) -> Any:
        value = read(event)
        return MISSING if value is None or value == empty else value

    return get


def _of_error(name: str) -> Getter:
    read = attrgetter(name)

    def get(event: Event) -> Any:
        value = None if event.error is None else read(event.error)
        return MISSING if value is None else value

    return get


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


def _unknown_field(field: str, raw: Any) -> tuple[str, str, str]:
    allowed = f"{listing(FIELDS)}, attributes.<path>"
    if field in ("error", "attributes") and isinstance(raw, dict):
        inner = next(iter(raw), "type")
        return (f"{kind_of(raw)} as {field}", "names with a dot in quotes", f'"{field}.{inner}"'[:80])
    return (f"unknown field {quote_key(field)}", allowed, near(field, FIELDS))
