"""What each reading method of the SQLite store asks, inside one read transaction. Blocking; knows no threads."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.model.incident import Incident
from remediator.model.inputs import Entry
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import Instant
from remediator.store.bodies import (
    decode_action,
    decode_dead_letter,
    decode_decision,
    decode_incident,
    decode_timers,
)
from remediator.store.chunks import Chunk, entries_after
from remediator.store.port import ActionRow, ControllerStart, Counts, HistoryRow, Timer
from remediator.store.sqlite_file import Session


def journal(db: Session, after: int, limit: int) -> list[Entry]:
    limit = max(limit, 1)
    rows = db.rows("journal_read", after=after, limit=limit)
    if not rows:
        # What follows directly was pruned, or nothing follows.
        following = db.row("journal_next", after=after)[0]
        rows = [] if following is None else db.rows("journal_read", after=following - 1, limit=limit)
    return entries_after((Chunk(*row) for row in rows), after)


def controller_start(db: Session) -> ControllerStart:
    timers = {key: decode_timers(body) for key, body in db.rows("timers")}
    return ControllerStart(position=db.row("controller")[0], timers=timers)


def states(db: Session, keys: Sequence[str]) -> dict[str, bytes]:
    found = ((key, db.row("state", key=key)) for key in keys)
    return {key: row[0] for key, row in found if row is not None}


def incidents(db: Session, *, open_only: bool, limit: int) -> list[Incident]:
    rows = db.rows("incidents_open" if open_only else "incidents", limit=limit)
    return [decode_incident(body) for (body,) in rows]


def incident(db: Session, incident_id: str) -> Incident | None:
    if not incident_id:
        return None
    row = db.row("incident", id=incident_id)
    if row is None:
        ids = db.rows("incident_ids", prefix=incident_id)
        row = db.row("incident", id=ids[0][0]) if len(ids) == 1 else None
    return None if row is None else decode_incident(row[0])


def decisions(db: Session, incident_id: str, limit: int) -> list[Decision]:
    rows = db.rows("decisions", incident=incident_id, limit=limit)
    return [decode_decision(body) for (body,) in reversed(rows)]


def decisions_since(db: Session, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
    rows = db.rows("decisions_since", since=since, after=after, limit=limit)
    return [(seq, decode_decision(body)) for seq, body in rows]


def actions(db: Session, incident_id: str, limit: int) -> list[ActionRow]:
    rows = db.rows("actions_of" if incident_id else "actions", incident=incident_id, limit=limit)
    return [
        ActionRow(action=decode_action(body), state=state, tries=tries, detail=detail, at=at)
        for body, state, tries, detail, at in reversed(rows)
    ]


def dead_letters(db: Session, limit: int) -> list[DeadLetter]:
    return [decode_dead_letter(body) for (body,) in db.rows("dead_letters", limit=limit)]


def history(db: Session, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
    rows = db.rows("history", deployment=deployment, dag_id=dag_id, run_id=run_id)
    return [HistoryRow(*row) for row in rows]


def counts(db: Session) -> Counts:
    outbox: dict[str, dict[str, int]] = {}
    for kind, state, count in db.rows("outbox_sizes"):
        outbox.setdefault(kind, {})[state] = count
    head, position, frozen, journal_rows, dead, incidents_open, timers, oldest = db.row("sizes")
    return Counts(
        journal_head=head,
        controller_position=position,
        journal_rows=journal_rows,
        dead_letters=dead,
        outbox=outbox,
        incidents_open=incidents_open,
        timers=timers,
        frozen=bool(frozen),
        oldest_unprocessed_at=oldest,
    )


def snapshot(db: Session) -> tuple[int, dict[str, bytes]] | None:
    position = db.row("snapshot_oldest")[0]
    return None if position is None else (position, dict(db.rows("snapshot_load", position=position)))


def snapshot_timers(db: Session, position: int) -> dict[str, tuple[Timer, ...]]:
    return {key: decode_timers(body) for key, body in db.rows("snapshot_load_timers", position=position)}
