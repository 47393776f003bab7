"""Homes: in which DAG's state the case of a firing lives, and under which name. Decides nothing else."""

from __future__ import annotations

from remediator.engine.detector_state import DetectorState
from remediator.model.event import Event
from remediator.rules.spec import Rule

MAX_HOMES = 500
"""DAGs in which one key's incidents end with it."""


def group_of(rule: Rule) -> tuple[str, ...]:
    """The fields that make the incident; empty: the usual ones of an event."""
    return rule.group or (rule.per if rule.is_detector else ())


def home_of(rule: Rule, event: Event) -> tuple[str, str]:
    """(deployment, dag_id) whose state holds the incident; '' for what the group does not tell apart."""
    fields = group_of(rule)
    if not fields and not rule.is_detector:
        return event.deployment, event.dag_id or ""
    return event.deployment if "deployment" in fields else "", (event.dag_id or "") if "dag_id" in fields else ""


def remember(state: DetectorState, home: tuple[str, str]) -> bool:
    """A `group` that is finer than `per`, or that a reload changes, puts the cases of one key into several homes.

    True if there are too many: the oldest is forgotten then, and what is open there ends when it expires.
    """
    kept = [*(one for one in state.homes if one != home), home]
    state.homes = kept[-MAX_HOMES:]
    return len(kept) > MAX_HOMES


def case_name(rule: Rule, values: tuple[str, ...]) -> str:
    """A detector's case: the rule and what it is about."""
    return f"{rule.id}:{'/'.join(value.replace('%', '%25').replace('/', '%2F') for value in values)}"
