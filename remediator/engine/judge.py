"""Judging: what the scheduler's answer means for suspects, unaccounted failures and open cases of one dagrun.

Owns the comparison of claims with truth. Leaves what to do about it to response.py.
"""

from __future__ import annotations

import msgspec

from remediator.engine import (
    alone,
    approvals,
    breakers,
    conditions,
    endings,
    incident,
    ledger,
    looks,
    proofs,
    response,
    tell,
    telling,
)
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState, Unaccounted, task_key
from remediator.engine.steps import BACKFILL, BEGINNING, UNCLASSIFIED
from remediator.model.event import Event
from remediator.model.firing import FiringView
from remediator.model.incident import Handling
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, format_duration
from remediator.model.truth import DagRunTruth, TaskTruth
from remediator.rules.signature import signature

WILL_RUN_AGAIN = frozenset({"up_for_retry", "scheduled", "queued", "none", "", "restarting", "up_for_reschedule"})
"""States of a task instance whose next try needs nobody's help."""
DAGRUN_OVER = frozenset({"success", "failed"})
NOT_BEGUN = frozenset({"none", "", "scheduled", "queued"})
"""States in which a cleared task instance waits for its scheduler, its pool or a person who paused its DAG."""


def judge(context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth) -> None:
    """Take a truth in: every claim about the dagrun is settled, dropped, or asked about again."""
    run.unreachable_since = None
    run.incomplete_since = None if truth.complete else run.incomplete_since or context.now
    run.paused = ledger.paused_by_person(context, f"{state.deployment}/{state.dag_id}", paused=truth.paused)
    if not truth.state:
        _gone(context, state, run)
        return
    if any(task.state == "failed" for task in truth.tasks):
        state.tags = truth.tags if truth.tags is not None else state.tags or None
    if truth.state in DAGRUN_OVER and truth.ended_at is not None and truth.ended_at > (run.ended or 0):
        run.ended, run.looks_in_vain = truth.ended_at, 0
    tasks = {task_key(task.task_id, task.map_index): task for task in truth.tasks}
    _judge_cases(context, state, run_id, run, truth, tasks)
    _judge_suspects(context, state, run_id, run, truth, tasks)
    _review_unaccounted(context, state, run_id, run, truth, tasks)
    _find_unaccounted(context, state, run_id, run, tasks)
    _give_up_unseen(context, state, run_id, run, tasks)
    alone.say(context, state, run_id, run, truth)
    if _needs_another_look(run, truth):
        looks.want_again(context, run)


def _needs_another_look(run: DagRunState, truth: DagRunTruth) -> bool:
    waiting = any(case.phase in (CasePhase.VERIFYING, CasePhase.CHECKING) for case in run.cases.values())
    waiting = waiting or any(found.confirming for found in run.unaccounted.values())
    return bool(run.suspects) or waiting or (not truth.complete and bool(run.cases))


def _give_up_unseen(
    context: Context, state: DagState, run_id: str, run: DagRunState, tasks: dict[str, TaskTruth]
) -> None:
    """A dagrun too large to be read whole for too long: what no look has shown is told, as what it is: unverified."""
    since = run.incomplete_since
    if since is None or context.now - since < context.policy.hold_max:
        return
    for name, event in list(run.suspects.items()):
        if name not in tasks:
            del run.suspects[name]
            final(context, state, run_id, run, name, event, "", unverified=True)
    for name, case in list(run.cases.items()):
        overdue = case.phase is CasePhase.VERIFYING and case.due is not None and case.due <= context.now
        awaits_look = case.phase in (CasePhase.WAITING, CasePhase.PLANNED) and case.due is None
        if name not in tasks and (overdue or awaits_look or case.phase in (CasePhase.CHECKING, CasePhase.HELD)):
            text = "the dagrun has more task instances than a look reads"
            response.go_on_unverified(context, state, run_id, run, case, text)


def _gone(context: Context, state: DagState, run: DagRunState) -> None:
    run.suspects.clear()
    run.unaccounted.clear()
    run.judged.clear()  # should it be made anew, its tries count from 1 again
    run.attempts.clear()
    run.ended = None
    for name in list(run.cases):
        endings.end_case(context, state, run, name, Reason.GONE, "the scheduler no longer knows the dagrun")


# -- suspects -----------------------------------------------------------------------------------------------------


