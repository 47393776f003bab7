"""Did an earlier call of ours ask for a change? What the scheduler's event log tells of changes that carry no note.

Airflow writes the log before it acts: it proves the asking, not the effect. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from remediator.actions.airflow.resources import LogRow
from remediator.model.action import Action
from remediator.model.time import MINUTE, Duration, Instant

CLOCKS_DIFFER: Duration = MINUTE
"""How far the scheduler's clock may be from ours."""


def since(action: Action) -> Instant:
    """The scheduler's earliest time at which a call of this action can have arrived."""
    return max(0, action.not_before - CLOCKS_DIFFER)


def was_asked(rows: Sequence[LogRow], owner: str, wanted: dict[str, Any]) -> bool:
    """Is there a line of this user that asks for just this? owner: '' counts everybody's (a token names no user)."""
    return any(owner in ("", row.owner) and wanted.items() <= _asked(row).items() for row in rows)


def _asked(row: LogRow) -> dict[str, Any]:
    try:
        return msgspec.json.decode(row.extra or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
