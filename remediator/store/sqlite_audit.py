"""The audit chain and the answers to proposals in SQLite, inside the transaction of the caller. Blocking."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.model.inputs import Pressed
from remediator.model.time import Instant
from remediator.store.audit import AuditEntry, AuditHead, AuditPage, AuditRow, chain, pruned
from remediator.store.port import Answer
from remediator.store.sqlite_file import Session


def append_audit(db: Session, entries: Sequence[AuditEntry], at: Instant) -> None:
    """The write lock that every writing transaction begins with keeps the chain in one piece."""
    if not entries:
        return
    rows, head = chain(AuditHead(*db.row("audit_head")), entries, at)
    db.many("audit_add", ((row.seq, row.at, row.body, row.prev_hash, row.hash) for row in rows))
    db.run("audit_move", seq=head.seq, hash=head.hash)


def page(db: Session, after: int, limit: int, since: Instant) -> AuditPage:
    rows = db.rows("audit_read", after=after, since=since, limit=limit)
    return AuditPage(AuditHead(*db.row("audit_head")), [AuditRow(*row) for row in rows])


def prune(db: Session, before: Instant, at: Instant, limit: int) -> int:
    last = db.row("audit_old", before=before, limit=limit)
    if last is None:
        return 0
    gone = db.run("audit_drop", last=last[0]).rowcount
    db.run("audit_anchor", last=last[0], hash=last[1])
    append_audit(db, [pruned(last[0], last[1])], at)
    return gone


def answered(db: Session, proposal: str) -> Answer | None:
    row = db.row("answer", proposal=proposal)
    return None if row is None else Answer(*row)


def add_answer(db: Session, pressed: Pressed, at: Instant) -> Answer | None:
    """The answer, if it is the first one."""
    row = {"proposal": pressed.subject, "command": pressed.command, "actor": pressed.actor, "at": at}
    if db.run("answer_add", **row).rowcount == 0:
        return None
    return Answer(pressed.subject, pressed.command, pressed.actor, at, is_new=True)