def _judge_suspects(
    context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth, tasks: dict[str, TaskTruth]
) -> None:
    for name, event in list(run.suspects.items()):
        task = tasks.get(name)
        identity = incident.incident_id(state.deployment, state.dag_id, event.task_id or "")
        claimed = event.try_number or 0
        if task is None:
            if truth.complete:
                del run.suspects[name]
                context.decide(Reason.RECOVERED, f"{name} is not failing any more", incident=identity)
        elif task.state == "failed" and task.try_number == claimed:
            del run.suspects[name]
            final(context, state, run_id, run, name, event, task.instance_id)
        elif task.state == "failed" and context.now - event.time > context.policy.hold_max:
            del run.suspects[name]
            text = f"{name} try {claimed} was claimed, but the scheduler knows of try {task.try_number} only"
            context.decide(Reason.GONE, text, incident=identity)
        elif task.try_number > claimed or task.state in WILL_RUN_AGAIN:
            del run.suspects[name]
            text = f"{name} try {claimed} failed; now {task.state} at try {task.try_number}"
            context.decide(Reason.AIRFLOW_RETRIES, text, incident=identity)
        else:
            text = f"{name} try {claimed} is still {task.state!r} at the scheduler"
            context.decide(Reason.STILL_RUNNING, text, incident=identity)


def _review_unaccounted(
    context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth, tasks: dict[str, TaskTruth]
) -> None:
    """What an earlier look found is over, or is confirmed."""
    for name, found in list(run.unaccounted.items()):
        task = tasks.get(name)
        if task is not None and task.state == "failed" and task.try_number == found.try_number:
            if found.confirming:
                _settle_one(context, state, run_id, run, name)
        elif task is not None or truth.complete:
            del run.unaccounted[name]
            identity = incident.incident_id(state.deployment, state.dag_id, name.partition("[")[0])
            context.decide(Reason.RECOVERED, f"{name} is not failing any more", incident=identity)


def _find_unaccounted(
    context: Context, state: DagState, run_id: str, run: DagRunState, tasks: dict[str, TaskTruth]
) -> None:
    feed_due = context.now
    for name, task in tasks.items():
        if task.state != "failed" or run.judged.get(name, 0) >= task.try_number or name in run.suspects:
            continue
        if name in run.unaccounted and run.unaccounted[name].try_number >= task.try_number:
            continue
        due = context.now + context.policy.hold_max
        run.unaccounted[name] = Unaccounted(
            task.try_number, task.instance_id, task.operator, task.ended_at or context.now, context.now, feed_due, due
        )
        identity = incident.incident_id(state.deployment, state.dag_id, task.task_id)
        text = f"{name} try {task.try_number} failed at the scheduler, and no event said so; waiting for a late one"
        context.decide(Reason.FOUND_BY_LOOK, text, incident=identity)


def settle_unaccounted(context: Context, state: DagState, run_id: str, run: DagRunState, watermark: int) -> None:
    """The feed has passed the finding, or it waited long enough: the event is lost, the failure is not."""
    for name, found in list(run.unaccounted.items()):
        if found.confirming or (watermark < found.feed_due and context.now < found.due):
            continue
        found.passed = watermark >= found.feed_due
        if context.now - found.found_at <= context.policy.look_again_max:
            _settle_one(context, state, run_id, run, name)
        else:
            found.confirming = True
            looks.want_fresh(run, context.now)


def settle_unseen(context: Context, state: DagState, run_id: str, run: DagRunState) -> None:
    """The scheduler is out of reach: what waits for its confirmation is told as what it is, unverified."""
    for name, found in list(run.unaccounted.items()):
        if found.confirming:
            _settle_one(context, state, run_id, run, name, unverified=True)


