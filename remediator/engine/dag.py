"""The step of a DAG's key: facts, truths, outcomes and timers in; looks, retries, pages and reasons out."""

from __future__ import annotations

from remediator.engine import (
    changes,
    endings,
    forgetting,
    incident,
    judge,
    ledger,
    lineages,
    looks,
    previews,
    proofs,
    response,
    restore,
    retries,
    tails,
    tell,
    waking,
)
from remediator.engine.context import Context
from remediator.engine.state import CasePhase, DagRunState, DagState, task_key
from remediator.model.action import CHANGES_TARGET
from remediator.model.event import DAGRUN_TERMINAL, TERMINAL, Event
from remediator.model.inputs import Fact, Looked, Performed, Pressed, Previewed, Tailed
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND, format_duration
from remediator.model.truth import DagRunRef

# -- facts --------------------------------------------------------------------------------------------------------


def concerns(state: DagState | None, event: Event) -> bool:
    """Can this fact change anything? Successes of a DAG without trouble are most of the traffic."""
    if event.type in ("task.failed", "dagrun.failed"):
        return True
    if event.type not in TERMINAL:
        return False
    if state is None:
        return False
    return bool(state.incidents) or any(run.is_open for run in state.dagruns.values())


def on_fact(context: Context, state: DagState, fact: Fact) -> None:
    """Take an event in."""
    event = fact.event
    if event.run_id is None:
        return
    if event.type == "task.failed" and event.task_id is not None:
        _on_task_failed(context, state, event, event.run_id)
    elif event.type in DAGRUN_TERMINAL:
        _on_dagrun_ended(context, state, event, event.run_id)
    elif event.type == "task.success" and event.task_id is not None:
        _on_task_success(context, state, event, event.run_id)


