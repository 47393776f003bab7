"""What each reading method of the PostgreSQL store asks."""

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
from remediator.store.postgres_pool import NUL_STANDS_FOR, Session


async def journal(db: Session, after: int, limit: int) -> list[Entry]:
    limit = max(limit, 1)
    rows = await db.rows("journal_read", after=after, limit=limit)
    if not rows:
        # What follows directly was pruned, or nothing follows.
        following = (await db.row("journal_next", after=after))[0]
        rows = [] if following is None else await db.rows("journal_read", after=following - 1, limit=limit)
    return entries_after((Chunk(*row) for row in rows), after)


async def controller_start(db: Session) -> ControllerStart:
    timers = {key: decode_timers(body) for key, body in await db.rows("timers")}
    return ControllerStart(position=(await db.row("position"))[0], timers=timers)


async def states(db: Session, keys: Sequence[str]) -> dict[str, bytes]:
    asked = {key.replace("\x00", NUL_STANDS_FOR): key for key in keys}
    return {asked[key]: body for key, body in await db.rows("states", keys=list(asked))}


async def incidents(db: Session, *, open_only: bool, limit: int) -> list[Incident]:
    rows = await db.rows("incidents_open" if open_only else "incidents", limit=limit)
    return [decode_incident(body) for (body,) in rows]


async def incident(db: Session, incident_id: str) -> Incident | None:
    if not incident_id:
        return None
    row = await db.row("incident", id=incident_id)
    if row is None:
        ids = await db.rows("incident_ids", prefix=incident_id)
        row = await db.row("incident", id=ids[0][0]) if len(ids) == 1 else None
    return None if row is None else decode_incident(row[0])


async def decisions(db: Session, incident_id: str, limit: int) -> list[Decision]:
    rows = await db.rows("decisions", incident=incident_id, limit=limit)
    return [decode_decision(body) for (body,) in reversed(rows)]


async def decisions_since(db: Session, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
    rows = await db.rows("decisions_since", since=since, after=after, limit=limit)
    return [(seq, decode_decision(body)) for seq, body in rows]


async def actions(db: Session, incident_id: str, limit: int) -> list[ActionRow]:
    rows = await db.rows("actions_of" if incident_id else "actions", incident=incident_id, limit=limit)
    return [
        ActionRow(action=decode_action(body), state=state, tries=tries, detail=detail, at=at)
        for body, state, tries, detail, at in reversed(rows)
    ]


async def dead_letters(db: Session, limit: int) -> list[DeadLetter]:
    return [decode_dead_letter(body) for (body,) in await db.rows("dead_letters", limit=limit)]


async def history(db: Session, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
    rows = await db.rows("history", deployment=deployment, dag_id=dag_id, run_id=run_id)
    return [HistoryRow(*row) for row in rows]


async def counts(db: Session) -> Counts:
    outbox: dict[str, dict[str, int]] = {}
    for kind, state, count in await db.rows("outbox_sizes"):
        outbox.setdefault(kind, {})[state] = count
    head, position, frozen, journal_rows, dead, incidents_open, timers, oldest = await db.row("sizes")
    return Counts(
        journal_head=head,
        controller_position=position,
        journal_rows=journal_rows,
        dead_letters=dead,
        outbox=outbox,
        incidents_open=incidents_open,
        timers=timers,
        frozen=frozen,
        oldest_unprocessed_at=oldest,
    )


async def snapshot(db: Session) -> tuple[int, dict[str, bytes]] | None:
    position = (await db.row("snapshot_oldest"))[0]
    if position is None:
        return None
    return position, dict(await db.rows("snapshot_load", position=position))


async def snapshot_timers(db: Session, position: int) -> dict[str, tuple[Timer, ...]]:
    return {key: decode_timers(body) for key, body in await db.rows("snapshot_load_timers", position=position)}
