"""Changes beyond the retry: what a step's own keys become, the action, its outcome, and taking it back in time.

Owns the parameters of changes and their undoing. Whether one may be is brakes.py's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.engine import approvals, brakes, breakers, incident, ledger, proofs
from remediator.engine.context import Alert, Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState, Undo
from remediator.engine.steps import RETRY, rule_of, step_name, task_of
from remediator.model.action import (
    Action,
    Backfill,
    Change,
    Mark,
    Params,
    Pause,
    Pool,
    Reprocess,
    Request,
    Rerun,
    RetryTarget,
    Scale,
    Trigger,
)
from remediator.model.ids import dagrun_lane, stable_id
from remediator.model.inputs import Performed
from remediator.model.outcome import WANTED_AGAIN, Delivered, Refused, ran_out
from remediator.model.policy import Mode
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, Duration, Instant, format_duration, parse_instant
from remediator.rules.scene import Scene
from remediator.rules.spec import Step

MAX_UNDOS = 200
MAX_UNDO_TRIES = 48
UNDO_AGAIN: Duration = MINUTE
"""An undo that nobody answered in its time is harmless to try again: it changes back only what is still as it was."""
MAX_DESCRIBED = 500


class UnfitError(ValueError):
    """The step's keys cannot be filled in for this event."""


def issue(context: Context, state: DagState, run: DagRunState, case: Case, step: Step) -> str:
    """Want the change. Returns what is missing, if its keys cannot be filled in."""
    run.issued += 1
    action = wanted(context, state, case, step, run.issued)
    if isinstance(action, str):
        return action
    context.act(action)
    _note_pause(context, state, action)
    if step.undo_after and isinstance(action.params, Pause | Pool | Scale):
        plan = Undo(step.undo_after, action.target, action.params, case.incident, action.id, since=context.now)
        state.undo_plans[action.id] = plan
    brakes.spend(context, state, run, [case])
    ledger.begin(context, action.target, action.id, step.verify + context.policy.action_expiry)
    breakers.note_probe(context, case, action.id)
    case.phase, case.due = CasePhase.ISSUED, None
    proofs.begin(case, action.id, action.kind, proves=proofs.is_of_its_dagrun(action.params, case))
    text = f"{step.action} {target_of(action.params)}"
    context.decide(Reason.CHANGE_ISSUED, text, incident=case.incident, action_id=action.id, rule=case.rule)
    return ""


def wanted(context: Context, state: DagState, case: Case, step: Step, number: int) -> Action | str:
    """The change that the step makes, or why there is none. number: of the dagrun's changes. Changes nothing."""
    rule, held = rule_of(context, case.rule), state.incidents[case.incident]
    deployment = state.deployment or case.event.deployment
    place = (deployment, state.dag_id, case.event.run_id, task_of(case))
    action_id = stable_id(step.action, case.rule, *place, held.incident.cause, step_name(case), number)
    try:
        params = params_of(context, case, step, action_id, incident.scene(context, rule, case, held.incident))
    except (UnfitError, msgspec.ValidationError, ValueError) as unfit:
        return f"{step.action}: {unfit}"
    never = _never(context, deployment, params)
    if never:
        return f"{step.action}: {never}"
    action = _action(context, action_id, deployment, params, case.incident)
    return msgspec.structs.replace(action, not_after=brakes.not_after(context, deployment))


def _never(context: Context, deployment: str, params: Change) -> str:
    """Why the change is never made: its DAG, or a task that would run a second time, is on the list."""
    dag_id = getattr(params, "dag_id", "")
    within = brakes.never_within(context, deployment, dag_id) if isinstance(params, Reprocess | Backfill) else ()
    if within:
        return f"tasks of {deployment}/{dag_id} are on the never-retry list ({within[0]!r})"
    return brakes.never_touched(context, deployment, dag_id)


def _action(context: Context, action_id: str, deployment: str, params: Change, incident_id: str) -> Action:
    return Action(
        id=action_id,
        lane=lane_of(deployment, params),
        key=context.key,
        target=deployment,
        params=params,
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
        incident=incident_id,
    )


def lane_of(deployment: str, params: Change) -> str:
    """Changes of one thing are made in order, one in flight."""
    if isinstance(params, Rerun | Mark):
        return dagrun_lane(deployment, params.dag_id, params.run_id)
    return f"change:{deployment}:{target_of(params)}"


