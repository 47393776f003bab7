"""What each writing method of the SQLite store does inside its transaction. Blocking; knows no threads."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from remediator.model.action import CHANGES_TARGET, QUESTIONS, Action
from remediator.model.inputs import Input, Pressed
from remediator.model.time import MINUTE, Instant
from remediator.store.audit import AuditEntry, cancelled, is_audited
from remediator.store.bodies import decode_action, encode_body, history_columns
from remediator.store.chunks import encode_chunks, place_chunks, refusal
from remediator.store.lattice import history_key, merge_all
from remediator.store.port import Answer, Claim, Fenced, Go, HistoryRow, Lease, MatcherBatch, StepCommit
from remediator.store.sqlite_audit import add_answer, answered, append_audit
from remediator.store.sqlite_file import Session

PRUNED = ("journal", "decision", "dead_letter", "incident", "history", "outbox", "answer")


# -- matcher ----------------------------------------------------------------------------------------------------


def commit_batch(db: Session, batch: MatcherBatch) -> bool:
    if not _move_progress(db, batch):
        return False
    merge_history(db, batch.history)
    db.many("dead_letter_add", ((batch.at, encode_body(letter)) for letter in batch.dead_letters))
    append(db, batch.inputs, batch.at)
    return True


def _move_progress(db: Session, batch: MatcherBatch) -> bool:
    statement = "progress_start" if batch.expected is None else "progress_move"
    moved = db.run(
        statement,
        feed=batch.feed,
        topic=batch.topic,
        partition=batch.partition,
        expected=batch.expected,
        next_offset=batch.next_offset,
    )
    return moved.rowcount == 1


def merge_history(db: Session, rows: Sequence[HistoryRow]) -> None:
    merged = merge_all(rows).values()
    db.many("history_merge", map(history_columns, merged))
    started = [row for row in merged if row.started_at is not None]
    db.many("history_start", ((r.started_at, *history_key(r), r.try_number, r.started_at) for r in started))


def append(db: Session, inputs: Sequence[Input], at: Instant) -> int:
    """The last step of every transaction that has it: positions are taken and written here only."""
    if not inputs:
        return int(db.row("head")[0])
    last = int(db.row("head_move", count=len(inputs))[0])
    chunks = place_chunks(last - len(inputs), encode_chunks(inputs), at)
    db.many("journal_add", ((chunk.first, chunk.count, chunk.at, chunk.body) for chunk in chunks))
    return last


def answer(db: Session, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
    first = add_answer(db, pressed, at)
    if first is None:
        return answered(db, pressed.subject) or Answer(pressed.subject, pressed.command, pressed.actor, at)
    append_audit(db, [audit], at)
    append(db, [pressed], at)
    return first


def restored(db: Session, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
    db.run("freeze", frozen=True)
    count = db.run("action_doubt").rowcount
    append_audit(db, [audit], at)
    db.run("restored_set", position=append(db, [msgspec.structs.replace(pressed, actions=count)], at))
    return count


# -- controller -------------------------------------------------------------------------------------------------


def take_lease(db: Session, owner: str, *, is_ours: bool) -> Lease | None:
    """With the lock in hand. `is_ours`: it was before, so only the owner itself may have it again."""
    if is_ours and db.row("lease_owner")[0] not in ("", owner):
        return None
    return Lease(owner=owner, epoch=db.row("lease_take", owner=owner)[0])


def fence(db: Session, lease: Lease) -> None:
    if db.row("lease_held", owner=lease.owner, epoch=lease.epoch) is None:
        raise Fenced(f"the lease of epoch {lease.epoch} has passed on")


def commit_step(db: Session, lease: Lease, commit: StepCommit) -> None:
    fence(db, lease)
    _write_keys(db, commit)
    is_old = bool(commit.actions) and commit.position < db.row("restored")[0]
    added = [action.id for action in commit.actions if _add_action(db, action, commit.at, is_old=is_old)]
    _write_story(db, commit)
    db.run("controller_move", position=commit.position, frozen=commit.frozen)
    # Cancels come after actions: one step may want an action at one entry and take it back at a later one.
    gone = [(done, why) for action_id, why in commit.cancels if (done := _cancel(db, action_id, why, commit.at))]
    append_audit(db, [commit.audit[name] for name in added if name in commit.audit], commit.at)
    append_audit(db, [cancelled(action, why) for action, why in gone if is_audited(action)], commit.at)
    append(db, [refusal(action, why) for action, why in gone], commit.at)


def _write_keys(db: Session, commit: StepCommit) -> None:
    db.many("state_set", ((key, body) for key, body in commit.states.items() if body is not None))
    db.many("state_drop", ((key,) for key, body in commit.states.items() if body is None))
    db.many("timer_set", ((key, len(all_), encode_body(all_)) for key, all_ in commit.timers.items() if all_))
    db.many("timer_drop", ((key,) for key, all_ in commit.timers.items() if not all_))


def _write_story(db: Session, commit: StepCommit) -> None:
    incidents = ((one.id, one.episode, one.phase.value, one.updated_at, encode_body(one)) for one in commit.incidents)
    db.many("incident_put", incidents)
    db.many("decision_add", ((one.incident, one.at, encode_body(one)) for one in commit.decisions))


def _add_action(db: Session, action: Action, at: Instant, *, is_old: bool) -> bool:
    """is_old: it is decided on what came before the store was restored."""
    added = db.run(
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
    if added.rowcount == 1 and action.replaces:
        db.run("action_supersede", lane=action.lane, replaces=action.replaces, id=action.id, at=at)
    return added.rowcount == 1


def _cancel(db: Session, action_id: str, reason: str, at: Instant) -> Action | None:
    row = db.row("action_cancel", id=action_id, reason=reason, at=at)
    return None if row is None else decode_action(row[0])


# -- outbox -----------------------------------------------------------------------------------------------------


def claim(db: Session, token: str, now: Instant, until: Instant, limit: int) -> list[Claim]:
    """`token` is unique to this call; each claim adds its row's number."""
    taken = []
    claims = []
    for seq, state, tries, uncertain, body in db.rows("claimable", now=now, limit=limit):
        is_uncertain = bool(uncertain) or state == "claimed"
        mine = f"{token}#{seq}"
        taken.append((mine, until, is_uncertain, seq))
        claims.append(Claim(action=decode_action(body), token=mine, until=until, uncertain=is_uncertain, tries=tries))
    db.many("claim_take", taken)
    return claims