def _on_task_failed(context: Context, state: DagState, event: Event, run_id: str) -> None:
    run = _run(context, state, run_id)
    name, claimed = task_key(event.task_id or "", event.map_index), event.try_number or 0
    identity = incident.incident_id(state.deployment, state.dag_id, event.task_id or "")
    proofs.note_failure(run.cases.get(name), claimed)
    known = run.suspects.get(name)
    is_judged = run.judged.get(name, -1) >= claimed and not _is_of_another_life(run, name, event)
    if is_judged or (known is not None and (known.try_number or 0) >= claimed):
        context.decide(Reason.DUPLICATE, f"{name} try {claimed} is known", incident=identity)
        return
    run.suspects[name] = event
    state.tags = event.tags or state.tags
    context.decide(Reason.SUSPECTED, f"{name} try {claimed} of dagrun {run_id} is said to have failed",
                   incident=identity)  # fmt: skip
    if looks.has_api(context, state):
        found = run.unaccounted.pop(name, None)
        if found is not None:
            late = format_duration((context.now - found.found_at) // SECOND * SECOND)
            context.decide(Reason.ANNOUNCED_LATE, f"{name}: its event came {late} after a look had found it",
                           incident=identity)  # fmt: skip
        looks.want(run, context.now + (0 if found else context.policy.look_delay))
    elif event.retries is not None and claimed > event.retries:
        _infer_final(context, state, run_id, run, name)


def _is_of_another_life(run: DagRunState, name: str, event: Event) -> bool:
    """A known try that fails after the dagrun's end: it was deleted and made anew, so that its tries count from 1."""
    return name not in run.cases and run.ended is not None and event.time > run.ended


def _on_dagrun_ended(context: Context, state: DagState, event: Event, run_id: str) -> None:
    run = state.dagruns.get(run_id)
    failed = event.type == "dagrun.failed"
    if run is None and not failed:
        return
    run = _run(context, state, run_id)
    state.tags = event.tags or state.tags
    ended = min(event.ended_at or event.time, context.now + MINUTE)  # a broken clock must not hide later ends
    if run.ended is not None and ended <= run.ended and not run.is_open:
        return
    run.ended, run.looks_in_vain = max(run.ended or 0, ended), 0
    if looks.has_api(context, state):
        looks.want_fresh(run, context.now)
        return
    for name in list(run.suspects) if failed else ():
        _infer_final(context, state, run_id, run, name)
    run.suspects.clear()
    for name in [] if failed else list(run.cases):
        endings.end_case(context, state, run, name, Reason.RECOVERED, "the dagrun succeeded (unverified)")


def _infer_final(context: Context, state: DagState, run_id: str, run: DagRunState, name: str) -> None:
    """Without an API the scheduler cannot be asked: finality is inferred, and marked so."""
    event = run.suspects.pop(name)
    judge.final(context, state, run_id, run, name, event, "", unverified=True)


def _on_task_success(context: Context, state: DagState, event: Event, run_id: str) -> None:
    name = task_key(event.task_id or "", event.map_index)
    has_api = looks.has_api(context, state)
    for other_id, run in state.dagruns.items():
        case, suspect = run.cases.get(name), run.suspects.get(name)
        if other_id != run_id and not lineages.proves(event, run_id, case, other_id):
            continue
        if other_id == run_id and (case is not None or suspect is not None) and has_api:
            # of many that are awaited others succeed in the same moment: one look tells of them all
            awaited = len(run.suspects) + sum(one.phase is CasePhase.VERIFYING for one in run.cases.values())
            looks.want_fresh_by(run, context.now + (context.policy.look_delay if awaited > 1 else 0))
            continue
        if other_id == run_id and suspect is not None and event.time > suspect.time:
            del run.suspects[name]
        if case is not None and (case.phase is CasePhase.TOLD or not has_api) and event.time > case.event.time:
            text = f"{name} succeeded in {'this' if other_id == run_id else 'a later'} dagrun"
            endings.end_case(context, state, run, name, Reason.RECOVERED, text)


def _run(context: Context, state: DagState, run_id: str) -> DagRunState:
    run = state.dagruns.setdefault(run_id, DagRunState())
    run.touched = context.now
    return run


def on_nudge(context: Context, state: DagState, ref: DagRunRef) -> None:
    """A sweep found failures in the dagrun: look at it, unless its end is known and judged."""
    run = _run(context, state, ref.run_id)
    if ref.ended_at is not None and run.ended is not None and ref.ended_at <= run.ended:
        return
    looks.want(run, context.now)


# -- answers ------------------------------------------------------------------------------------------------------


def on_looked(context: Context, state: DagState, looked: Looked) -> None:
    """Take a look's answer in; one that is not the latest question's is older than what happened since."""
    run = state.dagruns.get(looked.run_id)
    if run is None or run.look != looked.action_id:
        return
    run.look = ""
    run.touched = context.now
    if looked.truth is not None:
        before = set(run.cases)
        judge.judge(context, state, looked.run_id, run, looked.truth)
        restore.looked(context, run, before)
    else:
        _on_unreachable(context, state, looked.run_id, run, looked.error)


def _on_unreachable(context: Context, state: DagState, run_id: str, run: DagRunState, error: str) -> None:
    if run.unreachable_since is None:
        run.unreachable_since = context.now
        context.decide(Reason.UNREACHABLE, error)
    if looks.has_api(context, state):  # else nobody will ever answer: the deployment was removed
        looks.want_again(context, run)
        if context.now - run.unreachable_since < context.policy.hold_max:
            return
    judge.settle_unseen(context, state, run_id, run)
    for name, event in list(run.suspects.items()):
        del run.suspects[name]
        judge.final(context, state, run_id, run, name, event, "", unverified=True)
    for case in list(run.cases.values()):
        awaits_look = case.phase is CasePhase.WAITING and case.due is None
        if awaits_look or case.phase in (CasePhase.VERIFYING, CasePhase.CHECKING, CasePhase.HELD, CasePhase.PLANNED):
            text = f"the scheduler could not be asked: {error}"
            response.go_on_unverified(context, state, run_id, run, case, text)


def on_performed(context: Context, state: DagState, performed: Performed) -> None:
    """Take an action's outcome in."""
    if performed.proved:
        restore.proved(context, performed)
    changes.end_pause(context, state, performed)
    if performed.action_id in state.undoing:
        changes.on_undone(context, state, performed)
    elif performed.kind in CHANGES_TARGET:
        changes.plan_undo(context, state, performed)
        retries.on_outcome(context, state, performed)
    else:
        tell.on_outcome(context, state, performed)


def on_tailed(context: Context, state: DagState, tailed: Tailed) -> None:
    """The end of a log has come."""
    tails.on_tailed(context, state, tailed)


def on_previewed(context: Context, state: DagState, previewed: Previewed) -> None:
    """What a change would do, that people are to be asked about, is known."""
    previews.on_previewed(context, state, previewed)


def on_activated(context: Context, state: DagState) -> None:
    """Another rule set decides: changes that it does not permit and that are not made yet are taken back."""
    retries.withdraw_forbidden(context, state)
    changes.withdraw_undos(context, state)


def on_pressed(context: Context, state: DagState, pressed: Pressed) -> None:
    """A person has answered a proposal."""
    response.answer(context, state, pressed)


# -- time ---------------------------------------------------------------------------------------------------------


def on_wake(context: Context, state: DagState) -> None:
    """A timer is due or a watermark has passed: `settle` does what there is to do."""


def settle(context: Context, state: DagState) -> None:
    """Ends every step: whatever is due by now is done, whatever led here. No timer is left in the past."""
    mark = waking.watermark(context, state)
    for run_id, run in list(state.dagruns.items()):
        if not run.is_open:
            continue
        waking.wake_cases(context, state, run_id, run, mark)
        retries.issue_retries(context, state, run_id, run)
        looks.issue_due(context, state, run_id, run)
    previews.settle(context, state)
    changes.issue_undos(context, state)
    _end_changes(context, state)
    forgetting.forget(context, state)


def _end_changes(context: Context, state: DagState) -> None:
    """Changes that are neither on their way nor waiting for their proof free their place under the caps."""
    for deployment in list(context.ledger.under_way):
        active = {case.action_id for run in state.dagruns.values() for case in run.cases.values()
                  if case.phase in (CasePhase.ISSUED, CasePhase.VERIFYING)}  # fmt: skip
        ledger.end_others(context, deployment, active)