def target_of(params: Params) -> str:
    """What a change is made to, in words."""
    match params:
        case Pool(pool=pool):
            return f"pool {pool}"
        case Scale(namespace=namespace, kind=kind, name=name):
            return f"{kind} {namespace}/{name}"
        case Request(endpoint=endpoint):
            return f"endpoint {endpoint}"
        case Rerun(dag_id=dag_id, run_id=run_id) | Mark(dag_id=dag_id, run_id=run_id):
            return f"dagrun {dag_id}/{run_id}"
    return f"DAG {getattr(params, 'dag_id', '')}"


def described(context: Context, state: DagState, case: Case, step: Step) -> str:
    """What the step's change would be made to, and how, for whoever has to approve it; '' for a retry."""
    if step.action == RETRY:
        return ""
    scene = incident.scene(context, rule_of(context, case.rule), case, state.incidents[case.incident].incident)
    try:
        params = params_of(context, case, step, "", scene)
    except (UnfitError, msgspec.ValidationError, ValueError) as unfit:
        return f"cannot be made ({unfit})"
    details = ", ".join(f"{name} {_filled(context, value, scene)}" for name, value in step.params.items())
    return f"{target_of(params)} ({details})"[:MAX_DESCRIBED] if details else target_of(params)


# -- parameters ---------------------------------------------------------------------------------------------------


def params_of(context: Context, case: Case, step: Step, action_id: str, scene: Scene) -> Change:
    """The change with the step's keys filled in. Raises UnfitError, ValueError."""
    given = {name: _filled(context, value, scene) for name, value in step.params.items()}
    dag_id = given.get("dag_id") or case.event.dag_id or ""
    run_id = given.get("run_id") or case.event.run_id or ""
    most = approvals.may_affect(context, case)
    why = case.rule
    tags = context.policy.never_retry_tags if dag_id != case.event.dag_id else ()  # of its own DAG brakes.py knows them
    match step.action:
        case "airflow.trigger":
            when = given.get("logical_date")
            return Trigger(_named(given.get("dag_id", "")), f"remediator__{action_id}", given.get("conf", {}),
                           parse_instant(when) if when else None, why)  # fmt: skip
        case "airflow.rerun":
            never = brakes.never_within(context, case.event.deployment, dag_id)
            rerun = Rerun(_named(dag_id), _named(run_id, "run_id"), why, most, never, never_tags=tags)
            return _of_its_dagrun(rerun, case)
        case "airflow.reprocess":
            since, until = _range(given, case)
            end = until if "until" in given else until + 1
            wanted = Reprocess(_named(dag_id), since, end, why, most, never_tags=tags)
            return _of_its_dagrun(wanted, case)
        case "airflow.backfill":
            backfill = Backfill(_named(dag_id), *_range(given, case), given.get("reprocess", "failed"),
                                given.get("max_active", 2), why, most, tags)  # fmt: skip
            return _of_its_dagrun(backfill, case)
        case "airflow.pause" | "airflow.resume":
            return Pause(_named(dag_id), step.action == "airflow.pause", why)
        case "airflow.pool":
            return Pool(_named(given["pool"], "pool"), given["slots"], given.get("only_if"), why)
        case "airflow.mark":
            task = RetryTarget(case.event.task_id or "", case.try_number, case.event.map_index, case.instance_id)
            return Mark(_named(dag_id), _named(run_id, "run_id"), task, given.get("state", "success"), why)
        case "kubernetes.scale":
            return Scale(given["namespace"], given["kind"], given["name"], given["replicas"], given.get("only_if"), why)
        case "http.request":
            return Request(given["endpoint"], given.get("body", {}), why)
    raise UnfitError(f"{step.action} is no change")


def _of_its_dagrun(wanted: Reprocess | Rerun | Backfill, case: Case) -> Reprocess | Rerun | Backfill:
    """What failed is named in a change of its own dagrun, whose end is waited for: it is known before that."""
    if not proofs.is_of_its_dagrun(wanted, case):
        return wanted
    attempt = RetryTarget(case.event.task_id or "", case.try_number, case.event.map_index, case.instance_id)
    if isinstance(wanted, Rerun):
        return msgspec.structs.replace(wanted, attempt=attempt)
    return msgspec.structs.replace(wanted, run_id=case.event.run_id or "", attempt=attempt)


