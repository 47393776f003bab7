"""Clauses: a `where` table compiled into tests of an event's fields. A clause answers yes, no, or error with a reason.

Owns how clauses combine: all of a table, `any`, `all`, `not`. What a condition on one field means is in operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from remediator.rules.conditions import (
    MISSING,
    MISSING_FIELD,
    Condition,
    Getter,
    Lookup,
    Trouble,
    UnfitError,
    Verdict,
    all_verdicts,
    any_verdict,
    not_verdict,
)
from remediator.rules.fields import FIELDS as FIELDS
from remediator.rules.fields import field_of
from remediator.rules.fields import key_values as key_values
from remediator.rules.globs import compile_pattern
from remediator.rules.operators import compile_condition
from remediator.rules.toml import kind_of, listing, near, quote_key, show

MAX_LEVELS = 5
"""How deep `any`, `all` and `not` may be inside each other."""
MAX_BRANCHES = 100
COMBINATIONS = ("any", "all", "not")
Report = Callable[[tuple[str | int, ...], str, str, str], None]
"""Takes the path inside `where`, what was found, what is allowed and a near name."""


class Clause(msgspec.Struct, frozen=True):
    """One field and its condition, compiled. place: where it is in the table; raw: the condition as written.

    absent: the answer for a missing field.
    """

    place: str
    field: str
    raw: Any
    get: Getter
    condition: Condition
    absent: Verdict = False

    def verdict(self, subject: Any) -> Verdict:
        """Yes, no, or why neither. Never raises."""
        value = self.get(subject)
        verdict = self.absent if value is MISSING else self.condition.test(value, subject)
        return Trouble(f"{self.place}: {verdict.reason}") if isinstance(verdict, Trouble) else verdict


class Group(msgspec.Struct, frozen=True):
    """Tables of clauses combined. kind: one of COMBINATIONS; `not` has one table."""

    place: str
    kind: str
    raw: Any
    tables: tuple[Clauses, ...]

    def verdict(self, subject: Any) -> Verdict:
        """Yes, no, or why neither. Never raises."""
        verdicts = (verdict_of(table, subject) for table in self.tables)
        if self.kind == "any":
            return any_verdict(verdicts)
        verdict = all_verdicts(verdicts)
        return not_verdict(verdict) if self.kind == "not" else verdict


Clauses = tuple[Clause | Group, ...]


class ClauseVerdict(msgspec.Struct, frozen=True):
    """What one clause made of one event. verdict: 'yes', 'no' or 'error'; value_met: None for a missing field.

    children: of `any`, `all` and `not`, in their order; their fields say where they are: 'any[1].dag_id'.
    """

    field: str
    condition: Any
    value_met: Any
    verdict: str
    reason: str
    children: tuple[ClauseVerdict, ...] = ()


def compile_where(
    where: Mapping[str, Any], report: Report, lookup: Lookup = field_of, names: Iterable[str] = FIELDS
) -> Clauses:
    """The clauses of a `where` table, in its order. Each fault is reported and its clause left out.

    lookup: the fields there are; names: those of them that faults list.
    """
    return _Compiler(report, lookup, tuple(names)).table(where, (), 0, strict=False)


class _Compiler:
    def __init__(self, report: Report, lookup: Lookup, names: tuple[str, ...]) -> None:
        self._report = report
        self._lookup = lookup
        self._names = names

    def table(self, where: Mapping[str, Any], path: tuple[str | int, ...], level: int, strict: bool) -> Clauses:
        """strict: inside `not`, where a missing field is an error instead of a no."""
        clauses: list[Clause | Group] = []
        for name, raw in where.items():
            try:
                clauses.append(
                    self._group(name, raw, path, level, strict)
                    if name in COMBINATIONS
                    else self._clause(name, raw, path, strict)
                )
            except UnfitError as unfit:
                self._report((*path, name, *unfit.path), unfit.found, unfit.allowed, unfit.hint)
        return tuple(clauses)

    def _clause(self, name: str, raw: Any, path: tuple[str | int, ...], strict: bool) -> Clause:
        field = self._lookup(name)
        if field is None:
            raise UnfitError((), *_unknown_field(name, raw, self._names))
        condition = compile_condition(raw, field.kind, self._lookup)
        absent = condition.missing
        if absent is None:
            absent = MISSING_FIELD if strict else False
        return Clause(_place((*path, name)), name, raw, field.get, condition, absent)

    def _group(self, name: str, raw: Any, path: tuple[str | int, ...], level: int, strict: bool) -> Group:
        if level >= MAX_LEVELS:
            raise UnfitError((), f"{name} at level {level + 1}", f"at most {MAX_LEVELS} levels of any, all and not")
        place, inner = _place((*path, name)), strict or name == "not"
        if name == "not":
            _check_table(raw, ())
            return Group(place, name, raw, (self.table(raw, (*path, name), level + 1, inner),))
        if not isinstance(raw, list) or not 0 < len(raw) <= MAX_BRANCHES:
            found = f"a list of {len(raw):,}" if isinstance(raw, list) else show(raw)
            raise UnfitError((), found, f"a list of 1 to {MAX_BRANCHES} tables")
        for index, table in enumerate(raw):
            _check_table(table, (index,))
        tables = (self.table(table, (*path, name, index), level + 1, inner) for index, table in enumerate(raw))
        return Group(place, name, raw, tuple(tables))


def _check_table(raw: Any, path: tuple[str | int, ...]) -> None:
    if not isinstance(raw, dict) or not raw:
        found = "an empty table" if raw == {} else show(raw)
        raise UnfitError(path, found, 'a table of conditions such as { dag_id = "billing" }')


def _place(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _unknown_field(field: str, raw: Any, names: tuple[str, ...]) -> tuple[str, str, str]:
    allowed = f"{listing(names, 60)}, attributes.<path>, {', '.join(COMBINATIONS)}"
    if field in ("error", "attributes", "condition") and isinstance(raw, dict):
        inner = next(iter(raw), "type")
        return (f"{kind_of(raw)} as {field}", "names with a dot in quotes", f'"{field}.{inner}"'[:80])
    return (f"unknown field {quote_key(field)}", allowed, near(field, (*names, *COMBINATIONS)))


def verdict_of(clauses: Clauses, subject: Any) -> Verdict:
    """All clauses together: no if any says no, else the first error, else yes."""
    return all_verdicts(clause.verdict(subject) for clause in clauses)


def explain_clause(clause: Clause | Group, subject: Any) -> ClauseVerdict:
    """The clause's answer with the value that it met, and those of the clauses inside it."""
    if isinstance(clause, Group):
        return _explain_group(clause, subject)
    value = clause.get(subject)
    met = None if value is MISSING else value
    reason = "the field is missing" if value is MISSING else ""
    return _explained(clause.place, clause.raw, met, clause.verdict(subject), reason)


