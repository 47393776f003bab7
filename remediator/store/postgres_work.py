"""What each writing method of the PostgreSQL store does inside its transaction.

Order of locks, the same everywhere so that no two wait for each other: lease, progress, history, outbox, freeze,
rate, the audit chain's head, and the journal's counter last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from remediator.model.action import CHANGES_TARGET, QUESTIONS, Action
from remediator.model.inputs import Input, Pressed
from remediator.model.time import MINUTE, Instant
from remediator.store.audit import AuditEntry, cancelled, is_audited
from remediator.store.bodies import decode_action, encode_body, history_columns
from remediator.store.chunks import encode_chunks, refusal
from remediator.store.lattice import merge_all
from remediator.store.port import Answer, Claim, Fenced, Go, HistoryRow, Lease, MatcherBatch, StepCommit
from remediator.store.postgres_audit import add_answer, answered, append_audit
from remediator.store.postgres_pool import Session

HISTORY_COLUMNS = (
    "deployment",
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "try_number",
    "rank",
    "time",
    "state",
    "ended_at",
    "error",
    "started_at",
)
"""In the order of bodies.history_columns."""
PRUNED = ("journal", "decision", "dead_letter", "incident", "history", "outbox", "answer")


# -- matcher ----------------------------------------------------------------------------------------------------


async def commit_batch(db: Session, batch: MatcherBatch) -> bool:
    if not await _move_progress(db, batch):
        return False
    if batch.history:
        await merge_history(db, batch.history)
    if batch.dead_letters:
        await db.rows("dead_letter_add", at=batch.at, bodies=[encode_body(letter) for letter in batch.dead_letters])
    await append(db, batch.inputs, batch.at)
    return True


async def _move_progress(db: Session, batch: MatcherBatch) -> bool:
    moved = await db.row(
        "progress_start" if batch.expected is None else "progress_move",
        feed=batch.feed,
        topic=batch.topic,
        partition=batch.partition,
        expected=batch.expected,
        next_offset=batch.next_offset,
    )
    return moved is not None


async def merge_history(db: Session, rows: Sequence[HistoryRow]) -> None:
    merged = merge_all(rows)
    await db.rows("history_merge", **_columns([merged[key] for key in sorted(merged)]))
    started = [row for row in merged.values() if row.started_at is not None]
    if started:
        await db.rows("history_start", **_columns(started))


def _columns(rows: Sequence[HistoryRow]) -> dict[str, list[Any]]:
    columns = zip(*map(history_columns, rows), strict=True)
    return {name: list(column) for name, column in zip(HISTORY_COLUMNS, columns, strict=True)}


async def append(db: Session, inputs: Sequence[Input], at: Instant) -> int:
    """The last step of every transaction that has it: positions are taken and written here only."""
    if not inputs:
        return int((await db.row("head"))[0])
    parts = encode_chunks(inputs)
    counts = [count for count, _ in parts]
    firsts = [1 + done for done in accumulate(counts[:-1], initial=0)]
    bodies = [body for _, body in parts]
    stamp = {"at": at, "ahead": db.ahead}
    written = await db.rows("journal_add", total=len(inputs), **stamp, firsts=firsts, counts=counts, bodies=bodies)
    return max(int(row[0]) for row in written)


async def answer(db: Session, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
    first = await add_answer(db, pressed, at)
    if first is None:
        return await answered(db, pressed.subject) or Answer(pressed.subject, pressed.command, pressed.actor, at)
    await append_audit(db, [audit], at)
    await append(db, [pressed], at)
    return first


async def restored(db: Session, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
    count = len(await db.rows("action_doubt"))
    await db.rows("freeze", frozen=True)
    await append_audit(db, [audit], at)
    position = await append(db, [msgspec.structs.replace(pressed, actions=count)], at)
    await db.rows("restored_set", position=position)
    return count


# -- controller -------------------------------------------------------------------------------------------------


async def fence(db: Session, lease: Lease) -> None:
    if await db.row("lease_fence", owner=lease.owner, epoch=lease.epoch) is None:
        raise Fenced(f"the lease of epoch {lease.epoch} has passed on")


async def commit_step(db: Session, lease: Lease, commit: StepCommit) -> None:
    await fence(db, lease)
    await _write_states(db, commit)
    await _write_timers(db, commit)
    is_old = bool(commit.actions) and commit.position < (await db.row("restored"))[0]
    added = [action.id for action in commit.actions if await _add_action(db, action, commit.at, is_old=is_old)]
    await _write_story(db, commit)
    await db.rows("controller_move", position=commit.position)
    # Cancels come after actions: one step may want an action at one entry and take it back at a later one.
    taken_back = [(await _cancel(db, action_id, why, commit.at), why) for action_id, why in commit.cancels]
    gone = [(action, why) for action, why in taken_back if action is not None]
    if commit.frozen is not None:
        await db.rows("freeze", frozen=commit.frozen)
    documented = [commit.audit[name] for name in added if name in commit.audit]
    documented += [cancelled(action, why) for action, why in gone if is_audited(action)]
    await append_audit(db, documented, commit.at)
    await append(db, [refusal(action, why) for action, why in gone], commit.at)


async def _write_states(db: Session, commit: StepCommit) -> None:
    kept = {key: body for key, body in commit.states.items() if body is not None}
    dropped = [key for key, body in commit.states.items() if body is None]
    if kept:
        await db.rows("state_set", keys=list(kept), bodies=list(kept.values()))
    if dropped:
        await db.rows("state_drop", keys=dropped)


async def _write_timers(db: Session, commit: StepCommit) -> None:
    kept = {key: timers for key, timers in commit.timers.items() if timers}
    dropped = [key for key, timers in commit.timers.items() if not timers]
    if kept:
        counts, bodies = [len(timers) for timers in kept.values()], [encode_body(timers) for timers in kept.values()]
        await db.rows("timer_set", keys=list(kept), counts=counts, bodies=bodies)
    if dropped:
        await db.rows("timer_drop", keys=dropped)


async def _write_story(db: Session, commit: StepCommit) -> None:
    for one in commit.incidents:
        place = {"id": one.id, "episode": one.episode, "phase": one.phase.value, "updated_at": one.updated_at}
        await db.rows("incident_put", **place, body=encode_body(one))
    if commit.decisions:
        await db.rows(
            "decision_add",
            incidents=[one.incident for one in commit.decisions],
            ats=[one.at for one in commit.decisions],
            bodies=[encode_body(one) for one in commit.decisions],
        )


async def _add_action(db: Session, action: Action, at: Instant, *, is_old: bool) -> bool:
    """is_old: it is decided on what came before the store was restored."""
    added = await db.row(
        "action_add",
        id=action.id,
        lane=action.lane,
        kind=action.kind,
        incident=action.incident,
        replaces=action.replaces,
        at=at,
        not_before=action.not_before,
        doubtful=is_old and action.kind not in QUESTIONS,
        body=encode_body(action),
    )
    if added is not None and action.replaces:
        await db.rows("action_supersede", lane=action.lane, replaces=action.replaces, id=action.id, at=at)
    return added is not None


async def _cancel(db: Session, action_id: str, reason: str, at: Instant) -> Action | None:
    row = await db.row("action_cancel", id=action_id, reason=reason, at=at)
    return None if row is None else decode_action(row[0])


# -- outbox -----------------------------------------------------------------------------------------------------


async def claim(db: Session, token: str, now: Instant, until: Instant, limit: int) -> list[Claim]:
    """`token` is unique to this call; each claim adds its row's number."""
    await db.rows("claim_turn")
    taken = await db.rows("claim_take", now=now, until=until, token=token, limit=limit)
    return [
        Claim(action=decode_action(body), token=mine, until=until, uncertain=uncertain, tries=tries)
        for _, _, mine, uncertain, tries, body in sorted(taken, key=lambda row: (row[0], row[1]))
    ]


