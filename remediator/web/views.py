"""Model values as the JSON that API and CLI share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from remediator.model.incident import Incident
from remediator.model.reasons import Decision
from remediator.model.time import Instant, format_instant
from remediator.store.port import ActionRow, Counts
from remediator.web.port import View

ERROR_LIMIT = 4_000


def status_view(counts: Counts, feeds: Mapping[str, View], now: Instant, **more: Any) -> View:
    """The daemon at a glance. feeds: name -> such as {'problem': …, 'blind': …, 'watermark_age_s': …}."""
    oldest = counts.oldest_unprocessed_at
    return {
        "time": format_instant(now),
        "frozen": counts.frozen,
        "incidents_open": counts.incidents_open,
        "journal": {
            "head": counts.journal_head,
            "decided": counts.controller_position,
            "rows": counts.journal_rows,
            "lag_entries": max(0, counts.journal_head - counts.controller_position),
            "lag_s": 0.0 if oldest is None else max(0, now - oldest) / 1_000_000,
        },
        "outbox": counts.outbox,
        "dead_letters": counts.dead_letters,
        "timers": counts.timers,
        "feeds": dict(feeds),
        **more,
    }


def incident_view(incident: Incident) -> View:
    """An incident with its times as texts."""
    view: View = msgspec.to_builtins(incident)
    for name in ("opened_at", "updated_at", "resolved_at"):
        if view.get(name) is not None:
            view[name] = format_instant(view[name])
    view["error"] = incident.error[:ERROR_LIMIT]
    return view


def story_view(incident: Incident, decisions: Iterable[Decision], actions: Iterable[ActionRow]) -> View:
    """Everything that `explain` tells of one incident."""
    return {
        "incident": incident_view(incident),
        "decisions": [decision_view(decision) for decision in decisions],
        "actions": [action_view(row) for row in actions],
    }


def decision_view(decision: Decision) -> View:
    """A decision with its time as text."""
    return {
        "position": decision.position,
        "at": format_instant(decision.at),
        "reason": decision.reason.value,
        "text": decision.text,
        "action_id": decision.action_id,
        "rule": decision.rule,
    }


def action_view(row: ActionRow) -> View:
    """An outbox row with its times as texts."""
    return {
        "id": row.action.id,
        "kind": row.action.kind,
        "target": row.action.target,
        "state": row.state,
        "tries": row.tries,
        "detail": row.detail,
        "at": format_instant(row.at),
        "not_before": format_instant(row.action.not_before),
        "not_after": format_instant(row.action.not_after),
    }