def _explain_group(group: Group, subject: Any) -> ClauseVerdict:
    children = tuple(explain_clause(inner, subject) for table in group.tables for inner in table)
    verdict = _explained(group.place, group.raw, None, group.verdict(subject))
    return msgspec.structs.replace(verdict, children=children)


def _explained(place: str, raw: Any, met: Any, verdict: Verdict, reason: str = "") -> ClauseVerdict:
    if isinstance(verdict, Trouble):
        return ClauseVerdict(place, raw, met, "error", verdict.reason)
    reason = reason or ("the condition holds" if verdict else "it does not hold")
    return ClauseVerdict(place, raw, met, "yes" if verdict else "no", reason)


# Named groups -------------------------------------------------------------------------------------------------------


def named_patterns(clauses: Clauses) -> Iterator[tuple[Getter, str]]:
    """Patterns with named groups and the fields they are looked for in; those inside `not` name nothing."""
    for clause in clauses:
        if isinstance(clause, Clause):
            yield from ((clause.get, pattern) for pattern in clause.condition.named)
        elif clause.kind != "not":
            for table in clause.tables:
                yield from named_patterns(table)


def group_names(clauses: Clauses) -> tuple[str, ...]:
    """The names that texts may use as {match.name}, in order, each as often as patterns give it."""
    return tuple(name for _, pattern in named_patterns(clauses) for name in compile_pattern(pattern).groupindex)
