"""What to make of what was found around a clear. Pure: every branch of the retry executor is decided here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from remediator.actions.airflow.errors import TEXT_LIMIT, Answered, Fault, Lost, NotSent
from remediator.actions.airflow.marked import Wish
from remediator.actions.airflow.note import is_ours, merged
from remediator.actions.airflow.rows import NO_STATE, TaskInstancePage, TaskInstanceRow
from remediator.model.action import Retry, RetryTarget
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import SECOND, Duration

SOON: Duration = 5 * SECOND
LATER: Duration = 15 * SECOND
RUNNING: Duration = 10 * SECOND
ASKED_MAX: Duration = 60 * SECOND
"""The longest that an answer may make us wait."""
LOOK_VALID: Duration = 10 * SECOND
"""A process that stood still for longer since its look knows nothing any more: it looks again before it clears."""
SEND_VALID: Duration = 10 * SECOND
"""How long a change may wait for its turn, a token, a first answer: then it is not sent, and all is looked at again."""
NAMED_LIMIT = 3
"""How many task instances a reason names."""

Found = tuple[RetryTarget, TaskInstanceRow | None]


class Clear(msgspec.Struct, frozen=True):
    """The targets that are still the expected attempts, the note to leave on them, and when they failed."""

    tasks: tuple[RetryTarget, ...]
    note: str
    failed_at: tuple[str | None, ...] = ()


class LookAgain(msgspec.Struct, frozen=True):
    """The clear's answer does not tell what happened.

    unchanged: what holds if the look finds the same failure. moved: what holds if it finds another attempt
    without our note; None: somebody else's clear, so ours is refused.
    """

    unchanged: Outcome
    moved: Outcome | None = None


def before(found: Sequence[Found], action_id: str, retry: Retry, *, uncertain: bool) -> Clear | Outcome:
    """Shall these targets be cleared now?

    uncertain: an earlier call may have cleared them, and a person may have written over our note since.
    """
    delivered = _by_note(found, action_id, retry)
    if delivered is not None:
        return delivered
    same = [(target, row) for target, row in found if is_expected(target, row)]
    if not same:
        return moved_on(found, may_be_ours=uncertain)
    rows = [row for _, row in same if row is not None]
    note = merged([row.note for row in rows], action_id, retry.why)
    return Clear(tuple(target for target, _ in same), note, tuple(row.end_date for row in rows))


def spared(
    clear: Clear,
    rows: Mapping[RetryTarget, TaskInstanceRow],
    theirs: Mapping[RetryTarget, Wish],
    action_id: str,
    retry: Retry,
) -> Clear | Refused:
    """The clear without what people marked failed; refused if nothing else is left, or if it cannot spare that."""
    rest = {target: row for target, row in rows.items() if target not in theirs}
    if theirs and (not rest or retry.scope != "task"):
        return Refused("; ".join(str(wish) for wish in theirs.values())[:TEXT_LIMIT], theirs=True)
    if not theirs:
        return clear
    return Clear(tuple(rest), merged((row.note for row in rest.values()), action_id, retry.why))


def told_of(theirs: Collection[RetryTarget], outcome: Outcome) -> Outcome:
    """What was done, and what was spared."""
    if not theirs or not isinstance(outcome, Delivered):
        return outcome
    return msgspec.structs.replace(outcome, theirs=tuple(_name(target) for target in theirs))


def look_failed(fault: Fault, *, uncertain: bool) -> Outcome:
    """The look before the clear failed; nothing was sent by this call."""
    if isinstance(fault, Answered) and not uncertain and _is_final(fault):
        return Refused(str(fault))
    return RetryAfter(_wait(fault, LATER), str(fault), uncertain=uncertain)


def look_too_old(*, uncertain: bool) -> Outcome:
    """Too much time went by since the look; nothing was sent by this call."""
    return RetryAfter(SECOND, "stood still between the look and the clear", uncertain=uncertain)


def too_many(affects: int, max_affected: int) -> Refused | None:
    """Refused if it would touch more task instances than it may without asking anybody. max_affected: 0 for any."""
    if not max_affected or affects <= max_affected:
        return None
    return Refused(f"it would touch {affects} task instances, more than the {max_affected} allowed", affects=affects)


def answered(page: TaskInstancePage, clear: Clear, action_id: str, retry: Retry) -> Outcome | LookAgain:
    """The clear was answered with 200: did it touch a target? (It may have touched only what failed downstream.)"""
    cleared = {(row.task_id, row.map_index) for row in page.task_instances}
    if any((task.task_id, task.map_index) in cleared for task in clear.tasks):
        detail = f"cleared {len(cleared)} task instances"
        return Delivered(ref=action_id, detail=detail, left=_left(retry, cleared))
    return LookAgain(Refused("the scheduler cleared nothing, though the attempt is still failed"))


def refused(fault: Fault, *, uncertain: bool) -> Outcome | LookAgain:
    """The clear was not answered with 200."""
    if isinstance(fault, NotSent):
        return RetryAfter(LATER, str(fault), uncertain=uncertain)
    if isinstance(fault, Lost):
        return LookAgain(RetryAfter(SOON, str(fault), uncertain=True), moved=_perhaps(fault))
    assert isinstance(fault, Answered)  # noqa: S101  (the tree has three leaves)
    if fault.status == 409:
        return _conflict(fault, uncertain=uncertain)
    if fault.status >= 500:
        # A proxy answers for a server that may have acted all the same.
        return LookAgain(RetryAfter(_wait(fault, LATER), str(fault), uncertain=True), moved=_perhaps(fault))
    if _is_final(fault):
        return Refused(str(fault))
    return RetryAfter(_wait(fault, LATER), str(fault), uncertain=uncertain)


def after(found: Sequence[Found] | Fault, again: LookAgain, action_id: str, retry: Retry) -> Outcome:
    """The look after a clear whose answer did not tell."""
    if isinstance(found, Fault):
        return RetryAfter(SOON, f"cannot tell whether it was cleared: {found}", uncertain=True)
    delivered = _by_note(found, action_id, retry)
    if delivered is not None:
        return delivered
    if any(is_expected(target, row) for target, row in found):
        return again.unchanged
    return again.moved or moved_on(found, may_be_ours=False)


def _by_note(found: Sequence[Found], action_id: str, retry: Retry) -> Delivered | None:
    """A clear writes its note on all that it touches."""
    ours = {
        (target.task_id, target.map_index) for target, row in found if row is not None and is_ours(row.note, action_id)
    }
    return Delivered(ref=action_id, detail="found by its note", left=_left(retry, ours)) if ours else None


def _left(retry: Retry, touched: AbstractSet[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(_name(task) for task in retry.tasks if (task.task_id, task.map_index) not in touched)


def moved_on(found: Sequence[Found], *, may_be_ours: bool) -> Refused | Unknown:
    """None of the expected attempts is there any more. may_be_ours: an earlier call may have done it."""
    text = f"attempt moved on: {_named(found)}"
    return Unknown(f"{text}, perhaps by an earlier call of ours") if may_be_ours else Refused(text)


def _perhaps(fault: Fault) -> Outcome:
    """The attempt moved on and nothing says by whom: it counts as ours, so that no limit is ever passed."""
    return Unknown(f"attempt moved on, perhaps by this call: {fault}")


def _conflict(fault: Answered, *, uncertain: bool) -> Outcome | LookAgain:
    if "running" in fault.text.lower():
        return RetryAfter(RUNNING, str(fault), uncertain=uncertain)
    # Clears collided and ours was rolled back: the winner's note may not be visible yet, so the next try judges.
    later = RetryAfter(SOON, f"clears collided: {fault}", uncertain=uncertain)
    return LookAgain(later, moved=later)


def _is_final(fault: Answered) -> bool:
    """Would the same call be refused for ever?"""
    return fault.status < 500 and fault.status not in (408, 409, 425, 429)


def _wait(fault: Fault, otherwise: Duration) -> Duration:
    asked = fault.retry_after_s if isinstance(fault, Answered) else None
    return otherwise if asked is None else min(asked * SECOND, ASKED_MAX)


def is_expected(target: RetryTarget, row: TaskInstanceRow | None) -> bool:
    """Is it still the failed attempt that was meant?"""
    if row is None or row.state != "failed" or row.try_number != target.try_number:
        return False
    return not target.instance_id or row.id == target.instance_id


def _named(found: Sequence[Found]) -> str:
    named = "; ".join(_one(target, row) for target, row in found[:NAMED_LIMIT])
    return named if len(found) <= NAMED_LIMIT else f"{named}; and {len(found) - NAMED_LIMIT} more"


def _one(target: RetryTarget, row: TaskInstanceRow | None) -> str:
    if row is None:
        return f"the scheduler does not know {_name(target)}"
    return f"{_name(target)} is {row.state or NO_STATE} at try {row.try_number}"


def _name(target: RetryTarget) -> str:
    return target.task_id if target.map_index == UNMAPPED_INDEX else f"{target.task_id}[{target.map_index}]"
