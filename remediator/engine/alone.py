"""Dagruns that failed without a failed task, as one does that ran for too long: no rule's case, so they are told."""

from __future__ import annotations

from remediator.engine.context import Alert, Context
from remediator.engine.state import NO_DAGRUN, DagRunState, DagState
from remediator.model.truth import DagRunTruth


def say(context: Context, state: DagState, run_id: str, run: DagRunState, truth: DagRunTruth) -> None:
    """Tell of it, once for each end of the dagrun."""
    if truth.state != "failed" or not truth.complete or run.suspects or run.unaccounted or run.cases:
        return
    ended = truth.ended_at or 1
    if run.judged.get(NO_DAGRUN, 0) >= ended or any(task.state == "failed" for task in truth.tasks):
        return
    run.judged[NO_DAGRUN] = ended
    text = f"dagrun {run_id} of {state.dag_id} has failed, and none of its task instances has"
    subject = f"{state.deployment}/{state.dag_id}"
    context.effects.alerts.append(Alert("dagrun_failed_alone", subject, text, route=context.policy.unclassified_route))
