"""The report of a shift: what was healed, held, refused, unknown, paged and asked, and how well each rule did.

Pure: counts decisions one by one, and puts the incidents that they were about beside them. Reads no store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from remediator.engine.ledger_state import LedgerState, Rate
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Decision, Reason
from remediator.model.shares import share
from remediator.model.time import Instant, format_instant

LISTED = 100
"""Of each list; counts count all."""
MAX_OBSERVED = 2_000
"""Incidents remembered for each observing rule."""
HELD = frozenset({
    Reason.CATCHING_UP, Reason.FROZEN, Reason.MAINTENANCE, Reason.CAPPED, Reason.QUIET, Reason.HOLDING, Reason.PAUSED,
})  # fmt: skip
REFUSED = frozenset({
    Reason.REFUSED, Reason.NEVER_RETRY, Reason.CEILING, Reason.NOT_ALLOWED, Reason.FOREIGN_HOST, Reason.BUDGET_SPENT,
    Reason.ATTEMPTS_SPENT, Reason.UNVERIFIED, Reason.REJECTED, Reason.PROPOSAL_EXPIRED, Reason.RULE_ERROR,
})  # fmt: skip
ANSWERS: dict[Reason, str] = {
    Reason.APPROVED: "approved",
    Reason.REJECTED: "rejected",
    Reason.PROPOSAL_EXPIRED: "expired",
}
ISSUED = frozenset({Reason.RETRY_ISSUED, Reason.CHANGE_ISSUED})
_PROPOSAL = re.compile(r"proposal ([0-9a-f]{8,}) is open")
_ROUTE = re.compile(r" by route '([^']*)'")

View = dict[str, Any]


class RuleTally(msgspec.Struct):
    """One rule within the time of the report."""

    answered: int = 0
    changes: int = 0
    helped: int = 0
    in_vain: int = 0


class Observed(msgspec.Struct):
    """What a rule that only observes would have done."""

    would: str = ""
    times: int = 0
    incidents: dict[str, None] = {}


class Asked(msgspec.Struct):
    """A proposal and what became of it."""

    id: str
    at: Instant
    incident: str
    rule: str
    text: str
    answer: str = "open"
    by: str = ""
    answered_at: Instant | None = None


class Tally:
    """Takes the decisions from `begin` on, in order."""

    def __init__(self, begin: Instant, end: Instant) -> None:
        self._begin = begin
        self._end = end
        self._held: dict[str, Counter[str]] = {}
        self._refused: dict[str, Counter[str]] = {}
        self._unclassified: set[str] = set()
        self._unknown: list[Decision] = []
        self._pages: Counter[str] = Counter()
        self._page: tuple[Instant, str, str] | None = None
        self._counts: Counter[Reason] = Counter()
        self._rules: dict[str, RuleTally] = {}
        self._observed: dict[str, Observed] = {}
        self._asked: list[Asked] = []

    def take(self, decision: Decision) -> None:
        """One more."""
        reason = decision.reason
        self._counts[reason] += 1
        if reason in HELD:
            self._held.setdefault(reason.value, Counter())[decision.incident] += 1
        if reason in REFUSED:
            self._refused.setdefault(reason.value, Counter())[decision.incident] += 1
        if reason is Reason.OUTCOME_UNKNOWN and len(self._unknown) < LISTED:
            self._unknown.append(decision)
        elif reason is Reason.UNCLASSIFIED:
            self._unclassified.add(decision.incident)
        elif reason is Reason.PAGED:
            self._count_page(decision)
        elif reason is Reason.RULE_OBSERVES:
            self._observe(decision)
        elif reason is Reason.PROPOSED:
            self._propose(decision)
        elif reason in ANSWERS:
            self._answer(decision)
        self._take_rule(decision)

    def _count_page(self, decision: Decision) -> None:
        """Each destination of a route is a decision of its own; together, of one instant, they are one page."""
        found = _ROUTE.search(decision.text)
        route = found[1] if found else ""
        page = (decision.at, decision.incident, route)
        self._pages[route] += page != self._page
        self._page = page

    def _take_rule(self, decision: Decision) -> None:
        if not decision.rule:
            return
        reason = decision.reason
        if reason in ISSUED or reason in (Reason.RULE_RESPONDS, Reason.HELPED, Reason.DID_NOT_HELP):
            rule = self._rules.setdefault(decision.rule, RuleTally())
            rule.answered += reason is Reason.RULE_RESPONDS
            rule.changes += reason in ISSUED
            rule.helped += reason is Reason.HELPED
            rule.in_vain += reason is Reason.DID_NOT_HELP

    def _observe(self, decision: Decision) -> None:
        seen = self._observed.setdefault(decision.rule, Observed())
        seen.times += 1
        seen.would = decision.text.removeprefix("would have done: ")
        if len(seen.incidents) < MAX_OBSERVED:
            seen.incidents[decision.incident] = None

    def _propose(self, decision: Decision) -> None:
        named = _PROPOSAL.search(decision.text)
        text = decision.text.partition("; proposal ")[0]
        asked = Asked(named[1] if named else "", decision.at, decision.incident, decision.rule, text)
        if len(self._asked) < LISTED:
            self._asked.append(asked)

    def _answer(self, decision: Decision) -> None:
        for asked in reversed(self._asked):
            if asked.answer == "open" and (asked.incident, asked.rule) == (decision.incident, decision.rule):
                asked.answer, asked.answered_at = ANSWERS[decision.reason], decision.at
                asked.by = decision.text.removeprefix("by ") if decision.text.startswith("by ") else ""
                return

    # -- the whole --------------------------------------------------------------------------------------------

    def view(self, incidents: Sequence[Incident], ledger: LedgerState) -> View:
        """The report as JSON; what its caller adds is not in it.

        incidents: every episode, the latest updated first, any number. What is open is counted however old it is.
        """
        known: dict[str, Incident] = {}
        for one in incidents:
            if one.id not in known or known[one.id].episode < one.episode:
                known[one.id] = one
        resolved = [one for one in incidents if one.phase is Phase.RESOLVED and one.updated_at >= self._begin]
        healed = [one for one in resolved if one.helped]
        opened = sum(one.opened_at >= self._begin for one in incidents)
        return {
            "since": format_instant(self._begin),
            "until": format_instant(self._end),
            "counts": self._summary(opened, known.values(), resolved, healed),
            "healed": [_incident(one) for one in healed[:LISTED]],
            "held": _by_reason(self._held),
            "refused": _by_reason(self._refused),
            "unknown": [_unknown(one, known) for one in self._unknown],
            "pages": dict(self._pages),
            "rules": self._rule_views(ledger),
            "rates": rate_views(ledger),
            "observing": [_observed(rule, seen, known) for rule, seen in sorted(self._observed.items())],
            "proposals": [_asked(asked, known) for asked in self._asked],
        }

    def _summary(
        self, opened: int, known: Iterable[Incident], resolved: list[Incident], healed: list[Incident]
    ) -> View:
        return {
            "opened": opened,
            "open": sum(one.phase is not Phase.RESOLVED for one in known),
            "healed": len(healed),
            "ended_otherwise": dict(Counter(one.resolution or "unknown" for one in resolved if not one.helped)),
            "held": len(_union(self._held)),
            "refused": len(_union(self._refused)),
            "unknown": self._counts[Reason.OUTCOME_UNKNOWN],
            "unclassified": len(self._unclassified),
            "changes": sum(self._counts[reason] for reason in ISSUED),
            "pages": self._pages.total(),
            "digested": self._counts[Reason.DIGESTED],
        }

    def _rule_views(self, ledger: LedgerState) -> list[View]:
        ever = rates_by_rule(ledger)
        views = []
        for name in sorted({*self._rules, *ever}):
            rule, rate = self._rules.get(name, RuleTally()), ever.get(name, Rate())
            views.append({
                "rule": name, "answered": rule.answered, "changes": rule.changes, "helped": rule.helped,
                "in_vain": rule.in_vain, "precision": share(rule.helped, rule.in_vain),
                "ever": {"helped": rate.helped, "in_vain": rate.in_vain,
                         "precision": share(rate.helped, rate.in_vain)},
            })  # fmt: skip
        return views


def rates_by_rule(ledger: LedgerState) -> dict[str, Rate]:
    """The ledger's rates, which are kept by rule, signature and deployment, by rule."""
    found: dict[str, Rate] = {}
    for name, rate in ledger.rates.items():
        total = found.setdefault(name.rsplit("/", 2)[0], Rate())
        total.helped += rate.helped
        total.in_vain += rate.in_vain
    return found


