"""Waits: what puts a case off for a while, and until when. Every wait has an end.

Owns holds, quiet times, the waits of steps and for breakers. What becomes of a case whose wait is over is waking.py's.
"""

from __future__ import annotations

from remediator.engine import approvals, breakers, feeds, looks, tell, telling
from remediator.engine.brakes import Brake
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import step_name
from remediator.model.incident import Handling
from remediator.model.reasons import Reason
from remediator.model.time import Instant, format_instant
from remediator.rules.periods import end_of_periods, in_periods
from remediator.rules.spec import Step

BREAKER = "breaker"
"""Under which name a case remembers until when it waits for one."""


def must_wait(context: Context, case: Case, step: Step) -> bool:
    """Is the step's own wait, or a quiet time of the rule, not over?"""
    due, reason = _waits_until(context, case, step)
    if due <= context.now:
        return False
    if case.phase is not CasePhase.WAITING or case.due != due:
        until = f"{step.action} waits until {format_instant(due)}"
        context.decide(reason, until, incident=case.incident, rule=case.rule)
    case.phase, case.due = CasePhase.WAITING, due
    case.feed_due, case.thaw = None, False
    return True


def _waits_until(context: Context, case: Case, step: Step) -> tuple[Instant, Reason]:
    if step.wait:
        due = case.waits.setdefault(step_name(case), context.now + step.wait)
        if due > context.now:
            return due, Reason.STEP_WAITS
    quiet = context.rules.quiet(case.rule)
    if step.action in ("page", "notify") and in_periods(quiet, context.now):
        return end_of_periods(quiet, context.now), Reason.QUIET
    return context.now, Reason.STEP_WAITS


def must_look(context: Context, state: DagState, run: DagRunState, case: Case) -> bool:
    """Is the look that showed the failure too old to go on from? Then a fresh one says whether there is need to."""
    if not looks.is_needed(context, state, case):
        return False
    case.phase, case.due = CasePhase.WAITING, None
    case.feed_due, case.thaw = None, False
    looks.want_fresh(run, context.now)
    return True


def put_off_until(context: Context, state: DagState, case: Case, brake: Brake, until: Instant) -> None:
    """Nothing is wrong with the change but the moment. What a person holds up is told, and asked about by looks."""
    reason, text = brake
    if not case.capped or (reason is Reason.PAUSED and not case.told_meanwhile):
        context.decide(reason, f"{text}; tried again {format_instant(until)}", incident=case.incident, rule=case.rule)
    case.capped += 1
    if case.phase is not CasePhase.PLANNED or reason is Reason.PAUSED:
        case.phase = CasePhase.WAITING
    case.due = until
    if reason is Reason.PAUSED:
        tell.show_handling(context, state, case.incident, Handling.NONE, f"held: {text}")
        telling.tell_meanwhile(context, state, case, f"held: {text}")


def hold(context: Context, case: Case, *, feed: str = "", thaw: bool = False) -> None:
    """Wait for the feed or a thaw, but not for ever."""
    if case.phase is not CasePhase.HELD or case.due is None:
        case.due = context.now + context.policy.hold_max
    case.phase, case.breaker = CasePhase.HELD, False
    case.feed_due = context.now - 2 * feeds.lateness(feed, context.policy) if feed else None
    case.thaw = thaw
    if thaw:
        context.decide(Reason.FROZEN, "held until a thaw", incident=case.incident, rule=case.rule)


def is_held_back(context: Context, state: DagState, case: Case) -> bool:
    """While the feed catches up nobody is told: what is read may be long over."""
    feed = telling.is_behind(context, state, case)
    if not feed:
        return False
    if case.phase is not CasePhase.HELD:
        text = f"feed {feed!r} is behind"
        context.decide(Reason.CATCHING_UP, text, incident=case.incident, rule=case.rule)
    hold(context, case, feed=feed)
    return True


def wait_for_breaker(context: Context, state: DagState, case: Case, text: str) -> bool:
    """Wait until the breaker closes or the probe is this case's turn; False if that lasts too long or is in vain."""
    over = case.waits.setdefault(BREAKER, context.now + context.policy.proposal_expiry)
    if over <= context.now or breakers.is_given_up(context, case):
        return False
    if not (case.phase is CasePhase.HELD and case.breaker):
        until = f"{text}: it waits until that changes, at most until {format_instant(over)}"
        context.decide(Reason.BREAKER_WAITS, until, incident=case.incident, rule=case.rule)
        tell.show_handling(context, state, case.incident, Handling.NONE, "waits: its rule does not help at the moment")
        asked = approvals.asked(context, case)
        breakers.begin_waiting(
            context, case, asked.to or context.policy.unclassified_route, paged=asked.action == "page"
        )
    case.phase, case.breaker, case.feed_due, case.thaw = CasePhase.HELD, True, None, False
    case.due = min(over, breakers.next_turn(context, case))
    return True


def leave_breaker(context: Context, case: Case) -> bool:
    """Does the case wait no more, since the breaker is closed, given up, or the probe is its turn?"""
    turn = breakers.next_turn(context, case)
    over = case.waits.get(BREAKER, context.now)
    if turn > context.now and over > context.now and not breakers.is_given_up(context, case):
        case.due = min(over, turn)
        return False
    if over > context.now:
        breakers.take_turn(context, case)
    case.breaker, case.due = False, None
    return True
