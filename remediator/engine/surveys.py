"""Surveys: what the scheduler is asked for that no event carries; what begins or ends between two becomes an event.

Owns when a deployment is surveyed. What is wrong is the scheduler's word; what to do about it is said by rules.
"""

from __future__ import annotations

from typing import Any

from remediator.engine.context import Context
from remediator.engine.state import SurveyState, WorldState
from remediator.model.action import Action, Survey
from remediator.model.event import Event
from remediator.model.ids import stable_id
from remediator.model.inputs import Surveyed
from remediator.model.time import MINUTE, Duration, Instant
from remediator.model.truth import Finding

MAX_FINDINGS = 200
REPEATED_EVERY: Duration = 5 * MINUTE
"""What goes on is said again so often, as the scheduler would if it spoke: windows stay open by that."""
INCOMPLETE = "survey.incomplete"
"""The finding that some types could not be asked for: what was found of them before neither goes on nor ends."""


def activate(context: Context, world: WorldState) -> None:
    """Deployments with an API are surveyed, others are not any more."""
    for name, deployment in context.policy.deployments.items():
        if deployment.has_api and name not in world.surveys:
            world.surveys[name] = SurveyState(due=context.now + context.policy.survey_every)
    for name in list(world.surveys):
        known = context.deployment(name)
        if known is None or not known.has_api:
            del world.surveys[name]


def issue(context: Context, world: WorldState) -> None:
    """Ask what is due, if any rule wants to hear of it."""
    for name, survey in world.surveys.items():
        if survey.pending or survey.due > context.now:
            continue
        survey.number += 1
        survey.due = context.now + context.policy.survey_every
        if not any(context.rules.wants(one) for one in FINDING_TYPES):
            continue
        action = Action(
            id=stable_id("survey", name, survey.number, context.position),
            lane=f"survey:{name}",
            key=context.key,
            target=name,
            params=Survey(),
            not_before=context.now,
            not_after=context.now + context.policy.action_expiry,
        )
        survey.pending = action.id
        context.act(action)


FINDING_TYPES = (
    "scheduler.unhealthy",
    "triggerer.unhealthy",
    "dag_processor.unhealthy",
    "pool.full",
    "import_error.found",
    "dagrun.queued_too_long",
    "task.queued_too_long",
    "task.no_heartbeat",
    "dag.paused_unexpectedly",
)
"""What a survey can find. Without a rule on any of them nothing is asked."""


def on_surveyed(context: Context, world: WorldState, surveyed: Surveyed) -> None:
    """What was not found before begins; what goes on is repeated; what is found no more ends, if it was asked for."""
    survey = world.surveys.get(surveyed.deployment)
    if survey is None or survey.pending != surveyed.action_id:
        return
    survey.pending = ""
    if surveyed.error:
        return
    found = {_identity(one): one for one in surveyed.findings[:MAX_FINDINGS]}
    unseen = {name for one in found.values() if one.type == INCOMPLETE for name in one.attributes.get("types", ())}
    found |= {name: one for name, one in survey.found.items() if one.type in unseen and name not in found}
    ended = [one for name, one in survey.found.items() if name not in found and one.ended]
    known = {name for name in found if name in survey.found}
    survey.found = found
    survey.told = {name: survey.told.get(name, 0) for name in found}
    for name, one in found.items():
        if context.now >= survey.told[name] + REPEATED_EVERY:
            survey.told[name] = context.now
            attributes = {**one.attributes, "repeated": name in known}
            context.effects.events.append(_event(one, one.type, surveyed.deployment, context.now, attributes))
    for one in ended:
        context.effects.events.append(_event(one, one.ended, surveyed.deployment, context.now, one.attributes))


def _identity(one: Finding) -> str:
    return "/".join((one.type, one.subject, one.dag_id, one.run_id, one.task_id))


def _event(one: Finding, kind: str, deployment: str, at: Instant, attributes: dict[str, Any]) -> Event:
    return Event(
        kind,
        at,
        source="scheduler",
        deployment=deployment,
        subject=one.subject,
        dag_id=one.dag_id or None,
        run_id=one.run_id or None,
        task_id=one.task_id or None,
        attributes=attributes,
    )