async def confirm(db: Session, claimed: Claim, now: Instant, changes_per_minute: int) -> Go:
    row = await db.row("claim_until", id=claimed.action.id, token=claimed.token)
    if row is None or now >= row[0]:
        return Go.LOST
    if row[1]:
        return Go.PROVE
    changes = claimed.action.kind in CHANGES_TARGET
    if changes and (await db.row("frozen"))[0]:
        return Go.FROZEN
    if now > claimed.action.not_after:
        return Go.EXPIRED
    if changes and not await _may_change(db, claimed.action.target, now, changes_per_minute):
        return Go.RATE
    return Go.YES


async def _may_change(db: Session, target: str, now: Instant, allowed: int) -> bool:
    return await db.row("rate_count", target=target, minute=now // MINUTE, allowed=allowed) is not None


async def finish(
    db: Session,
    claimed: Claim,
    result: Input | None,
    state: str,
    detail: str,
    at: Instant,
    audit: AuditEntry | None,
) -> bool:
    statement = "claim_delete" if claimed.action.kind in QUESTIONS else "claim_finish"
    ended = await db.row(statement, id=claimed.action.id, token=claimed.token, state=state, detail=detail, at=at)
    if ended is None:
        return False
    await append_audit(db, () if audit is None else (audit,), at)
    if result is not None:
        await append(db, (result,), at)
    return True


# -- retention --------------------------------------------------------------------------------------------------


async def snapshot(db: Session, lease: Lease, at: Instant) -> int:
    await fence(db, lease)
    position = int((await db.row("position"))[0])
    if await db.row("snapshot_add", at=at) is not None:
        await db.rows("snapshot_states", position=position)
        await db.rows("snapshot_timers", position=position)
        for name in ("snapshot_drop", "snapshot_state_drop", "snapshot_timer_drop"):
            await db.rows(name)
    return position


async def prune(db: Session, before: Instant, outbox_before: Instant, limit: int) -> int:
    left = limit
    for table in PRUNED:
        left -= len(await db.rows(f"prune_{table}", before=before, outbox_before=outbox_before, limit=left))
    return limit - left