def confirm(db: Session, claimed: Claim, now: Instant, changes_per_minute: int) -> Go:
    row = db.row("claim_until", id=claimed.action.id, token=claimed.token)
    if row is None or now >= row[0]:
        return Go.LOST
    if row[1]:
        return Go.PROVE
    changes = claimed.action.kind in CHANGES_TARGET
    if changes and db.row("controller")[1]:
        return Go.FROZEN
    if now > claimed.action.not_after:
        return Go.EXPIRED
    return Go.RATE if changes and not _may_change(db, claimed.action.target, now, changes_per_minute) else Go.YES


def _may_change(db: Session, target: str, now: Instant, allowed: int) -> bool:
    return db.run("rate_count", target=target, minute=now // MINUTE, allowed=allowed).rowcount == 1


def finish(
    db: Session,
    claimed: Claim,
    result: Input | None,
    state: str,
    detail: str,
    at: Instant,
    audit: AuditEntry | None,
) -> bool:
    statement = "claim_delete" if claimed.action.kind in QUESTIONS else "claim_finish"
    ended = db.run(statement, id=claimed.action.id, token=claimed.token, state=state, detail=detail, at=at)
    if ended.rowcount == 0:
        return False
    append_audit(db, () if audit is None else (audit,), at)
    append(db, () if result is None else (result,), at)
    return True


# -- retention --------------------------------------------------------------------------------------------------


def snapshot(db: Session, lease: Lease, at: Instant) -> int:
    fence(db, lease)
    position = int(db.row("controller")[0])
    if db.run("snapshot_add", at=at).rowcount == 1:
        db.run("snapshot_states", position=position)
        db.run("snapshot_timers", position=position)
        for name in ("snapshot_drop", "snapshot_state_drop", "snapshot_timer_drop"):
            db.run(name)
    return position


def prune(db: Session, before: Instant, outbox_before: Instant, limit: int) -> int:
    left = limit
    for table in PRUNED:
        left -= db.run(f"prune_{table}", before=before, outbox_before=outbox_before, limit=left).rowcount
    return limit - left
