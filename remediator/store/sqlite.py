"""The store in one SQLite file: the default. One process decides; others may read and append.

Owns the two threads: all writes go through one connection, reads through another, so that none waits for a long write.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from remediator.model.incident import Incident
from remediator.model.inputs import Entry, Input, Pressed
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import Duration, Instant
from remediator.store import sqlite_audit, sqlite_read, sqlite_work
from remediator.store.audit import AuditEntry, AuditPage
from remediator.store.port import (
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
    StoreError,
    Timer,
)
from remediator.store.queries import load_queries
from remediator.store.sqlite_file import DURABILITY, FileLock, Session, connect, migrate

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0


class SqliteStore:
    """Implements `port.Store`.

    durability: 'FULL' (an answered commit survives a power cut) or 'NORMAL' (it survives a crash of the process).
    max_page_count: an upper bound of the file, in pages of 4 KiB; None for no bound.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: str = "FULL",
        max_page_count: int | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise StoreError("the SQLite store needs the path of a file; there is none in memory")
        if durability not in DURABILITY:
            raise StoreError(f"durability {durability!r} is not one of {', '.join(DURABILITY)}")
        self._path = Path(path)
        self._connect = partial(
            connect,
            self._path,
            durability=durability,
            busy_timeout_s=busy_timeout_s,
            max_page_count=max_page_count,
        )
        self._lock = FileLock(Path(f"{path}.lock"))
        self._threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._writer: Session | None = None
        self._reader: Session | None = None

    # -- threads ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._threads = (ThreadPoolExecutor(1, "store-write"), ThreadPoolExecutor(1, "store-read"))
        try:
            await self._in_thread(0, self._open)
        except BaseException:
            await self.close()
            raise

    def _open(self) -> None:
        sql = load_queries("sqlite")
        self._writer = Session(self._connect(), sql)
        migrate(self._writer.connection, self._path)
        self._reader = Session(self._connect(), sql)

    async def close(self) -> None:
        if self._threads is None:
            return
        await self._in_thread(1, self._close_reader)
        await self._in_thread(0, self._close_writer)
        for thread in self._threads:
            thread.shutdown(wait=False)
        self._threads = None

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.connection.close()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.connection.close()
        self._lock.release()

    async def _in_thread(self, which: int, work: Callable[[], T]) -> T:
        if self._threads is None:
            raise StoreError(f"{self._path}: the store is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[which], work)
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError):
            raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from error

    async def _write(self, work: Callable[[Session], T]) -> T:
        return await self._in_thread(0, lambda: self._session(self._writer).transact("BEGIN IMMEDIATE", work))

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await self._in_thread(1, lambda: self._session(self._reader).transact("BEGIN", work))

    def _session(self, session: Session | None) -> Session:
        if session is None:
            raise StoreError(f"{self._path}: the store is not open")
        return session

    async def now(self) -> Instant | None:
        return None

    # -- matcher ------------------------------------------------------------------------------------------------

    async def progress(self, feed: str, topic: str) -> dict[int, int]:
        return await self._read(lambda db: dict(db.rows("progress", feed=feed, topic=topic)))

    async def commit_batch(self, batch: MatcherBatch) -> bool:
        return await self._write(lambda db: sqlite_work.commit_batch(db, batch))

    # -- journal ------------------------------------------------------------------------------------------------

    async def append(
        self, inputs: Sequence[Input], at: Instant, *, frozen: bool | None = None, audit: Sequence[AuditEntry] = ()
    ) -> int:
        def work(db: Session) -> int:
            if frozen is not None:
                db.run("freeze", frozen=frozen)
            sqlite_audit.append_audit(db, audit, at)
            return sqlite_work.append(db, inputs, at)

        return await self._write(work)

    async def answer(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
        return await self._write(lambda db: sqlite_work.answer(db, pressed, at, audit))

    async def answered(self, proposal: str) -> Answer | None:
        return await self._read(lambda db: sqlite_audit.answered(db, proposal))

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        return await self._write(lambda db: sqlite_work.restored(db, pressed, at, audit))

    async def read_journal(self, after: int, limit: int) -> list[Entry]:
        return await self._read(lambda db: sqlite_read.journal(db, after, limit))

    # -- lease --------------------------------------------------------------------------------------------------

    async def acquire_lease(self, owner: str, duration: Duration) -> Lease | None:
        """The lock of the operating system decides: it ends with the process, so `duration` plays no part."""
        return await self._in_thread(0, lambda: self._acquire_lease(owner))

    def _acquire_lease(self, owner: str) -> Lease | None:
        db, was_held = self._session(self._writer), self._lock.held
        if not self._lock.take():
            return None
        try:
            return db.transact("BEGIN IMMEDIATE", lambda db: sqlite_work.take_lease(db, owner, is_ours=was_held))
        except BaseException:
            if not was_held:
                self._lock.release()
            raise

    async def renew_lease(self, lease: Lease, duration: Duration) -> bool:
        is_current = await self._read(lambda db: db.row("lease_held", owner=lease.owner, epoch=lease.epoch) is not None)
        return is_current and self._lock.held

    async def release_lease(self, lease: Lease) -> None:
        await self._in_thread(0, lambda: self._release_lease(lease))

    def _release_lease(self, lease: Lease) -> None:
        db = self._session(self._writer)
        given_up = db.transact(
            "BEGIN IMMEDIATE", lambda db: db.run("lease_release", owner=lease.owner, epoch=lease.epoch).rowcount
        )
        if given_up:
            self._lock.release()

    # -- controller ---------------------------------------------------------------------------------------------

    async def controller_start(self) -> ControllerStart:
        return await self._read(sqlite_read.controller_start)

    async def load_states(self, keys: Sequence[str]) -> dict[str, bytes]:
        return await self._read(lambda db: sqlite_read.states(db, keys))

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        await self._write(lambda db: sqlite_work.commit_step(db, lease, commit))

    async def put_rule_set(self, content_hash: str, body: bytes) -> None:
        await self._write(lambda db: db.run("rule_set_put", content_hash=content_hash, body=body))

    async def rule_set(self, content_hash: str) -> bytes | None:
        row = await self._read(lambda db: db.row("rule_set", content_hash=content_hash))
        return None if row is None else bytes(row[0])

    # -- outbox -------------------------------------------------------------------------------------------------

    async def claim(self, worker: str, now: Instant, duration: Duration, limit: int) -> list[Claim]:
        token = f"{worker}#{secrets.token_hex(8)}"
        return await self._write(lambda db: sqlite_work.claim(db, token, now, now + duration, limit))

    async def confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Go:
        return await self._write(lambda db: sqlite_work.confirm(db, claim, now, changes_per_minute))

    async def finish(
        self,
        claim: Claim,
        result: Input | None,
        state: str,
        detail: str,
        at: Instant,
        audit: AuditEntry | None = None,
    ) -> bool:
        return await self._write(lambda db: sqlite_work.finish(db, claim, result, state, detail, at, audit))

    async def postpone(self, claim: Claim, not_before: Instant, *, uncertain: bool, detail: str) -> bool:
        def work(db: Session) -> bool:
            row = {"id": claim.action.id, "token": claim.token, "not_before": not_before}
            return db.run("claim_postpone", **row, uncertain=uncertain, detail=detail).rowcount == 1

        return await self._write(work)

    # -- read side ----------------------------------------------------------------------------------------------

    async def incidents(self, *, open_only: bool, limit: int) -> list[Incident]:
        return await self._read(lambda db: sqlite_read.incidents(db, open_only=open_only, limit=limit))

    async def incident(self, incident_id: str) -> Incident | None:
        return await self._read(lambda db: sqlite_read.incident(db, incident_id))

    async def decisions(self, incident_id: str, limit: int) -> list[Decision]:
        return await self._read(lambda db: sqlite_read.decisions(db, incident_id, limit))

    async def decisions_since(self, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
        return await self._read(lambda db: sqlite_read.decisions_since(db, since, after, limit))

    async def actions(self, incident_id: str, limit: int) -> list[ActionRow]:
        return await self._read(lambda db: sqlite_read.actions(db, incident_id, limit))

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self._read(lambda db: sqlite_read.dead_letters(db, limit))

    async def history(self, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
        return await self._read(lambda db: sqlite_read.history(db, deployment, dag_id, run_id))

    async def audit(self, after: int, limit: int, since: Instant = 0) -> AuditPage:
        return await self._read(lambda db: sqlite_audit.page(db, after, limit, since))

    async def counts(self) -> Counts:
        return await self._read(sqlite_read.counts)

    # -- retention ----------------------------------------------------------------------------------------------

    async def snapshot(self, lease: Lease, at: Instant) -> int:
        return await self._write(lambda db: sqlite_work.snapshot(db, lease, at))

    async def load_snapshot(self) -> tuple[int, dict[str, bytes]] | None:
        return await self._read(sqlite_read.snapshot)

    async def snapshot_timers(self, position: int) -> dict[str, tuple[Timer, ...]]:
        return await self._read(lambda db: sqlite_read.snapshot_timers(db, position))

    async def prune(self, before: Instant, outbox_before: Instant, limit: int) -> int:
        return await self._write(lambda db: sqlite_work.prune(db, before, outbox_before, limit))

    async def prune_audit(self, before: Instant, at: Instant, limit: int) -> int:
        return await self._write(lambda db: sqlite_audit.prune(db, before, at, limit))
