"""Rule tests that lie beside their rules as *.test.toml: text -> cases -> results. Pure.

A case is an event and the rule that must respond to it, or 'unclassified' for none; and, if wanted, what it says.
Stories over time, `[[timeline]]`, are read by testfile_timeline.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from remediator.model.event import Event
from remediator.model.firing import FiringView
from remediator.rules.index import Matched, RuleSet
from remediator.rules.scene import Scene
from remediator.rules.spec import Rule
from remediator.rules.testfile_event import event_data, to_event
from remediator.rules.toml import Table, listing, near, quote_key, show

UNCLASSIFIED = "unclassified"
MAX_CASES = 10_000


class Case(msgspec.Struct, frozen=True):
    """One `[[case]]`. expect: a rule's id or 'unclassified'. text: what one of its steps says; '': whatever."""

    name: str
    event: Event
    expect: str
    file: str
    line: int
    text: str = ""


class Result(msgspec.Struct, frozen=True):
    """What came of a case. got: a rule's id, 'unclassified', or 'error in <rule>: <reason>'.

    texts: what the steps of the rule say, if the case wants to know.
    """

    case: Case
    got: str
    texts: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the rules did what the case expects."""
        return self.got == self.case.expect and (not self.case.text or self.case.text in self.texts)

    @property
    def difference(self) -> str:
        """'' if there is none."""
        if self.passed:
            return ""
        if self.got != self.case.expect:
            return f"expected {self.case.expect}, got {self.got}"
        return f"expected {self.got} to say {show(self.case.text)}, got {', '.join(map(show, self.texts)) or 'no text'}"

    def __str__(self) -> str:
        return f"{self.case.file}:{self.case.line}: {self.case.name}: {self.difference or 'ok'}"


def cases_of(root: Table, rule_ids: Iterable[str]) -> list[Case]:
    """The cases of a file's top table; faults are kept in its document."""
    allowed = [UNCLASSIFIED, *rule_ids]
    tables = root.tables("case")
    if len(tables) > MAX_CASES:
        root.fault("case", f"{len(tables):,} cases", f"at most {MAX_CASES:,}")
    cases = [_case(table, allowed) for table in tables[:MAX_CASES]]
    return [case for case in cases if case is not None]


def run_case(rule_set: RuleSet, case: Case) -> Result:
    """One case tried on the rules."""
    matched = rule_set.match(case.event)
    texts = _texts(rule_set, matched.rules[0], case.event) if case.text and matched.rules else ()
    return Result(case, _responder(matched), texts)


def _responder(matched: Matched) -> str:
    if matched.errors:
        rule, reason = matched.errors[0]
        return f"error in {rule}: {reason}"
    return matched.rules[0].id if matched.rules else UNCLASSIFIED


def _texts(rule_set: RuleSet, rule: Rule, event: Event) -> tuple[str, ...]:
    """The texts of the rule's steps, written for this event; of its incident nothing is known."""
    view = FiringView(rule.id, 1, event.time, event.time)
    scene = Scene(event=event, rule=rule, match=rule_set.groups(rule, event), firing=view, now=event.time)
    steps = (*rule.do, *rule.otherwise, *rule.on_resolve)
    return tuple(rule_set.render(step.text, scene) for step in steps if step.text)


def _case(table: Table, allowed: list[str]) -> Case | None:
    table.require("event", "expect")
    name = table.text("name", max_length=200) or f"case {table.line}"
    expect, text = _expect(table, allowed)
    data = event_data(table.table("event"))
    event = None if data is None else to_event(table.table("event"), data, 0)
    table.close()
    return None if event is None else Case(name, event, expect, table.document.file, table.line, text)


def _expect(table: Table, allowed: list[str]) -> tuple[str, str]:
    """`expect = "rule"`, or `expect = { rule = "rule", text = "what it says" }`."""
    if not isinstance(table.raw("expect"), dict):
        return _rule(table, "expect", allowed), ""
    inner = table.table("expect")
    inner.require("rule")
    found = _rule(inner, "rule", allowed), inner.text("text", max_length=2_000)
    inner.close()
    return found


def _rule(table: Table, key: str, allowed: list[str]) -> str:
    rule = table.text(key)
    if rule and rule not in allowed:
        table.fault(key, f"unknown rule {quote_key(rule)}", listing(allowed), near(rule, allowed))
    return rule
