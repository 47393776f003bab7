"""Waking: what the cases of a DAG wait for, and what becomes of them when that is over. Every wait has an end.

Owns the timers of a DAG's key. What a case does once it goes on is response.py's.
"""

from __future__ import annotations

from remediator.engine import breakers, budget, endings, feeds, firing, judge, looks, response, telling, waits
from remediator.engine.context import Context
from remediator.engine.state import NO_DAGRUN, Case, CasePhase, DagRunState, DagState
from remediator.model.reasons import Reason
from remediator.model.time import Instant, format_duration


def on_thaw(context: Context, state: DagState) -> None:
    """The freeze is over: what it held is decided anew."""
    for run_id, run in state.dagruns.items():
        for case in run.cases.values():
            if case.phase is CasePhase.HELD and case.thaw:
                _release(context, state, run_id, run, case, timed_out=False)


def wake_cases(context: Context, state: DagState, run_id: str, run: DagRunState, mark: Instant) -> None:
    """What is due, or whose feed has come far enough, goes on."""
    judge.settle_unaccounted(context, state, run_id, run, mark)
    for name, case in list(run.cases.items()):
        timed_out = case.due is not None and case.due <= context.now
        passed = mark if state.deployment else watermark_of(context, case.event.deployment)
        released = case.feed_due is not None and passed >= case.feed_due
        is_awake = (timed_out or released) and case.phase is not CasePhase.ISSUED
        over = _orphaned(context, state, run_id, name) if is_awake else None
        if over is not None:
            endings.end_case(context, state, run, name, *over)
        elif case.phase is CasePhase.HELD and case.breaker:
            _ask_breaker(context, state, run_id, run, case)
        elif case.phase is CasePhase.HELD and (timed_out or released):
            _release(context, state, run_id, run, case, timed_out=timed_out)
        elif case.phase is CasePhase.VERIFYING and timed_out and not run.look and run.look_due is None:
            looks.want(run, context.now)
        elif case.phase is CasePhase.PROPOSED and timed_out:
            response.expire_proposal(context, state, run_id, case)
        elif case.phase is CasePhase.WAITING and timed_out:
            _end_wait(context, state, run_id, run, case)
        elif case.phase is CasePhase.TOLD and timed_out and firing.is_calm(context, run_id, case):
            quiet = format_duration(context.policy.calm_after)
            endings.end_case(context, state, run, name, Reason.CALMED, f"nothing more within {quiet}")
        elif case.phase is CasePhase.TOLD and timed_out:
            case.due = context.now + context.policy.told_look_every
            if run_id != NO_DAGRUN and looks.has_api(context, state):
                looks.want(run, context.now)
            elif not telling.is_behind(context, state, case):
                telling.tell_again(context, state, case)


def _end_wait(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case) -> None:
    """A step's turn has come: on a fresh truth, where there is one to be had."""
    if run_id != NO_DAGRUN and looks.has_api(context, state) and not case.unverified:
        case.due = None
        looks.want_fresh(run, context.now)
    else:
        response.proceed(context, state, run_id, run, case)


def _ask_breaker(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case) -> None:
    """What an open breaker has held is decided anew once it may be, on a fresh truth."""
    if not waits.leave_breaker(context, case):
        return
    if run_id != NO_DAGRUN and looks.has_api(context, state) and not case.unverified:
        looks.want_fresh(run, context.now)
    else:
        response.proceed(context, state, run_id, run, case)


def _orphaned(context: Context, state: DagState, run_id: str, name: str) -> tuple[Reason, str] | None:
    """Why nothing says any more what would end the firing; None if something does."""
    return firing.orphaned(context, state, name) if run_id == NO_DAGRUN else None


def _release(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, *, timed_out: bool) -> None:
    """What was held is decided anew, on a fresh truth."""
    held_for = "frozen" if case.thaw else "catching up"
    case.feed_due, case.thaw = None, False
    if timed_out:
        case.hold_over, case.due = True, None
        case.why = case.why or f"{Reason.HELD_TOO_LONG.value}: {held_for}"
        context.decide(Reason.HELD_TOO_LONG, held_for, incident=case.incident, rule=case.rule)
    if looks.has_api(context, state) and not case.unverified:
        looks.want_fresh(run, context.now)
    else:
        response.proceed(context, state, run_id, run, case)


def watermark(context: Context, state: DagState) -> Instant:
    return watermark_of(context, state.deployment)


def watermark_of(context: Context, name: str) -> Instant:
    deployment = context.deployment(name)
    return feeds.watermark(context.world.feeds, deployment.feed, context.policy) if deployment else 0


def timers(context: Context, state: DagState) -> dict[str, Instant]:
    """When the state must be woken, by clock: 'now', the feed's watermark, 'thaw', the breakers'.

    A case whose time has passed waits for a look, not for another tick.
    """
    deployment = context.deployment(state.deployment)
    feed = f"feed:{deployment.feed}" if deployment is not None else ""
    found: dict[str, Instant] = {}

    def add(clock: str, at: Instant | None) -> None:
        if at is not None and clock:
            found[clock] = min(at, found.get(clock, at))

    for run in state.dagruns.values():
        if not run.is_open:
            continue
        add("now", run.look_due if not run.look else None)
        for case in run.cases.values():
            add("now", case.due if case.due is not None and case.due > context.now else None)
            own = context.deployment(case.event.deployment)
            add(feed or (f"feed:{own.feed}" if own is not None else ""), case.feed_due)
            add("thaw", 0 if case.thaw else None)
            add(breakers.CLOCK, 0 if case.breaker else None)
        for waiting in run.unaccounted.values():
            add("now", None if waiting.confirming else waiting.due)
            add(feed, None if waiting.confirming else waiting.feed_due)
    if state.dagruns:
        add("now", state.forget_at)
    for spent in state.budgets.values():
        add("now", budget.over_at(spent))
    for question in state.questions.values():
        add("now", question.until)
    for undo in state.undos:
        add(*(("thaw", 0) if undo.held else ("now", undo.due)))
    for held in state.incidents.values():
        add("now", held.incident.opened_at + context.policy.incident_expiry)
    return found
