"""Looks: when a dagrun's scheduler is asked. At most one look of a dagrun is under way."""

from __future__ import annotations

from remediator.engine import proofs
from remediator.engine.context import Context
from remediator.engine.state import Case, DagRunState, DagState
from remediator.model.action import Action, Look
from remediator.model.ids import stable_id
from remediator.model.time import Duration, Instant


def has_api(context: Context, state: DagState) -> bool:
    """Can the DAG's scheduler be asked at all?"""
    deployment = context.deployment(state.deployment)
    return deployment is not None and deployment.has_api


def is_needed(context: Context, state: DagState, case: Case) -> bool:
    """Is what is known of the failure too old to be told, or acted on? Where nobody can be asked it never is."""
    if not case.event.run_id or case.unverified or not has_api(context, state):
        return False
    return context.now - case.seen > context.policy.look_again_max


def want(run: DagRunState, at: Instant) -> None:
    """A look is needed not later than `at`."""
    run.look_due = at if run.look_due is None else min(run.look_due, at)


def want_fresh(run: DagRunState, at: Instant) -> None:
    """A look is needed whose question is asked from now on: an answer under way may be older than what happened."""
    run.look = ""
    run.look_due = at


def want_fresh_by(run: DagRunState, at: Instant) -> None:
    """As fresh, and not later than `at`: one that is due before is fresh enough."""
    run.look = ""
    want(run, at)


def want_unless_asked(run: DagRunState, at: Instant) -> None:
    """A look is needed, and the answer to one that is under way, or due again, will do."""
    if not run.look and run.look_due is None:
        run.look_due = at


def want_again(context: Context, run: DagRunState) -> None:
    """The last look settled nothing: wait longer each time."""
    run.looks_in_vain += 1
    want(run, context.now + patience(context, run.looks_in_vain))


def patience(context: Context, looks_in_vain: int) -> Duration:
    """4 s, 8 s, 16 s … up to a minute, by default."""
    wait = context.policy.look_again << min(looks_in_vain - 1, 16)
    return min(wait, context.policy.look_again_max)


def issue_due(context: Context, state: DagState, run_id: str, run: DagRunState) -> None:
    """Ask, if a look is due and none is under way."""
    if not run_id:  # firings hang on no dagrun: there is nothing to look at
        run.look_due = None
    if run.look or run.look_due is None or run.look_due > context.now:
        return
    run.looks += 1
    run.look_due = None
    action = Action(
        id=stable_id("look", state.deployment, state.dag_id, run_id, run.looks, context.position),
        lane=f"look:{state.deployment}",
        key=context.key,
        target=state.deployment,
        params=Look(dag_id=state.dag_id, run_id=run_id, proving=proofs.asked(run)),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
    )
    run.look = action.id
    context.act(action)
