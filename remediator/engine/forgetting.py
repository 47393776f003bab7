"""What a DAG no longer needs to know goes: memory is bounded by time and number. Ends nothing that is under way."""

from __future__ import annotations

from remediator.engine import budget, endings, incident, tell
from remediator.engine.context import Context
from remediator.engine.state import CasePhase, DagRunState, DagState
from remediator.engine.steps import task_of
from remediator.model.reasons import Reason

MAX_DAGRUNS = 500
"""Dagruns remembered per DAG; the longest untouched ones go first: without trouble, then those people know all of."""


def forget(context: Context, state: DagState) -> None:
    """What can no longer matter goes: memory is bounded by time and number."""
    _expire_incidents(context, state)
    if len(state.dagruns) > MAX_DAGRUNS or context.now >= state.forget_at:
        _forget_dagruns(context, state)
    for task_id in list(state.budgets):
        state.budgets[task_id] = budget.pruned(state.budgets[task_id], context.now)
        if not state.budgets[task_id]:
            del state.budgets[task_id]
    if not state.dagruns and not state.incidents:
        state.episodes.clear()


def _forget_dagruns(context: Context, state: DagState) -> None:
    old = context.now - context.policy.memory
    idle = sorted((run.touched, run_id) for run_id, run in state.dagruns.items() if not run.is_open)
    surplus = max(0, len(state.dagruns) - MAX_DAGRUNS)
    for rank, (touched, run_id) in enumerate(idle):
        if touched <= old or rank < surplus:
            del state.dagruns[run_id]
    _let_go_of_told(context, state)
    left = [run.touched for run in state.dagruns.values() if not run.is_open]
    oldest = min(left, default=context.now)
    state.forget_at = max(oldest + context.policy.memory, context.now + 1)


def _let_go_of_told(context: Context, state: DagState) -> None:
    """Too many are in trouble: of the oldest about which people know all there is, the end is not awaited any more."""
    surplus = max(0, len(state.dagruns) - MAX_DAGRUNS)
    told = sorted((run.touched, run_id) for run_id, run in state.dagruns.items() if run_id and _is_told(run))
    for _, run_id in told[:surplus]:
        run = state.dagruns[run_id]
        for name in list(run.cases):
            text = f"more than {MAX_DAGRUNS} dagruns are in trouble: {run_id} is followed no longer"
            endings.end_case(context, state, run, name, Reason.LIMIT_REACHED, text)
        del state.dagruns[run_id]


def _is_told(run: DagRunState) -> bool:
    waits = run.suspects or run.unaccounted
    return not waits and all(case.phase is CasePhase.TOLD for case in run.cases.values())


def _expire_incidents(context: Context, state: DagState) -> None:
    for identity, held in list(state.incidents.items()):
        if held.incident.opened_at + context.policy.incident_expiry > context.now:
            continue
        for run in state.dagruns.values():
            for name in [name for name, case in run.cases.items() if case.incident == identity]:
                run.attempts.pop(task_of(run.cases.pop(name)), None)
        closed = incident.close(
            context,
            state,
            identity,
            Reason.INCIDENT_EXPIRED,
            "it was open for too long: what fails from now on is a new episode",
        )
        if closed is not None:
            tell.update(context, closed)