def _named(value: str, what: str = "dag_id") -> str:
    if not value:
        raise UnfitError(f"the event has no {what}")
    return value


def _range(given: dict[str, Any], case: Case) -> tuple[int, int]:
    since, until = given.get("since"), given.get("until")
    own = case.event.logical_date
    if since is None and own is None:
        raise UnfitError("the event has no logical_date, and the step no `since`")
    begin = parse_instant(since) if since is not None else own or 0
    return begin, parse_instant(until) if until is not None else max(begin, own or begin)


def _filled(context: Context, value: Any, scene: Scene) -> Any:
    if isinstance(value, dict):
        return {name: _filled(context, one, scene) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(context, one, scene) for one in value]
    if not isinstance(value, str):
        return value
    text = context.rules.render_strict(value, scene)
    if text is None:
        raise UnfitError(f"a field of {value!r} is missing")
    return text


# -- outcomes -----------------------------------------------------------------------------------------------------


def _note_pause(context: Context, state: DagState, action: Action) -> None:
    """What we pause ourselves is no person's wish. What an undo pauses again was one before."""
    if isinstance(action.params, Pause) and not (action.params.paused and action.params.since is not None):
        place = f"{action.target}/{action.params.dag_id}"
        state.pausing[action.id] = place, action.params.paused
        if action.params.paused and not ledger.is_paused_by_us(context, place):
            ledger.note_pause(context, place, False)


def end_pause(context: Context, state: DagState, performed: Performed) -> None:
    """A pause or resumption of ours has ended."""
    place, pauses = state.pausing.pop(performed.action_id, ("", False))
    done = performed.outcome if isinstance(performed.outcome, Delivered) else None
    if place and pauses:
        is_ours = done is not None and done.before == "unpaused"
        if is_ours or not ledger.is_paused_by_us(context, place):  # it may have been ours before
            ledger.note_pause(context, place, is_ours or None)
    elif place and (done is not None or (isinstance(performed.outcome, Refused) and performed.outcome.theirs)):
        ledger.note_pause(context, place, None)  # it goes on, or is paused by a person by now


def plan_undo(context: Context, state: DagState, performed: Performed) -> None:
    """What was changed for a time only is changed back then, whatever became of its case meanwhile."""
    plan = state.undo_plans.pop(performed.action_id, None)
    outcome = performed.outcome
    if plan is None or isinstance(outcome, Refused):
        return
    before = outcome.before if isinstance(outcome, Delivered) else ""
    if not before:
        _say_not_undone(context, plan)
        return
    back = _back(plan.params, before, plan.since)
    if back is None:
        return
    if len(state.undos) >= MAX_UNDOS:
        text = f"{target_of(plan.params)} is not undone: {MAX_UNDOS} changes wait for that already"
        context.decide(Reason.LIMIT_REACHED, text, incident=plan.incident, action_id=plan.action_id)
        context.effects.alerts.append(Alert("undo_failed", f"{plan.target} {target_of(plan.params)}", text))
        return
    state.undos.append(msgspec.structs.replace(plan, due=context.now + plan.due, params=back))
    text = f"{target_of(plan.params)} is undone in {format_duration(plan.due)}"
    context.decide(Reason.STEP_WAITS, text, incident=plan.incident, action_id=plan.action_id)


def _say_not_undone(context: Context, plan: Undo) -> None:
    """An answer was lost: the change may stand, and nobody knows any more what it was made from."""
    text = f"{target_of(plan.params)} may be changed, and is not undone: nobody knows what it was before"
    context.decide(Reason.OUTCOME_UNKNOWN, text, incident=plan.incident, action_id=plan.action_id)
    context.effects.alerts.append(Alert("undo_failed", f"{plan.target} {target_of(plan.params)}", text))


def _back(params: Change, before: str, since: Instant) -> Pause | Pool | Scale | None:
    match params:
        case Pause(dag_id=dag_id, paused=paused) if before == ("unpaused" if paused else "paused"):
            return Pause(dag_id, not paused, "undone", since)
        case Pool(pool=pool, slots=slots) if before.isdigit() and int(before) != slots:
            return Pool(pool, int(before), slots, "undone")
        case Scale(namespace=namespace, kind=kind, name=name, replicas=replicas) if before.isdigit():
            return Scale(namespace, kind, name, int(before), replicas, "undone") if int(before) != replicas else None
    return None