def rates_by_place(ledger: LedgerState) -> dict[tuple[str, str], Rate]:
    """The ledger's rates by rule and deployment."""
    found: dict[tuple[str, str], Rate] = {}
    for name, rate in ledger.rates.items():
        rule, _, deployment = name.rsplit("/", 2)
        total = found.setdefault((rule, deployment), Rate())
        total.helped += rate.helped
        total.in_vain += rate.in_vain
    return found


def rate_views(ledger: LedgerState) -> list[View]:
    """What each rule's changes came to against each error of each deployment, the most tried first."""
    views: list[View] = []
    ranked = sorted(ledger.rates.items(), key=lambda item: (-item[1].helped - item[1].in_vain, item[0]))
    for name, rate in ranked[:LISTED]:
        rule, signature, deployment = name.rsplit("/", 2)
        views.append({
            "rule": rule, "signature": signature, "deployment": deployment, "helped": rate.helped,
            "in_vain": rate.in_vain, "precision": share(rate.helped, rate.in_vain),
        })  # fmt: skip
    return views


def _union(by_reason: Mapping[str, Counter[str]]) -> set[str]:
    return {incident for counter in by_reason.values() for incident in counter if incident}


def _by_reason(by_reason: Mapping[str, Counter[str]]) -> list[View]:
    views = []
    for reason, counter in by_reason.items():
        named = [incident for incident in counter if incident]  # a freeze, or a rule over time, is about no incident
        views.append({"reason": reason, "times": counter.total(), "incidents": len(named), "examples": named[:5]})
    return sorted(views, key=lambda view: (-int(str(view["times"])), str(view["reason"])))