def _settle_one(
    context: Context, state: DagState, run_id: str, run: DagRunState, name: str, *, unverified: bool = False
) -> None:
    found = run.unaccounted.pop(name)
    if run.judged.get(name, 0) < found.try_number:
        waited = format_duration((context.now - found.found_at) // SECOND * SECOND)
        passed = "its feed has passed it" if found.passed else "its feed stands still before it"
        text = f"{name} try {found.try_number}: {passed}, and no event came within {waited}"
        context.decide(Reason.UNANNOUNCED, text)
        if found.passed:
            ledger.count_unannounced(context, state.deployment)
        event = _bare_event(context, state, run_id, name, found)
        final(context, state, run_id, run, name, event, found.instance_id, unverified=unverified)


def _bare_event(context: Context, state: DagState, run_id: str, name: str, found: Unaccounted) -> Event:
    task_id, _, index = name.partition("[")
    return Event(
        type="task.failed",
        time=found.failed_at,
        source="scheduler",
        deployment=state.deployment,
        dag_id=state.dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=int(index[:-1]) if index else -1,
        try_number=found.try_number,
        operator=found.operator or None,
    )


def final(
    context: Context,
    state: DagState,
    run_id: str,
    run: DagRunState,
    name: str,
    event: Event,
    instance_id: str,
    *,
    unverified: bool = False,
) -> None:
    """Airflow's retries are spent: the failure becomes a case, and a rule answers for it."""
    run.judged[name] = max(run.judged.get(name, 0), event.try_number or 0)
    run.unaccounted.pop(name, None)
    identity = incident.incident_id(state.deployment, state.dag_id, event.task_id or "")
    before = run.cases.pop(name, None)
    if before is not None:
        approvals.withdraw(context, state, before)
        _end_change(context, state, before, name, event, unverified=unverified)
    ledger.count_failure(context, state.deployment)
    derived = msgspec.structs.replace(event, type="task.failed_finally")
    told = "unverified: the scheduler could not be asked" if unverified else "Airflow's retries are spent"
    context.decide(Reason.FAILED_FINALLY, f"{name} try {event.try_number} of dagrun {run_id}: {told}",
                   incident=identity)  # fmt: skip
    matched = conditions.in_scope(context, context.rules.match(derived), derived)
    context.effects.finals.append((slim(derived), matched))
    rule = response.choose(context, matched, identity)
    if rule.id == UNCLASSIFIED:
        context.decide(Reason.UNCLASSIFIED, "no acting rule knows this failure", incident=identity)
    identity = incident.identity_of(rule, derived)
    case = Case(
        slim(derived), CasePhase.TOLD, rule.id, identity, event.try_number or 0, instance_id, unverified=unverified,
        match=context.rules.groups(rule, derived), view=FiringView(rule.id, 1, event.time, event.time),
        signature=signature(derived.error).id, seen=context.now,
    )  # fmt: skip
    if before is not None:
        case.told = before.told
        case.waits = before.waits if before.rule == rule.id else {}
    if unverified:
        case.why = f"{Reason.UNVERIFIED.value}: the scheduler could not be asked"
    run.cases[name] = case
    title = f"{state.deployment}: {state.dag_id}.{event.task_id} failed"
    held = incident.open_or_join(context, state, case, rule, run_id, title)
    tell.update(context, held)
    if before is not None and before.incident != identity:
        endings.close_if_over(
            context, state, before, Reason.INCIDENT_JOINED, "its failure belongs to another incident now"
        )
    response.proceed(context, state, run_id, run, case)


def _end_change(context: Context, state: DagState, before: Case, name: str, event: Event, *, unverified: bool) -> None:
    """The failure is back while a change of it was under way: in vain, as far as anybody could look."""
    if before.phase not in (CasePhase.VERIFYING, CasePhase.ISSUED, CasePhase.CHECKING):
        return
    if unverified:
        identity = incident.incident_id(state.deployment, state.dag_id, event.task_id or "")
        tell.show_handling(context, state, identity, Handling.NONE, "the scheduler could not be asked")
    else:
        endings.did_not_help(context, state, before, f"{name} failed again at try {event.try_number}")


def slim(event: Event) -> Event:
    """The trace has been matched; the state is read and written at every step, so it goes without."""
    if event.error is None or event.error.trace is None:
        return event
    return msgspec.structs.replace(event, error=msgspec.structs.replace(event.error, trace=None))


# -- cases --------------------------------------------------------------------------------------------------------


def _judge_cases(
    context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth, tasks: dict[str, TaskTruth]
) -> None:
    proved, asked = proofs.by_name(truth), proofs.asked(run)
    for name, case in list(run.cases.items()):
        task = tasks.get(name)
        proofs.note_limit(case, task)
        if case.phase is CasePhase.TOLD:
            case.due = context.now + context.policy.told_look_every
        if task is None:
            if truth.complete and (name in asked or not proofs.is_awaited(case)):
                _case_task_is_well(context, state, run_id, run, name, case, truth, proved.get(name))
        elif task.state == "failed" and task.try_number <= case.try_number:
            _case_still_failed(context, state, run_id, run, name, case)
        elif task.state == "failed":
            continue  # a later try: a suspect or an unaccounted failure, judged as such
        else:
            _case_moves(context, state, run_id, run, truth, name, task)


def _case_task_is_well(
    context: Context,
    state: DagState,
    run_id: str,
    run: DagRunState,
    name: str,
    case: Case,
    truth: DagRunTruth,
    proved: TaskTruth | None,
) -> None:
    left = proofs.left_behind(truth)
    if (left and case.phase is CasePhase.TOLD) or (case.proves and case.phase is CasePhase.ISSUED):
        return  # whether our own change was made is about to be known
    if case.phase is not CasePhase.VERIFYING or not case.proves:
        endings.end_case(context, state, run, name, Reason.RECOVERED, f"{name} {proofs.without_proof(case)}")
        return
    doubt = proofs.doubt(case, proved)
    if left and not doubt:
        text = f"{name} succeeded after {proofs.called(case)}, but {left} was left upstream_failed"
        breakers.record(context, case, state.deployment, helped=False)
        _give_up(context, state, run_id, run, case, Reason.DID_NOT_HELP, text)
    elif truth.state in DAGRUN_OVER or (case.due is not None and case.due <= context.now):
        how = f"{name} is well: {doubt}" if doubt else f"{name} succeeded after {proofs.called(case)}"
        reason = Reason.RECOVERED if doubt else Reason.HELPED
        text = how if doubt else f"{how}; the dagrun is {truth.state}"
        endings.end_case(context, state, run, name, reason, text, helped=not doubt)


def _case_still_failed(context: Context, state: DagState, run_id: str, run: DagRunState, name: str, case: Case) -> None:
    case.seen = context.now
    if case.phase is CasePhase.VERIFYING:
        if case.change == BACKFILL and case.due is not None and case.due > context.now:
            return  # Airflow clears a dagrun of a backfill when its turn has come
        text = f"{name} is still failed at try {case.try_number} after {proofs.called(case)}"
        endings.did_not_help(context, state, case, text)
        response.proceed(context, state, run_id, run, case)
    elif case.phase is CasePhase.CHECKING:
        response.refuse_step(context, case, Reason.REFUSED, case.why)
        response.proceed(context, state, run_id, run, case)
    elif case.phase is CasePhase.HELD or (case.phase is CasePhase.WAITING and case.due is None):
        response.proceed(context, state, run_id, run, case)
    elif case.phase is CasePhase.PLANNED and case.due is None:
        case.due = context.now
    elif case.phase is CasePhase.TOLD:
        telling.tell_again(context, state, case)


def _case_moves(
    context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth, name: str, task: TaskTruth
) -> None:
    """The task instance is on its way to another end: ours to prove, or somebody else's doing."""
    case = run.cases[name]
    if case.phase is CasePhase.VERIFYING and truth.state in DAGRUN_OVER:
        text = f"{name} is {task.state}, and its dagrun is over ({truth.state})"
        breakers.record(context, case, state.deployment, helped=False)
        _give_up(context, state, run_id, run, case, Reason.DID_NOT_HELP, text)
        return
    if case.phase in (CasePhase.VERIFYING, CasePhase.ISSUED):
        if case.due is not None and case.due <= context.now:
            _wait_longer(context, state, run_id, run, name, task)
        return
    if case.phase is CasePhase.TOLD:
        return
    how = f"runs again after {case.change}" if proofs.was_awaited(case) else "was cleared by somebody else"
    endings.end_case(context, state, run, name, Reason.RECOVERED, f"{name} {how} ({task.state})")


def _wait_longer(context: Context, state: DagState, run_id: str, run: DagRunState, name: str, task: TaskTruth) -> None:
    """`verify` is over and nothing is proved. What runs is waited for; what does not even begin is told."""
    case = run.cases[name]
    until = case.waits.setdefault(BEGINNING, context.now + context.policy.hold_max)
    if task.state in NOT_BEGUN and until <= context.now:
        text = f"{name} was cleared and has not begun since: it is {task.state} at try {task.try_number}"
        _give_up(context, state, run_id, run, case, Reason.UNVERIFIED, text)
        return
    case.due = context.now + context.policy.look_again_max
    text = f"{name} is {task.state} at try {task.try_number}: the proof waits for the scheduler"
    context.decide(Reason.STILL_RUNNING, text, incident=case.incident)


def _give_up(
    context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, reason: Reason, text: str
) -> None:
    """The change has not led to an end: whoever comes after it in the rule has the turn."""
    case.phase, case.seen = CasePhase.TOLD, context.now
    response.refuse_step(context, case, reason, text)
    tell.show_handling(context, state, case.incident, Handling.NONE, case.why)
    response.proceed(context, state, run_id, run, case)
