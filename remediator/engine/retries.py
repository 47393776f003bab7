"""Retries on their way: one clear for all planned cases of a dagrun, and what its outcome means.

Owns issuing. Whether a retry may be is brakes.py's, what comes after it is response.py's.
"""

from __future__ import annotations

from remediator.engine import brakes, looks, response
from remediator.engine.brakes import Brake
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import RETRY, next_step
from remediator.model.action import Action, Retry, RetryTarget
from remediator.model.ids import dagrun_lane, stable_id
from remediator.model.incident import Handling
from remediator.model.inputs import Performed
from remediator.model.outcome import FROZEN, Delivered, Refused
from remediator.model.reasons import Reason
from remediator.rules.spec import Step


def issue_retries(context: Context, state: DagState, run_id: str, run: DagRunState) -> None:
    """One clear for all planned cases of the dagrun, once the first is due and no other clear is under way."""
    planned = {name: case for name, case in run.cases.items() if case.phase is CasePhase.PLANNED}
    if not any(case.due is not None and case.due <= context.now for case in planned.values()):
        return
    if any(case.phase is CasePhase.ISSUED for case in run.cases.values()):
        return
    chosen: dict[str, Case] = {}
    for name, case in planned.items():
        brake = brakes.retry_brake(context, state, run, case)
        if brake is None:
            brakes.spend(context, state, run, case)
            chosen[name] = case
        else:
            _brake_planned(context, state, run_id, run, case, brake)
    if chosen:
        _issue(context, state, run_id, run, chosen)


def _brake_planned(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, brake: Brake) -> None:
    reason, text = brake
    if reason is Reason.FROZEN and not case.hold_over:
        response.hold(context, case, thaw=True)
        return
    response.refuse_step(context, case, reason, text)
    response.proceed(context, state, run_id, run, case)


def _issue(context: Context, state: DagState, run_id: str, run: DagRunState, chosen: dict[str, Case]) -> None:
    run.issued += 1
    causes = [(case.rule, case.stage, case.index, name, case.try_number) for name, case in sorted(chosen.items())]
    targets = tuple(
        RetryTarget(case.event.task_id or "", case.try_number, case.event.map_index, case.instance_id)
        for _, case in sorted(chosen.items())
    )
    first = next(iter(chosen.values()))
    action = Action(
        id=stable_id(RETRY, state.deployment, state.dag_id, run_id, causes, run.issued),
        lane=dagrun_lane(state.deployment, state.dag_id, run_id),
        key=context.key,
        target=state.deployment,
        params=Retry(state.dag_id, run_id, targets, why=", ".join(sorted({case.rule for case in chosen.values()}))),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
        incident=first.incident,
    )
    context.act(action)
    for name, case in chosen.items():
        case.phase, case.action_id, case.due = CasePhase.ISSUED, action.id, None
        text = f"clear of try {case.try_number} of {name} in dagrun {run_id}"
        context.decide(Reason.RETRY_ISSUED, text, incident=case.incident, action_id=action.id, rule=case.rule)
        response.update_incident(context, state, case.incident, Handling.REMEDIATING, "a retry was issued")
    wait = context.policy.look_delay if run.suspects else context.policy.action_expiry
    looks.want_fresh(run, context.now + wait)


def on_outcome(context: Context, state: DagState, performed: Performed) -> None:
    """A clear has ended: its proof is awaited, or a look tells what is left to do."""
    for run in state.dagruns.values():
        cases = [case for case in run.cases.values() if case.action_id == performed.action_id]
        for case in cases:
            if case.phase is CasePhase.ISSUED:
                _take_outcome(context, state, run, case, performed)


def _take_outcome(context: Context, state: DagState, run: DagRunState, case: Case, performed: Performed) -> None:
    outcome = performed.outcome
    if isinstance(outcome, Refused):
        _take_refusal(context, state, run, case, outcome, performed.action_id)
        return
    step = next_step(context, case) or Step(action=RETRY)
    case.phase, case.due = CasePhase.VERIFYING, context.now + step.verify
    known = isinstance(outcome, Delivered)
    text = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    reason = Reason.DELIVERED if known else Reason.OUTCOME_UNKNOWN
    context.decide(reason, text or "cleared", incident=case.incident, action_id=performed.action_id)
    run.looks_in_vain = 0
    looks.want_fresh(run, context.now + context.policy.look_again)


def _take_refusal(
    context: Context, state: DagState, run: DagRunState, case: Case, outcome: Refused, action_id: str
) -> None:
    brakes.refund(context, state, run, case)
    context.decide(Reason.REFUSED, outcome.reason, incident=case.incident, action_id=action_id)
    if context.world.frozen or outcome.reason == FROZEN:  # the thaw may have come before this refusal was read
        response.hold(context, case, thaw=True)
        looks.want_fresh(run, context.now)  # other failures of the dagrun have been waiting for this outcome
        return
    case.phase, case.why = CasePhase.CHECKING, outcome.reason
    looks.want_fresh(run, context.now)
