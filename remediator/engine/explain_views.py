"""What an explanation is made of: plain values that print as they are, bounded, whatever the event holds.

Owns their shapes and how values of events become texts. Decides nothing.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from remediator.model.text import cut
from remediator.model.time import Duration, Instant, format_duration, format_instant
from remediator.rules.clauses import ClauseVerdict
from remediator.rules.fields import text_of

MAX_SHOWN = 500
"""Longest text of one value or condition, in characters."""
MAX_ELEMENTS = 50
YES, NO, WAIT, ERROR, UNKNOWN = "yes", "no", "wait", "error", "unknown"
_INSTANTS = ("time", "logical_date", "started_at", "ended_at")
_AROUND = re.compile(r"^(?:(?:(?:any|all)\[\d+\]|not|of|end|\d+)\.)+")


class Check(msgspec.Struct, frozen=True):
    """One thing that allows ('yes'), forbids ('no') or holds back ('wait'); 'unknown': it cannot be known here."""

    name: str
    verdict: str
    text: str


class ClauseView(msgspec.Struct, frozen=True):
    """One clause: the condition as JSON text, the value met (None: missing), 'yes', 'no' or 'error', and why."""

    field: str
    condition: str
    value: Any
    verdict: str
    reason: str
    children: tuple[ClauseView, ...] = ()


class StepView(msgspec.Struct, frozen=True):
    """One step of a response. verdict: 'yes' would be done, 'no' would be left out or refused, 'wait' not yet."""

    step: str
    action: str
    to: str
    verdict: str
    checks: tuple[Check, ...]


class IncidentView(msgspec.Struct, frozen=True):
    """The incident that the rule's answer would join. told: who knows of it. Instants as ISO 8601 texts."""

    id: str
    episode: int
    title: str
    failures: int
    opened_at: str
    told: tuple[str, ...]


class RuleView(msgspec.Struct, frozen=True):
    """What one rule makes of the event.

    role: 'responds', 'yields', 'observes', 'counts' (a rule over time), 'ends' (its `ended_by`), 'out_of_scope',
        'error' or 'no'.
    state: of a detector's key, and what a rule over infrastructure finds; steps: of a rule that could respond.
    """

    rule: str
    summary: str
    file: str
    line: int
    mode: str
    priority: int
    role: str
    text: str
    clauses: tuple[ClauseView, ...]
    state: tuple[Check, ...] = ()
    steps: tuple[StepView, ...] = ()
    incident: IncidentView | None = None


class Explained(msgspec.Struct, frozen=True):
    """One form of one event. given: the type that was given, another one than `type` for what it would become.

    responder: '' for none. rules: the ones that listen to the type, first to respond first; left_off: further ones of
    them; silent: rules that are on other types. live: whether stored states were looked at, which are of `now`.
    """

    type: str
    given: str
    time: str
    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    outcome: str
    responder: str
    live: bool
    now: str
    checks: tuple[Check, ...]
    rules: tuple[RuleView, ...]
    left_off: int
    silent: int


def clause_view(verdict: ClauseVerdict) -> ClauseView:
    """A clause's verdict with its values as texts."""
    children = tuple(map(clause_view, verdict.children))
    value = shown(verdict.field, verdict.value_met)
    return ClauseView(verdict.field, _json(verdict.condition), value, verdict.verdict, _short(verdict.reason), children)


def _json(raw: Any) -> str:
    return _short(msgspec.json.encode(raw, enc_hook=str).decode("utf-8", "replace"))


def _short(text: str) -> str:
    """The text, or its beginning."""
    return cut(text, MAX_SHOWN)


def shown(field: str, value: Any) -> Any:
    """A field's value as JSON has it: instants and durations in words, long texts cut."""
    name = _AROUND.sub("", field)
    if isinstance(value, int) and not isinstance(value, bool):
        return instant(value) if name in _INSTANTS or name == "active" else _number(name, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, tuple | list):
        return [shown("", element) for element in value[:MAX_ELEMENTS]]
    return value if value is None or isinstance(value, bool) else _short(text_of(value))


def _number(name: str, value: int) -> int | str:
    return format_duration(value) if name == "duration" else value if abs(value) < 2**63 else _short(text_of(value))


def instant(at: Instant) -> str:
    """As format_instant; what no calendar has is a number."""
    try:
        return format_instant(at)
    except OverflowError:
        return f"{at} µs"


def length(duration: Duration) -> str:
    """A duration to the second, or exactly if it is shorter."""
    return format_duration(duration // 1_000_000 * 1_000_000 if abs(duration) >= 1_000_000 else duration)


def worst(checks: tuple[Check, ...]) -> str:
    """'no' if any forbids, else 'wait' if any holds back, else 'yes'."""
    found = {check.verdict for check in checks}
    return NO if found & {NO, ERROR} else WAIT if WAIT in found else YES
