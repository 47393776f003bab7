"""Telling: what the steps of a rule tell people of a case, first, meanwhile and at its end.

Owns the words and whether they are told now. How a telling reaches its destination is tell.py's.
"""

from __future__ import annotations

from remediator.engine import feeds, incident, tails, tell
from remediator.engine.context import Context
from remediator.engine.state import Case, DagState, OpenIncident
from remediator.engine.steps import OTHERWISE, rule_of
from remediator.model.action import CHANGE_STEPS
from remediator.model.reasons import Reason
from remediator.rules.spec import Step


def follow(context: Context, state: DagState, case: Case, step: Step) -> None:
    """Tell what the step tells."""
    paged = step.action == "page"
    held = state.incidents[case.incident]
    status = case.why or ("needs a person" if paged else "")
    text = held.incident.text
    if step.text:
        scene = incident.scene(context, rule_of(context, case.rule), case, held.incident)
        text = context.rules.render(step.text, scene)
    was = held.incident
    status = status or was.status
    if (was.status, was.text) != (status, text) or (paged and not was.paged):
        incident.change(context, held, status=status, paged=was.paged or paged, text=text)
        tell.update(context, held)
    tails.ask(context, state, case)
    tell.try_again(context, held)
    if step.action == "log":
        tell.write_log(context, held)
    else:
        tell.tell(context, held, step.to or context.policy.unclassified_route, paged=paged)
    case.told = case.told or paged


def tell_meanwhile(context: Context, state: DagState, case: Case, why: str) -> None:
    """Those whom the rule's `otherwise` names are told once, though the rule's own steps are not over."""
    if case.told_meanwhile or is_behind(context, state, case):
        return
    case.told_meanwhile, case.why = True, why
    rule = rule_of(context, case.rule)
    for index, step in enumerate(rule.otherwise or (Step(action="page", to=context.policy.unclassified_route),)):
        scene = incident.scene(context, rule, case, state.incidents[case.incident].incident)
        is_telling = step.action not in CHANGE_STEPS and not step.wait
        if is_telling and (
            not step.condition or context.rules.step_verdict(case.rule, OTHERWISE, index, scene) is True
        ):
            follow(context, state, case, step)


def tell_again(context: Context, state: DagState, case: Case) -> None:
    """The failure goes on: those who could not be told of it are told now."""
    held = state.incidents.get(case.incident)
    if held is not None:
        tell.try_again(context, held)


def on_resolve(context: Context, case: Case, held: OpenIncident) -> None:
    """The incident is over: what the rule wants told then. Who was told of it before sees the same message edited."""
    rule = context.rules.rules.get(case.rule)
    for index, step in enumerate(rule.on_resolve if rule is not None else ()):
        scene = incident.scene(context, rule_of(context, case.rule), case, held.incident)
        if context.rules.step_verdict(case.rule, "on_resolve", index, scene) is not True:
            context.decide(Reason.STEP_LEFT_OUT, f"{step.action} on_resolve", incident=case.incident, rule=case.rule)
            continue
        if step.text:
            incident.change(context, held, text=context.rules.render(step.text, scene))
        if step.action == "log":
            tell.write_log(context, held)
        else:
            tell.tell(context, held, step.to or context.policy.unclassified_route, paged=False)


def is_behind(context: Context, state: DagState, case: Case) -> str:
    """The feed that catches up, '' if none does."""
    deployment = context.deployment(state.deployment or case.event.deployment)
    if case.hold_over or deployment is None or not feeds.is_behind(context.world, deployment.feed, context.policy):
        return ""
    return deployment.feed
