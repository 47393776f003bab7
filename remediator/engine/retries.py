"""Retries on their way: one clear for all planned cases of a dagrun, and what its outcome means.

Owns issuing. Whether a retry may be is brakes.py's, what comes after it is response.py's.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.engine import approvals, brakes, breakers, endings, ledger, looks, proofs, response, tell, waits
from remediator.engine.brakes import Brake
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import RETRY, approval_of, next_step, task_of
from remediator.model.action import Action, Retry, RetryTarget
from remediator.model.ids import dagrun_lane, stable_id
from remediator.model.incident import Handling
from remediator.model.inputs import Performed
from remediator.model.outcome import WANTED_AGAIN, Delivered, FinalOutcome, Refused, Unknown
from remediator.model.reasons import Reason
from remediator.model.time import Instant
from remediator.rules.spec import Step

SCOPES = ("task", "group", "dagrun")
"""What a clear touches beside the failed task and what follows it; the widest that is asked for counts."""


def issue_retries(context: Context, state: DagState, run_id: str, run: DagRunState) -> None:
    """One clear for all planned cases of the dagrun, once the first is due and no other clear is under way."""
    planned = {name: case for name, case in run.cases.items() if case.phase is CasePhase.PLANNED}
    if not any(case.due is not None and case.due <= context.now for case in planned.values()):
        return
    if any(case.phase is CasePhase.ISSUED for case in run.cases.values()):
        return
    approved = {name: case for name, case in planned.items() if approval_of(context, case) in case.approved}
    chosen: dict[str, Case] = {}
    for name, case in (approved or planned).items():  # what a person let happen is limited by nobody else's limit
        brake = brakes.retry_brake(context, state, run, case)
        put_off = brakes.issue_brake(context, state, run, case) if brake is None else None
        if not _waits_untold(brake, put_off) and looks.is_needed(context, state, case):
            case.due = None
            looks.want_unless_asked(run, context.now)
        elif brake is not None:
            _brake_planned(context, state, run_id, run, case, brake)
        elif put_off is not None:
            waits.put_off_until(context, state, case, *put_off)
        else:
            chosen[name] = case
    if chosen:
        brakes.spend(context, state, run, list(chosen.values()))
        _issue(context, state, run_id, run, chosen)


def _waits_untold(brake: Brake | None, put_off: tuple[Brake, Instant] | None) -> bool:
    """Is it only put off, and nobody told? So do maintenance and caps; everything else needs to know how things are."""
    return brake is None and put_off is not None and put_off[0][0] is not Reason.PAUSED


def _brake_planned(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, brake: Brake) -> None:
    step = next_step(context, case) or Step(action=RETRY)
    if response.stopped(context, state, case, step, brake):
        response.proceed(context, state, run_id, run, case)


def _issue(context: Context, state: DagState, run_id: str, run: DagRunState, chosen: dict[str, Case]) -> None:
    run.issued += 1
    steps = {name: next_step(context, case) or Step(action=RETRY) for name, case in chosen.items()}
    action = wanted(context, state, run_id, chosen, run.issued)
    context.act(action)
    lasts = max(step.verify for step in steps.values()) + context.policy.action_expiry + context.policy.hold_max
    ledger.begin(context, state.deployment, action.id, lasts)
    for name, case in chosen.items():
        breakers.note_probe(context, case, action.id)
        case.capped = 0
        case.phase, case.due = CasePhase.ISSUED, None
        proofs.begin(case, action.id, RETRY, proves=True)
        text = f"clear of try {case.try_number} of {name} in dagrun {run_id}"
        context.decide(Reason.RETRY_ISSUED, text, incident=case.incident, action_id=action.id, rule=case.rule)
        tell.show_handling(context, state, case.incident, Handling.REMEDIATING, "a retry was issued")
    wait = context.policy.look_delay if run.suspects else context.policy.action_expiry
    looks.want_fresh(run, context.now + wait)


def wanted(context: Context, state: DagState, run_id: str, chosen: Mapping[str, Case], number: int) -> Action:
    """The one clear of the chosen cases. number: of the dagrun's changes, which sets its id apart. Changes nothing."""
    causes = [
        # A dagrun that was deleted and made anew has the same name. Once the old one is forgotten its tries count from
        # 1 again, which the outbox may still know. Not the time itself: event and look may name different ones.
        (case.rule, case.stage, case.index, name, case.try_number, case.event.time // context.policy.memory)
        for name, case in sorted(chosen.items())
    ]
    targets = tuple(
        RetryTarget(case.event.task_id or "", case.try_number, case.event.map_index, case.instance_id, _group(case))
        for _, case in sorted(chosen.items())
    )
    steps = [next_step(context, case) or Step(action=RETRY) for case in chosen.values()]
    return Action(
        id=stable_id(RETRY, state.deployment, state.dag_id, run_id, causes, number),
        lane=dagrun_lane(state.deployment, state.dag_id, run_id),
        key=context.key,
        target=state.deployment,
        params=Retry(
            state.dag_id,
            run_id,
            targets,
            why=", ".join(sorted({case.rule for case in chosen.values()})),
            scope=max((str(step.params.get("scope", "task")) for step in steps), key=SCOPES.index),
            max_affected=max(approvals.may_affect(context, case) for case in chosen.values()),
            never=brakes.never_within(context, state.deployment, state.dag_id),
        ),
        not_before=context.now,
        not_after=brakes.not_after(context, state.deployment),
        incident=next(iter(chosen.values())).incident,
    )


def _group(case: Case) -> str:
    group = case.event.attributes.get("task_group")
    return group if isinstance(group, str) else ""


def withdraw_forbidden(context: Context, state: DagState) -> None:
    """Take back what is issued and not permitted any more; what is being done already goes on."""
    for run in state.dagruns.values():
        for case in run.cases.values():
            if case.phase is CasePhase.ISSUED:
                forbidden = brakes.forbidden(context, state, case)
                if forbidden:
                    context.effects.cancels.append((case.action_id, forbidden))


def on_outcome(context: Context, state: DagState, performed: Performed) -> None:
    """A clear has ended: its proof is awaited, or a look tells what is left to do."""
    for run_id, run in list(state.dagruns.items()):
        issued = (case for case in run.cases.values() if case.phase is CasePhase.ISSUED)
        cases = [case for case in issued if case.action_id == performed.action_id]
        undone = [case for case in cases if _is_undone(case, performed.outcome)]
        others = [case for case in cases if not _is_undone(case, performed.outcome)]
        brakes.refund(context, state, run, undone, others)
        for case in cases:
            _take_outcome(context, state, run_id, run, case, performed)


def _is_undone(case: Case, outcome: FinalOutcome) -> bool:
    """Was nothing changed for this case?"""
    return isinstance(outcome, Refused) or (isinstance(outcome, Delivered) and task_of(case) in outcome.left)


def _go_on(
    context: Context,
    state: DagState,
    run_id: str,
    run: DagRunState,
    case: Case,
    step: Step,
    outcome: Delivered | Unknown,
) -> None:
    """A change whose delivery is its own proof: what comes after it has its turn."""
    if isinstance(outcome, Unknown):
        response.refuse_step(context, case, Reason.OUTCOME_UNKNOWN, f"{step.action}: {outcome.reason}")
    else:
        text = outcome.detail or step.action
        context.decide(Reason.DELIVERED, text, incident=case.incident, action_id=case.action_id, rule=case.rule)
        case.index += 1
    breakers.go_on(context, case)
    case.phase = CasePhase.TOLD
    response.proceed(context, state, run_id, run, case)


def _take_outcome(
    context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, performed: Performed
) -> None:
    outcome = performed.outcome
    if isinstance(outcome, Delivered) and _is_undone(case, outcome):
        outcome = _left_out(case, outcome)
    if isinstance(outcome, Refused) and outcome.theirs and run_id:
        _leave_alone(context, state, run, case, outcome)
        return
    if isinstance(outcome, Refused):
        _take_refusal(context, state, run_id, run, case, outcome, performed.action_id)
        return
    step = next_step(context, case) or Step(action=RETRY)
    case.made = proofs.MADE if isinstance(outcome, Delivered) else proofs.PERHAPS
    if not case.proves:
        _go_on(context, state, run_id, run, case, step, outcome)
        return
    case.phase, case.due = CasePhase.VERIFYING, context.now + step.verify
    proofs.await_anew(case)
    known = isinstance(outcome, Delivered)
    text = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    reason = Reason.DELIVERED if known else Reason.OUTCOME_UNKNOWN
    context.decide(reason, text or "cleared", incident=case.incident, action_id=performed.action_id)
    run.looks_in_vain = 0
    looks.want_fresh(run, context.now + context.policy.look_again)


def _left_out(case: Case, outcome: Delivered) -> Refused:
    if task_of(case) in outcome.theirs:
        return Refused(f"{task_of(case)} was marked failed by a person", theirs=True)
    return Refused(f"{task_of(case)} was not cleared: somebody was faster")


def _leave_alone(context: Context, state: DagState, run: DagRunState, case: Case, outcome: Refused) -> None:
    """A person wants it to be failed, and so knows of it: nobody is told, and it is theirs from here on."""
    name = next(name for name, one in run.cases.items() if one is case)
    endings.end_case(context, state, run, name, Reason.LEFT_ALONE, outcome.reason)


def _take_refusal(
    context: Context,
    state: DagState,
    run_id: str,
    run: DagRunState,
    case: Case,
    outcome: Refused,
    action_id: str,
) -> None:
    context.decide(Reason.REFUSED, outcome.reason, incident=case.incident, action_id=action_id)
    step = next_step(context, case) or Step(action=RETRY)
    if outcome.affects:
        response.stopped(context, state, case, step, (Reason.TOO_MANY_AFFECTED, outcome.reason))
        case.affects = outcome.affects if approvals.is_yet_to_be_asked(state, case) else 0
        looks.want_fresh(run, context.now)
        return
    if context.world.frozen or outcome.reason in WANTED_AGAIN:  # the thaw may have come before this refusal was read
        waits.hold(context, case, thaw=True)
        looks.want_fresh(run, context.now)  # other failures of the dagrun have been waiting for this outcome
        return
    put_off = brakes.under_maintenance(context, state.deployment or case.event.deployment)
    if put_off is not None:
        waits.put_off_until(context, state, case, *put_off)
        looks.want_fresh(run, context.now)
        return
    if case.proves:
        case.phase, case.why = CasePhase.CHECKING, outcome.reason
        looks.want_fresh(run, context.now)
        return
    case.phase = CasePhase.TOLD
    response.refuse_step(context, case, Reason.REFUSED, outcome.reason)
    response.proceed(context, state, run_id, run, case)
