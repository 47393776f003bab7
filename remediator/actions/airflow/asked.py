"""Did an earlier call of ours ask for a change? What the scheduler's event log tells where a note alone does not.

Airflow writes the log before it acts: it proves the asking, not the effect. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from remediator.actions.airflow.note import is_ours
from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.rows import UNREADABLE, DagRunRow, instant_of
from remediator.model.action import Action
from remediator.model.time import MINUTE, Duration, Instant

CLOCKS_DIFFER: Duration = MINUTE
"""How far the scheduler's clock may be from ours."""
CLEARED_AS = "clear_dag_run"
"""Airflow's name of the clear of a whole dagrun in its event log."""
Lines = Sequence[LogRow] | None
"""Lines of the event log; None if our user may not read it."""


def since(action: Action) -> Instant:
    """The scheduler's earliest time at which a call of this action can have arrived."""
    return max(0, action.not_before - CLOCKS_DIFFER)


def was_asked(lines: Lines, owner: str, wanted: dict[str, Any]) -> bool | None:
    """Is there a line of this user that asks for just this? None: nobody can know.

    owner: '' counts everybody's (a token names no user).
    """
    if lines is None:
        return None
    return any(owner in ("", line.owner) and _asks_for(line, wanted) for line in lines)


def changed_since(lines: Lines, owner: str, wanted: dict[str, Any]) -> LogRow | None:
    """The newest line after the oldest one that is ours and asks for just this. lines: newest first, or None.

    Raises LookupError if that one is not there: then nobody can know.
    """
    mine = [n for n, line in enumerate(lines or ()) if owner in ("", line.owner) and _asks_for(line, wanted)]
    if not lines or not mine:
        raise LookupError
    return lines[0] if mine[-1] else None


def _asks_for(line: LogRow, wanted: dict[str, Any]) -> bool:
    return wanted.items() <= asked_for(line).items()


def may_have_cleared(run: DagRunRow, lines: Lines, action: Action) -> bool:
    """Was this dagrun queued again after a clear of this action was asked for, so that its note may have been lost?

    Since when a dagrun is queued API v1 does not tell: it counts as since just now.
    """
    queued_at = instant_of(run.queued_at)
    if lines is None:
        return queued_at is None or queued_at >= since(action)
    asked = [instant_of(line.when) or 0 for line in lines if line.run_id == run.dag_run_id and _is_by(line, action)]
    return any(queued_at is None or queued_at >= moment for moment in asked)


def _is_by(line: LogRow, action: Action) -> bool:
    asked = asked_for(line)
    if line.is_noteless:
        return asked.get("dry_run") is False
    note = asked.get("note")
    return isinstance(note, str) and is_ours(note, action.id)


def asked_for(line: LogRow) -> dict[str, Any]:
    """What the line says that was asked for; empty if it says nothing."""
    try:
        return msgspec.json.decode(line.extra or "{}", type=dict[str, Any])
    except UNREADABLE:
        return {}
