"""What is wrong with rules that load: what can never happen, and what is surely not meant. Pure.

Owns the order and the severity of findings. Each kind of them is judged in a file of its own, lint_*.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from remediator.model.policy import Policy
from remediator.rules.faults import Fault
from remediator.rules.lint_names import in_names, under_policy
from remediator.rules.lint_order import always_yield
from remediator.rules.lint_steps import in_steps
from remediator.rules.lint_where import in_selectors
from remediator.rules.notes import Note
from remediator.rules.spec import Rule, RuleSetSpec

FAULT = "fault"
WARNING = "warning"
_FAULTS = frozenset({"never-matches", "never-ends", "never-done", "no-such-group", "no-such-name"})


class Finding(msgspec.Struct, frozen=True, order=True):
    """One finding. severity: 'fault' cannot be meant, 'warning' hardly is; code: of its kind, such as 'shadowed'."""

    fault: Fault
    code: str
    severity: str

    def __str__(self) -> str:
        return str(self.fault) if self.severity == FAULT else f"{self.fault} [warning: {self.code}]"


def lint(spec: RuleSetSpec, policy: Policy | None = None) -> list[Finding]:
    """All findings, in the order of file and line. policy: what the rules will run under, None if that is not known."""
    found = {_finding(rule, note) for rule in spec.rules for note in _of_rule(rule, policy)}
    found |= {_finding(rule, note) for rule, note in always_yield(spec.rules, policy)}
    return sorted(found)


def _of_rule(rule: Rule, policy: Policy | None) -> Iterator[Note]:
    yield from in_selectors(rule)
    yield from in_steps(rule)
    yield from in_names(rule)
    if policy is not None:
        yield from under_policy(rule, policy)


def _finding(rule: Rule, note: Note) -> Finding:
    place = " ".join(part for part in (f'rule "{rule.id}"', note.place) if part)
    fault = Fault(rule.file, rule.line, place, note.found, note.allowed, note.hint)
    return Finding(fault, note.code, FAULT if note.code in _FAULTS else WARNING)
