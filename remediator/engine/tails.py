"""Log tails: the end of a failed try's log is asked for when people are told, and shown to them when it comes.

Owns those questions. Nobody waits for the answer.
"""

from __future__ import annotations

from remediator.engine import incident, tell
from remediator.engine.context import Context
from remediator.engine.state import Case, DagState
from remediator.model.action import Action, LogTail
from remediator.model.ids import stable_id
from remediator.model.inputs import Tailed

LANES = 4
"""Logs of one deployment that are read at once."""
MAX_TAILS = 100
"""Questions under way per DAG; a storm tells enough without the logs of all of it."""


def ask(context: Context, state: DagState, case: Case) -> None:
    """Ask once per try that people are told of, where there is a log to be had."""
    event, deployment = case.event, context.deployment(state.deployment)
    if deployment is None or not deployment.has_api or event.run_id is None or event.task_id is None:
        return
    place = (event.dag_id or "", event.run_id, event.task_id, case.try_number, event.map_index)
    action_id = stable_id("log", state.deployment, *place)
    if action_id in state.tails or len(state.tails) >= MAX_TAILS:
        return
    state.tails[action_id] = case.incident
    action = Action(
        id=action_id,
        lane=f"log:{state.deployment}:{int(action_id[:4], 16) % LANES}",
        key=context.key,
        target=state.deployment,
        params=LogTail(*place),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
        incident=case.incident,
    )
    context.act(action)


def on_tailed(context: Context, state: DagState, tailed: Tailed) -> None:
    """Show it, if the incident is still open."""
    held = state.incidents.get(state.tails.pop(tailed.action_id, ""))
    if held is None or not tailed.text or held.incident.log_tail == tailed.text:
        return
    incident.change(context, held, log_tail=tailed.text)
    tell.update(context, held)