def _incident(incident: Incident) -> View:
    return {
        "incident": incident.id,
        "title": incident.title,
        "deployment": incident.deployment,
        "dag_id": incident.dag_id,
        "task_id": incident.task_id,
        "rule": incident.rule,
        "failures": incident.failures,
        "opened_at": format_instant(incident.opened_at),
        "resolved_at": format_instant(incident.resolved_at) if incident.resolved_at is not None else None,
        "paged": incident.paged,
    }


def _title(incident_id: str, known: Mapping[str, Incident]) -> str:
    return known[incident_id].title if incident_id in known else ""


def _unknown(decision: Decision, known: Mapping[str, Incident]) -> View:
    return {
        "at": format_instant(decision.at),
        "incident": decision.incident,
        "title": _title(decision.incident, known),
        "action_id": decision.action_id,
        "text": decision.text,
    }


def _asked(asked: Asked, known: Mapping[str, Incident]) -> View:
    incident = known.get(asked.incident)
    waits = incident is None or any(one.id == asked.id for one in incident.proposals)
    return {
        "proposal": asked.id,
        "at": format_instant(asked.at),
        "incident": asked.incident,
        "title": _title(asked.incident, known),
        "rule": asked.rule,
        "text": asked.text,
        "answer": "not needed" if asked.answer == "open" and not waits else asked.answer,
        "by": asked.by,
        "answered_at": format_instant(asked.answered_at) if asked.answered_at is not None else None,
    }


def _observed(rule: str, seen: Observed, known: Mapping[str, Incident]) -> View:
    """What would have been answered, and how it ended without."""
    ends = Counter(end_of(known.get(incident)) for incident in seen.incidents)
    well, rest = ends["healed"] + ends["recovered"], ends["open"] + ends["ended otherwise"]
    return {
        "rule": rule,
        "would_have_done": seen.would,
        "times": seen.times,
        "incidents": len(seen.incidents),
        "ends": dict(ends),
        "paged": sum(incident in known and known[incident].paged for incident in seen.incidents),
        "ended_well": share(well, rest),
    }


def end_of(incident: Incident | None) -> str:
    """How an incident ended, as evidence for a rule that would have retried: did running it again cure it?"""
    if incident is None:
        return "no longer known"
    if incident.phase is not Phase.RESOLVED:
        return "open"
    if incident.helped:
        return "healed"
    return "recovered" if incident.resolution == Reason.RECOVERED.value else "ended otherwise"
