"""The store in PostgreSQL: several processes share it, one of them decides.

Each method is one transaction on a connection of the pool. The lease is a row, its clock the server's.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from remediator.model.incident import Incident
from remediator.model.inputs import Entry, Input, Pressed
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import Duration, Instant
from remediator.store import postgres_audit, postgres_read, postgres_work
from remediator.store.audit import AuditEntry, AuditPage
from remediator.store.port import (
    AHEAD,
    ActionRow,
    Answer,
    Claim,
    ControllerStart,
    Counts,
    Go,
    HistoryRow,
    Lease,
    MatcherBatch,
    StepCommit,
    Timer,
)
from remediator.store.postgres_pool import Pool

POOL_SIZE = 8


class PostgresStore:
    """Implements `port.Store`. url: 'postgresql://user:password@host/database'; parameters are passed on.

    ahead: how far a caller's clock may run before the database's; None: as far as it likes, for clocks set by hand.
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, ahead: Duration | None = AHEAD) -> None:
        self._pool = Pool(url, pool_size, ahead)

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def now(self) -> Instant | None:
        async with self._pool.reading() as db:
            return int((await db.row("clock"))[0])

    # -- matcher ------------------------------------------------------------------------------------------------

    async def progress(self, feed: str, topic: str) -> dict[int, int]:
        async with self._pool.reading() as db:
            return dict(await db.rows("progress", feed=feed, topic=topic))

    async def commit_batch(self, batch: MatcherBatch) -> bool:
        async with self._pool.writing() as db:
            return await postgres_work.commit_batch(db, batch)

    # -- journal ------------------------------------------------------------------------------------------------

    async def append(
        self, inputs: Sequence[Input], at: Instant, *, frozen: bool | None = None, audit: Sequence[AuditEntry] = ()
    ) -> int:
        async with self._pool.writing() as db:
            if frozen is not None:
                await db.rows("freeze", frozen=frozen)
            await postgres_audit.append_audit(db, audit, at)
            return await postgres_work.append(db, inputs, at)

    async def answer(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
        async with self._pool.writing() as db:
            return await postgres_work.answer(db, pressed, at, audit)

    async def answered(self, proposal: str) -> Answer | None:
        async with self._pool.reading() as db:
            return await postgres_audit.answered(db, proposal)

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        async with self._pool.writing() as db:
            return await postgres_work.restored(db, pressed, at, audit)

    async def read_journal(self, after: int, limit: int) -> list[Entry]:
        async with self._pool.reading() as db:
            return await postgres_read.journal(db, after, limit)

    # -- lease --------------------------------------------------------------------------------------------------

    async def acquire_lease(self, owner: str, duration: Duration) -> Lease | None:
        async with self._pool.writing() as db:
            row = await db.row("lease_take", owner=owner, duration=duration)
        return None if row is None else Lease(owner=owner, epoch=row[0])

    async def renew_lease(self, lease: Lease, duration: Duration) -> bool:
        async with self._pool.writing() as db:
            return await db.row("lease_renew", owner=lease.owner, epoch=lease.epoch, duration=duration) is not None

    async def release_lease(self, lease: Lease) -> None:
        async with self._pool.writing() as db:
            await db.rows("lease_release", owner=lease.owner, epoch=lease.epoch)

    # -- controller ---------------------------------------------------------------------------------------------

    async def controller_start(self) -> ControllerStart:
        async with self._pool.snapshot() as db:
            return await postgres_read.controller_start(db)

    async def load_states(self, keys: Sequence[str]) -> dict[str, bytes]:
        async with self._pool.reading() as db:
            return await postgres_read.states(db, keys)

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        async with self._pool.writing() as db:
            await postgres_work.commit_step(db, lease, commit)

    async def put_rule_set(self, content_hash: str, body: bytes) -> None:
        async with self._pool.writing() as db:
            await db.rows("rule_set_put", content_hash=content_hash, body=body)

    async def rule_set(self, content_hash: str) -> bytes | None:
        async with self._pool.reading() as db:
            row = await db.row("rule_set", content_hash=content_hash)
        return None if row is None else bytes(row[0])

    # -- outbox -------------------------------------------------------------------------------------------------

    async def claim(self, worker: str, now: Instant, duration: Duration, limit: int) -> list[Claim]:
        token = f"{worker}#{secrets.token_hex(8)}"
        async with self._pool.writing() as db:
            return await postgres_work.claim(db, token, now, now + duration, limit)

    async def confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Go:
        async with self._pool.writing() as db:
            return await postgres_work.confirm(db, claim, now, changes_per_minute)

    async def finish(
        self,
        claim: Claim,
        result: Input | None,
        state: str,
        detail: str,
        at: Instant,
        audit: AuditEntry | None = None,
    ) -> bool:
        async with self._pool.writing() as db:
            return await postgres_work.finish(db, claim, result, state, detail, at, audit)

    async def postpone(self, claim: Claim, not_before: Instant, *, uncertain: bool, detail: str) -> bool:
        row = {"id": claim.action.id, "token": claim.token, "not_before": not_before}
        async with self._pool.writing() as db:
            return await db.row("claim_postpone", **row, uncertain=uncertain, detail=detail) is not None

    # -- read side ----------------------------------------------------------------------------------------------

    async def incidents(self, *, open_only: bool, limit: int) -> list[Incident]:
        async with self._pool.reading() as db:
            return await postgres_read.incidents(db, open_only=open_only, limit=limit)

    async def incident(self, incident_id: str) -> Incident | None:
        async with self._pool.snapshot() as db:
            return await postgres_read.incident(db, incident_id)

    async def decisions(self, incident_id: str, limit: int) -> list[Decision]:
        async with self._pool.reading() as db:
            return await postgres_read.decisions(db, incident_id, limit)

    async def decisions_since(self, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
        async with self._pool.reading() as db:
            return await postgres_read.decisions_since(db, since, after, limit)

    async def actions(self, incident_id: str, limit: int) -> list[ActionRow]:
        async with self._pool.reading() as db:
            return await postgres_read.actions(db, incident_id, limit)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        async with self._pool.reading() as db:
            return await postgres_read.dead_letters(db, limit)

    async def history(self, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
        async with self._pool.reading() as db:
            return await postgres_read.history(db, deployment, dag_id, run_id)

    async def audit(self, after: int, limit: int, since: Instant = 0) -> AuditPage:
        async with self._pool.snapshot() as db:
            return await postgres_audit.page(db, after, limit, since)

    async def counts(self) -> Counts:
        async with self._pool.snapshot() as db:
            return await postgres_read.counts(db)

    # -- retention ----------------------------------------------------------------------------------------------

    async def snapshot(self, lease: Lease, at: Instant) -> int:
        async with self._pool.writing() as db:
            return await postgres_work.snapshot(db, lease, at)

    async def load_snapshot(self) -> tuple[int, dict[str, bytes]] | None:
        async with self._pool.snapshot() as db:
            return await postgres_read.snapshot(db)

    async def snapshot_timers(self, position: int) -> dict[str, tuple[Timer, ...]]:
        async with self._pool.snapshot() as db:
            return await postgres_read.snapshot_timers(db, position)

    async def prune(self, before: Instant, outbox_before: Instant, limit: int) -> int:
        async with self._pool.writing() as db:
            return await postgres_work.prune(db, before, outbox_before, limit)

    async def prune_audit(self, before: Instant, at: Instant, limit: int) -> int:
        async with self._pool.writing() as db:
            return await postgres_audit.prune(db, before, at, limit)