def issue_undos(context: Context, state: DagState) -> None:
    """Change back what is due; under a freeze it waits for the thaw."""
    if context.world.frozen:
        state.undos = [_held(context, undo) for undo in state.undos]
        return
    state.undos = [_put_off(context, undo) for undo in state.undos]
    due = [undo for undo in state.undos if undo.due <= context.now]
    for undo in due:
        state.undos.remove(undo)
        if forbidden := _forbidden(context, undo):
            _leave(context, undo, forbidden)
            continue
        action_id = stable_id("undo", undo.action_id, undo.due)
        action = _action(context, action_id, undo.target, undo.params, undo.incident)
        action = msgspec.structs.replace(action, not_after=brakes.not_after(context, undo.target))
        context.act(action)
        _note_pause(context, state, action)
        text = f"{target_of(undo.params)} goes back to what it was"
        context.decide(Reason.UNDONE, text, incident=undo.incident, action_id=action_id)
        state.undoing[action_id] = undo
        ledger.begin_undo(context, action_id)


def withdraw_undos(context: Context, state: DagState) -> None:
    """Take back undos that are issued and not permitted any more; what is being done already goes on."""
    for action_id, undo in state.undoing.items():
        if forbidden := _forbidden(context, undo):
            context.effects.cancels.append((action_id, forbidden))


def _forbidden(context: Context, undo: Undo) -> str:
    """Why nothing is changed back, or ''."""
    deployment = context.deployment(undo.target)
    allows = deployment is not None and deployment.ceiling is not Mode.OBSERVE
    return "" if allows else f"deployment {undo.target!r} allows no changes any more: it stays as it is"


def _leave(context: Context, undo: Undo, forbidden: str) -> None:
    """Nothing is changed where nothing may be changed any more, back neither: a person has to."""
    text = f"undo of {target_of(undo.params)}: {forbidden}"
    context.decide(Reason.CEILING, text, incident=undo.incident, action_id=undo.action_id)
    context.effects.alerts.append(Alert("undo_failed", f"{undo.target} {target_of(undo.params)}", text))


def _held(context: Context, undo: Undo) -> Undo:
    if undo.held or undo.due > context.now:
        return undo
    context.decide(Reason.FROZEN, f"{target_of(undo.params)} goes back after a thaw", incident=undo.incident)
    return msgspec.structs.replace(undo, held=True)


def _put_off(context: Context, undo: Undo) -> Undo:
    """Nothing is changed under maintenance, back neither: what is due then waits for its end."""
    put_off = brakes.under_maintenance(context, undo.target) if undo.due <= context.now else None
    if put_off is None:
        return undo
    (reason, text), until = put_off
    context.decide(reason, f"{target_of(undo.params)} goes back after that: {text}", incident=undo.incident)
    return msgspec.structs.replace(undo, due=until, held=False)  # the clock wakes it, and not another thaw


def on_undone(context: Context, state: DagState, performed: Performed) -> None:
    """An undo has ended: one that the freeze, maintenance or an outage stopped is wanted again."""
    undo = state.undoing.pop(performed.action_id, None)
    if undo is None:
        return
    ledger.end_undo(context, performed.action_id)
    outcome = performed.outcome
    is_maintained = brakes.under_maintenance(context, undo.target) is not None
    if isinstance(outcome, Refused) and (outcome.reason in WANTED_AGAIN or is_maintained):
        again = max(context.now, undo.due + 1)  # an instant of its own: the action's id must be another one
        state.undos.append(msgspec.structs.replace(undo, due=again, held=False))
        return
    subject, told = f"{undo.target} {target_of(undo.params)}", f"undo of {target_of(undo.params)}: "
    if isinstance(outcome, Delivered):
        told += outcome.detail
        context.decide(Reason.DELIVERED, told, incident=undo.incident)
        context.effects.alerts.append(Alert("undo_failed", subject, told, Reason.RECOVERED, is_over=True))
        return
    told += outcome.reason
    if ran_out(outcome) and undo.tries < MAX_UNDO_TRIES:
        told += "; it is tried again"
        again = context.now + UNDO_AGAIN
        state.undos.append(msgspec.structs.replace(undo, due=again, held=False, tries=undo.tries + 1))
    context.decide(Reason.REFUSED, told, incident=undo.incident)
    context.effects.alerts.append(Alert("undo_failed", subject, told))
