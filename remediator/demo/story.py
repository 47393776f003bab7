"""Decisions as a story that a person can follow: one line for each problem, growing step by step. Pure.

Owns which decisions are worth a word and which. The store has all of them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from remediator.model.incident import Incident
from remediator.model.reasons import Decision, Reason
from remediator.model.text import cut
from remediator.model.time import SECOND, Instant

LINES_KEPT = 200
STEPS_KEPT = 12
ERROR_SHOWN = 70
UNHEARD = "failed without any event: found by looking"


class Mood(StrEnum):
    """How a problem stands."""

    WORKING = "working"
    HELPED = "helped"
    PERSON = "person"
    OVER = "over"
    QUIET = "quiet"


@dataclass(slots=True)
class Line:
    """One problem: when it began, where, and what was decided, in order."""

    at: Instant
    place: str
    mood: Mood
    steps: list[str] = field(default_factory=list)

    def add(self, step: str) -> None:
        """Append a step; in a long story the middle is left out."""
        self.steps.append(step)
        if len(self.steps) > STEPS_KEPT:
            self.steps[2:4] = ["…"]

    @property
    def text(self) -> str:
        """'failed finally: … → retry 1 of 3 in 2s → cleared → helped'"""
        return " → ".join(self.steps)


Teller = Callable[[Line, str, Instant], None]
"""(the line, its new step, when)"""
Step = tuple[str, Mood | None]
"""(text, '' for none; the mood from here on, None for no change)"""

STARTS = frozenset({Reason.FAILED_FINALLY, Reason.FOUND_BY_LOOK, Reason.AIRFLOW_RETRIES})
ALERTS = frozenset({Reason.SELF_ALERT, Reason.FEED_BLIND, Reason.GAP_FOUND, Reason.FROZEN, Reason.THAWED})
SAID_ONCE = frozenset({Reason.RULE_RESPONDS, Reason.UNCLASSIFIED})
_FRACTION = re.compile(r"(\d+)s\d+ms")
STEPS: dict[Reason, Callable[[Decision], Step]] = {
    Reason.RULE_RESPONDS: lambda one: (f"rule {one.rule}", None),
    Reason.UNCLASSIFIED: lambda one: ("no rule knows it", None),
    Reason.RETRY_PLANNED: lambda one: (_FRACTION.sub(r"\1s", one.text), Mood.WORKING),
    Reason.DELIVERED: lambda one: ("" if one.text in ("pagerduty.page", "slack.message", "log") else "cleared", None),
    Reason.REFUSED: lambda one: (f"refused: {one.text}", None),
    Reason.OUTCOME_UNKNOWN: lambda one: (f"unknown: {one.text}", None),
    Reason.DID_NOT_HELP: lambda one: ("did not help", None),
    Reason.BUDGET_SPENT: lambda one: (f"budget: {one.text}", None),
    Reason.ATTEMPTS_SPENT: lambda one: (one.text, None),
    Reason.NEVER_RETRY: lambda one: (one.text, None),
    Reason.CEILING: lambda one: (one.text, None),
    Reason.FROZEN: lambda one: (one.text, Mood.WORKING),
    Reason.CATCHING_UP: lambda one: ("people wait until the feed has caught up", None),
    Reason.PAGED: lambda one: ("paged" if one.text.startswith("pagerduty") else "told in Slack", Mood.PERSON),
    Reason.NOTIFIED: lambda one: ("told", None),
    Reason.RECOVERED: lambda one: (one.text, Mood.OVER),
    Reason.GONE: lambda one: (one.text, Mood.OVER),
    Reason.HELPED: lambda one: ("helped", Mood.HELPED),
}
"""What a decision adds to the line of its problem."""


class Story:
    """Lines, oldest first. `teller` hears of each step as it happens."""

    def __init__(self, teller: Teller = lambda line, step, at: None) -> None:
        self.lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self._open: dict[str, Line] = {}
        self._teller = teller

    def take(self, decisions: Sequence[Decision], incidents: Iterable[Incident]) -> None:
        """One committed step of the controller: its decisions, and the incidents as they are now."""
        known = {one.id: one for one in incidents}
        for decision in decisions:
            self._take(decision, known.get(decision.incident))

    def _take(self, decision: Decision, incident: Incident | None) -> None:
        line = self._open.get(decision.incident) if decision.incident else None
        if decision.reason is Reason.INCIDENT_RESOLVED:
            self._open.pop(decision.incident, None)
        elif decision.reason in STARTS:
            self._start(decision, line, incident)
        elif line is not None and decision.reason in STEPS:
            text, mood = STEPS[decision.reason](decision)
            if decision.reason in SAID_ONCE and text in line.steps:
                return
            if decision.reason is Reason.HELPED:
                text += f" after {(decision.at - line.at) // SECOND} s"
            self._add(line, text, mood, decision.at)
        elif line is None and decision.reason in ALERTS:
            self._add(self._new(decision.at, "remediator", Mood.PERSON), decision.text, None, decision.at)

    def _start(self, decision: Decision, line: Line | None, incident: Incident | None) -> None:
        if decision.reason is Reason.AIRFLOW_RETRIES:
            if line is None:
                quiet = self._new(decision.at, place_of(decision), Mood.QUIET)
                self._add(quiet, "failed, and runs again already: nothing to do", None, decision.at)
            return
        fresh = line or self._new(decision.at, place_of(decision), Mood.WORKING)
        self._open[decision.incident] = fresh
        self._add(fresh, _begun(decision, incident, line), Mood.WORKING, decision.at)

    def _new(self, at: Instant, place: str, mood: Mood) -> Line:
        line = Line(at, place, mood)
        self.lines.append(line)
        return line

    def _add(self, line: Line, step: str, mood: Mood | None, at: Instant) -> None:
        line.mood = mood or line.mood
        if step and line.steps[-1:] != [step]:
            line.add(step)
            self._teller(line, step, at)


def _begun(decision: Decision, incident: Incident | None, line: Line | None) -> str:
    if decision.reason is Reason.FOUND_BY_LOOK:
        return UNHEARD
    if line is not None:
        return "its event is lost" if line.steps[-1:] == [UNHEARD] else "failed again"
    error = shortened(incident.error, ERROR_SHOWN) if incident is not None else ""
    return f"failed finally: {error}" if error else "failed finally"


def place_of(decision: Decision) -> str:
    """'prod-eu crm_sync.extract'; decisions about one task begin with its name."""
    deployment, _, dag_id = decision.key.removeprefix("dag:").partition("/")
    return f"{deployment} {dag_id}.{decision.text.split(' ', 1)[0]}"


def shortened(text: str, most: int) -> str:
    """One line of at most so many characters."""
    flat = " ".join(text.split())
    return cut(flat, most)
