"""The audit chain and the answers to proposals in PostgreSQL, inside the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.model.inputs import Pressed
from remediator.model.time import Instant
from remediator.store.audit import AuditEntry, AuditHead, AuditPage, AuditRow, chain, pruned
from remediator.store.port import Answer
from remediator.store.postgres_pool import Session


async def append_audit(db: Session, entries: Sequence[AuditEntry], at: Instant) -> None:
    """The lock on the head is held until the commit; nothing but the journal's counter is taken after it."""
    if not entries:
        return
    rows, head = chain(AuditHead(*await db.row("audit_lock")), entries, at)
    await db.rows(
        "audit_add",
        seq=head.seq,
        hash=head.hash,
        seqs=[row.seq for row in rows],
        ats=[row.at for row in rows],
        bodies=[row.body for row in rows],
        prev_hashes=[row.prev_hash for row in rows],
        hashes=[row.hash for row in rows],
    )


async def page(db: Session, after: int, limit: int, since: Instant) -> AuditPage:
    rows = await db.rows("audit_read", after=after, since=since, limit=limit)
    return AuditPage(AuditHead(*await db.row("audit_head")), [AuditRow(*row) for row in rows])


async def prune(db: Session, before: Instant, at: Instant, limit: int) -> int:
    await db.rows("audit_lock")
    last = await db.row("audit_old", before=before, limit=limit)
    if last is None:
        return 0
    gone = await db.rows("audit_drop", last=last[0])
    await db.rows("audit_anchor", last=last[0], hash=last[1])
    await append_audit(db, [pruned(last[0], last[1])], at)
    return len(gone)


async def answered(db: Session, proposal: str) -> Answer | None:
    row = await db.row("answer", proposal=proposal)
    return None if row is None else Answer(*row)


async def add_answer(db: Session, pressed: Pressed, at: Instant) -> Answer | None:
    """The answer, if it is the first one. Waits for another one that is just being written."""
    row = {"proposal": pressed.subject, "command": pressed.command, "actor": pressed.actor, "at": at}
    if await db.row("answer_add", **row) is None:
        return None
    return Answer(pressed.subject, pressed.command, pressed.actor, at, is_new=True)
