"""Rule tests that lie beside their rules as *.test.toml: text -> cases -> results. Pure.

A case is an event and the rule that must respond to it, or 'unclassified' for none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from remediator.model.event import ErrorInfo, Event
from remediator.rules.index import Matched, RuleSet
from remediator.rules.toml import Document, Table, kind_of, listing, near, quote_key

UNCLASSIFIED = "unclassified"
MAX_CASES = 10_000


class Case(msgspec.Struct, frozen=True):
    """One `[[case]]`. expect: a rule's id or 'unclassified'."""

    name: str
    event: Event
    expect: str
    file: str
    line: int


class Result(msgspec.Struct, frozen=True):
    """What came of a case. got: a rule's id, 'unclassified', or 'error in <rule>: <reason>'."""

    case: Case
    got: str

    @property
    def passed(self) -> bool:
        """Whether the rules did what the case expects."""
        return self.got == self.case.expect

    def __str__(self) -> str:
        verdict = "ok" if self.passed else f"expected {self.case.expect}, got {self.got}"
        return f"{self.case.file}:{self.case.line}: {self.case.name}: {verdict}"


def read_cases(document: Document, rule_ids: Iterable[str]) -> list[Case]:
    """The cases of one file. Raises Faults, also for an `expect` that names no rule."""
    allowed = [UNCLASSIFIED, *rule_ids]
    root = document.root()
    tables = root.tables("case")
    if len(tables) > MAX_CASES:
        root.fault("case", f"{len(tables):,} cases", f"at most {MAX_CASES:,}")
    cases = [_case(table, allowed) for table in tables[:MAX_CASES]]
    root.close()
    document.check()
    return [case for case in cases if case is not None]


def run_cases(rule_set: RuleSet, cases: Iterable[Case]) -> list[Result]:
    """Every case tried on the rules."""
    return [Result(case, _responder(rule_set.match(case.event))) for case in cases]


def _responder(matched: Matched) -> str:
    if matched.errors:
        rule, reason = matched.errors[0]
        return f"error in {rule}: {reason}"
    return matched.rules[0].id if matched.rules else UNCLASSIFIED


def _case(table: Table, allowed: list[str]) -> Case | None:
    table.require("event", "expect")
    name = table.text("name", max_length=200) or f"case {table.line}"
    expect = table.text("expect")
    if expect and expect not in allowed:
        table.fault("expect", f"unknown rule {quote_key(expect)}", listing(allowed), near(expect, allowed))
    event = _event(table.table("event"))
    table.close()
    return None if event is None else Case(name, event, expect, table.document.file, table.line)


def _event(table: Table) -> Event | None:
    data = dict(table.data)
    _known(table, Event.__struct_fields__)
    if isinstance(data.get("error"), dict):
        _known(table.table("error"), ErrorInfo.__struct_fields__)
    if "type" not in data:
        table.require("type")
        return None
    try:
        return msgspec.convert({"time": 0, **data}, Event)
    except msgspec.ValidationError as error:
        _report_unfit(table, str(error))
        return None


def _report_unfit(table: Table, message: str) -> None:
    reason, _, path = message.partition(" - at `$.")
    key = path.rstrip("`").partition(".")[0].partition("[")[0]
    value: Any = table.data.get(key)
    table.fault(key if key in table else "", f"{kind_of(value)} as {key}", f"an event's fields: {reason}")


def _known(table: Table, fields: tuple[str, ...]) -> None:
    for field in fields:
        table.raw(field)
    table.close()
