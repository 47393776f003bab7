"""The report: what rules did over a record, counted by rule, incident and effect.

Owns which decision counts as what. Sees decisions and incidents only; what they mean for exit codes is the CLI's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

import msgspec

from remediator.engine.core import Changes
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Decision, Reason

UNCLASSIFIED = "unclassified"
ERROR_CHARS = 100
MAX_ERRORS = 10_000
OTHER_ERRORS = "(other errors)"

_EFFECTS: dict[Reason, str] = {
    Reason.RULE_RESPONDS: "fired",
    Reason.FIRED: "fired",
    Reason.RULE_OBSERVES: "would have fired",
    Reason.RULE_YIELDS: "yielded",
    Reason.RULE_ERROR: "error",
    Reason.UNCLASSIFIED: "unclassified",
    Reason.RETRY_ISSUED: "retried",
    Reason.HELPED: "helped",
    Reason.DID_NOT_HELP: "did not help",
    Reason.PAGED: "paged",
    Reason.NOTIFIED: "notified",
    Reason.SUPPRESSED: "suppressed",
    Reason.LATE: "late",
}
BRAKES = frozenset({
    Reason.NEVER_RETRY, Reason.CEILING, Reason.APPROVAL_NEEDED, Reason.NOT_ALLOWED, Reason.FOREIGN_HOST,
    Reason.BUDGET_SPENT, Reason.ATTEMPTS_SPENT, Reason.FROZEN, Reason.UNVERIFIED,
    Reason.LIMIT_REACHED,
})  # fmt: skip
"""Reasons that stand for an effect that a rule wanted and did not get."""
_NUMBER = re.compile(r"\d{4,}")
"""Process ids and the like: errors that differ in them are one."""
FIRINGS = ("fired", "would have fired")
ACTIONS = ("retried", "paged", "notified")

Row = tuple[str, str, str]
"""(rule, incident id, effect); the effect of a brake is 'stopped: <its name>'."""


class Outcome(msgspec.Struct):
    """What one rule set did over a record. titles: incident id -> its title."""

    rows: Counter[Row]
    titles: dict[str, str]
    unclassified: Counter[str]
    alerts: Counter[str]
    opened: int = 0
    still_open: int = 0

    def count(self, *effects: str, rule: str = "") -> int:
        """How often these effects came, of one rule or of all."""
        return sum(n for (by, _, effect), n in self.rows.items() if effect in effects and (not rule or by == rule))

    def stopped(self, rule: str = "") -> Counter[str]:
        """Brake -> how often it stopped something."""
        found = Counter[str]()
        for (by, _, effect), number in self.rows.items():
            if effect.startswith("stopped: ") and (not rule or by == rule):
                found[effect.removeprefix("stopped: ")] += number
        return found

    def rules(self) -> list[str]:
        """Rules that did anything, `unclassified` last."""
        names = sorted({rule for rule, _, _ in self.rows})
        return [*(name for name in names if name != UNCLASSIFIED), *(name for name in names if name == UNCLASSIFIED)]


class Tally:
    """Counts what changes tell. Keeps one entry per incident, and one per rule, incident and effect.

    observing: rules that only observe: each of their firings is one that would have been.
    """

    def __init__(self, observing: Collection[str] = ()) -> None:
        self._observing = frozenset(observing)
        self.outcome = Outcome(Counter(), {}, Counter(), Counter())
        self._rule: dict[str, str] = {}
        self._open: set[str] = set()

    def take(self, changes: Changes) -> None:
        """Count one batch of changes."""
        for incident in changes.incidents:
            self._take_incident(incident)
        for decision in changes.decisions:
            self._take_decision(decision, changes)

    def _take_incident(self, incident: Incident) -> None:
        is_new = incident.id not in self._open
        self._rule[incident.id] = incident.rule
        self.outcome.titles[incident.id] = incident.title
        if incident.phase is Phase.RESOLVED:
            self._open.discard(incident.id)
        elif is_new:
            self._open.add(incident.id)
            if incident.rule.startswith("self."):
                self.outcome.alerts[incident.title] += 1
            else:
                self.outcome.opened += 1
        self.outcome.still_open = len(self._open)

    def _take_decision(self, decision: Decision, changes: Changes) -> None:
        reason, incident = decision.reason, decision.incident
        effect = f"stopped: {reason.value}" if reason in BRAKES else _EFFECTS.get(reason)
        if reason is Reason.FIRED and decision.rule in self._observing:
            return  # it is followed by what would have been done
        if effect is None or self._rule.get(incident, "").startswith("self."):
            return
        if reason is Reason.UNCLASSIFIED:
            if incident not in self.outcome.titles:
                return  # an event that nobody answers for; only final failures are told
            self._rule[incident] = UNCLASSIFIED
            self._note_error(next((one.error for one in changes.incidents if one.id == incident), ""))
        if reason is Reason.RULE_RESPONDS and incident:
            self._rule[incident] = decision.rule
        rule = decision.rule or self._rule.get(incident, UNCLASSIFIED)
        self.outcome.rows[rule, incident, effect] += 1

    def _note_error(self, error: str) -> None:
        lines = error.splitlines() or ["(no error text)"]
        name = _NUMBER.sub("#", lines[0])[:ERROR_CHARS]
        errors = self.outcome.unclassified
        errors[name if name in errors or len(errors) < MAX_ERRORS else OTHER_ERRORS] += 1
