"""Explaining steps: for each step of a rule, what allows it and what stands in its way, the brakes in their order.

Works on copies: it opens and joins incidents only in the state it is given, which nobody saves.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from remediator.engine import breakers, budget, feeds, incident
from remediator.engine.brakes import (
    ELSEWHERE,
    ON_TASKS,
    asks,
    behind_breaker,
    is_own_host,
    issue_brake,
    never_retry,
    not_permitted,
    over_budget,
    targets_of,
    unknown_tags,
)
from remediator.engine.context import Context
from remediator.engine.explain_views import (
    ERROR,
    NO,
    WAIT,
    YES,
    Check,
    IncidentView,
    StepView,
    instant,
    length,
    worst,
)
from remediator.engine.state import Case, DagRunState, DagState, OpenIncident
from remediator.engine.steps import DO, OTHERWISE, RETRY, approval_of, counter_of, step_name, task_of
from remediator.model.action import CHANGE_STEPS
from remediator.model.policy import Budget, DeploymentPolicy, Mode
from remediator.model.reasons import Reason
from remediator.model.time import DAY, HOUR
from remediator.rules.conditions import Trouble
from remediator.rules.periods import end_of_periods, in_periods
from remediator.rules.spec import Rule, Step


class Ground(msgspec.Struct):
    """Where a rule's steps are judged: copies of the state and its parts, with the case as it would be."""

    state: DagState
    run: DagRunState
    case: Case
    held: OpenIncident


def steps_of(context: Context, rule: Rule, ground: Ground) -> tuple[StepView, ...]:
    """Every step of `do` and `otherwise`."""
    views = []
    for stage, steps in ((DO, rule.do), (OTHERWISE, rule.otherwise)):
        for index, step in enumerate(steps):
            ground.case.stage, ground.case.index = stage, index
            checks = tuple(_checks(context, rule, ground, step))
            views.append(StepView(f"{stage} {index + 1}", step.action, step.to, worst(checks), checks))
    return tuple(views)


def _checks(context: Context, rule: Rule, ground: Ground, step: Step) -> Iterator[Check]:
    if step.condition:
        yield _condition(context, rule, ground)
    if step.wait:
        yield _wait(context, ground.case, step)
    if step.action in CHANGE_STEPS:
        yield from change_checks(context, rule, ground, step)
        return
    quiet = context.rules.quiet(rule.id)
    if quiet and step.action in ("page", "notify"):
        is_quiet = in_periods(quiet, context.now)
        until = f"quiet until {instant(end_of_periods(quiet, context.now))}" if is_quiet else "it is not quiet now"
        yield Check("quiet", WAIT if is_quiet else YES, until)
    if ground.case.hold_over:
        yield Check("feed", YES, "the failure was held for long enough")
    elif (deployment := context.deployment(ground.state.deployment)) is not None:
        yield feed_check(context, deployment.feed)
    yield _route(context, ground.held, step)


def _condition(context: Context, rule: Rule, ground: Ground) -> Check:
    case = ground.case
    scene = incident.scene(context, rule, case, ground.held.incident)
    verdict = context.rules.step_verdict(rule.id, case.stage, case.index, scene)
    if isinstance(verdict, Trouble):
        return Check("if", ERROR, verdict.reason)
    return Check("if", YES if verdict else NO, "its condition holds" if verdict else "its condition does not hold")


def _wait(context: Context, case: Case, step: Step) -> Check:
    due = case.waits.get(step_name(case))
    if due is None:
        return Check("wait", WAIT, f"{length(step.wait)} from when its turn comes")
    return Check("wait", WAIT if due > context.now else YES, f"until {instant(due)}")


def feed_check(context: Context, name: str) -> Check:
    """Is the feed so far behind, or not read at all, that nobody is told?"""
    mark = feeds.watermark(context.world.feeds, name, context.policy)
    complete = f"feed {name!r} is complete up to {instant(mark)}" if mark else f"feed {name!r} was not read whole yet"
    known = context.world.feeds.get(name)
    blind = ", and nobody reads it" if known is not None and known.blind else ""
    if feeds.is_behind(context.world, name, context.policy):
        return Check("feed", WAIT, f"{complete}{blind}: it is behind, and telling waits for it at most "
                     f"{length(context.policy.hold_max)}")  # fmt: skip
    return Check("feed", YES, complete + blind)


def _route(context: Context, held: OpenIncident, step: Step) -> Check:
    name = step.to or context.policy.unclassified_route
    route = context.policy.routes.get(name)
    if route is None or not route.destinations:
        return Check("route", NO, f"route {name!r} has no destination")
    new = [one for one in route.destinations if all(told.destination != one for told in held.told)]
    if not new:
        return Check("route", NO, f"route {name!r} knows of this episode already")
    places = ", ".join(f"{one.kind} {one.channel or one.receiver}".strip() for one in new)
    paged = sum(at > context.now - HOUR for at in context.ledger.pages.get(name, []))
    if step.action == "page" and paged >= route.pages_per_hour:
        text = f"route {name!r}: {paged} of {route.pages_per_hour} pages of this hour are used: told in a digest"
        return Check("route", WAIT, text)
    return Check("route", YES, f"route {name!r}: {places}")


# -- brakes -------------------------------------------------------------------------------------------------------


def change_checks(context: Context, rule: Rule, ground: Ground, step: Step) -> Iterator[Check]:
    """Every brake, in the order in which they are asked. The first that forbids is the one that the story names."""
    state, case, event = ground.state, ground.case, ground.case.event
    found = context.deployment(state.deployment or event.deployment)
    deployment = found or DeploymentPolicy(state.deployment or event.deployment, "")
    if step.action == RETRY:
        asked = "the scheduler could not be asked" if case.unverified else ""
        yield _check("scheduler", asked, "it is asked before anything is changed")
    never = never_retry(context, state, event) if step.action in ON_TASKS else ""
    yield _check("never_retry", never, "neither its name nor its tags forbid it")
    reachable = found is not None and (found.has_api or step.action in ELSEWHERE)
    yield _check("api", "" if reachable else "the deployment has no API to act through", "there is a way to act")
    foreign = event.log_url and not is_own_host(event.log_url, deployment.log_hosts)
    text = "the log link is on the deployment's host" if event.log_url else "the event has no log link"
    yield _check("host", "the log link is not on this deployment's host" if foreign else "", text)
    yield from _permissions(context, rule, deployment, step)
    yield from _counts(context, rule, ground, step)
    yield from _persons(context, rule, deployment, ground, step)
    yield from _moment(context, ground)


def _check(name: str, problem: str, fine: str) -> Check:
    return Check(name, NO if problem else YES, problem or fine)


def _permissions(context: Context, rule: Rule, deployment: DeploymentPolicy, step: Step) -> Iterator[Check]:
    """Ceiling, mode and [[allow]], each asked as if the other two allowed everything."""
    acting = msgspec.structs.replace(rule, mode=Mode.ACT)
    open_one = msgspec.structs.replace(deployment, ceiling=Mode.ACT)
    asked = (
        ("ceiling", acting, deployment, f"the deployment's ceiling is {deployment.ceiling.value}"),
        ("mode", rule, open_one, f"the rule's mode is {rule.mode.value}"),
    )
    for name, as_rule, as_deployment, fine in asked:
        brake = not_permitted(context, as_rule, as_deployment, step.action)
        problem = brake[1] if brake is not None and brake[0] is not Reason.NOT_ALLOWED else ""
        yield _check(name, problem, fine)
    brake = not_permitted(context, acting, open_one, step.action)
    fine = "an [[allow]] lets it" if context.policy.allow else "there is no [[allow]] list"
    yield _check("allow", brake[1] if brake is not None else "", fine)


def _counts(context: Context, rule: Rule, ground: Ground, step: Step) -> Iterator[Check]:
    state, run, case = ground.state, ground.run, ground.case
    issued = run.attempts.get(task_of(case), {}).get(counter_of(context, case), 0)
    used = f"{issued} of {step.max_attempts} attempts are used"
    yield _check("attempts", used if issued >= step.max_attempts else "", used)
    has_own = any(one.target == "task" for one in rule.budget)
    for allowed in rule.budget if has_own else (*rule.budget, Budget()):
        yield _budget(context, state, case, rule, allowed)


def _persons(context: Context, rule: Rule, deployment: DeploymentPolicy, ground: Ground, step: Step) -> Iterator[Check]:
    """What only a person can lift."""
    who = ground.case.approved.get(approval_of(context, ground.case))
    brake = asks(context, rule, deployment, ground.case, step.action)
    brake = brake or unknown_tags(context, ground.state, ground.case, step.action)
    if who is not None:
        yield Check("approval", YES, f"{who} said yes")
    elif brake is not None and brake[0] is Reason.APPROVAL_NEEDED:
        yield Check("approval", WAIT, f"{brake[1]}: a person is asked")
    else:
        yield Check("approval", YES, "nobody has to be asked")
    held = behind_breaker(context, ground.case)
    before = breakers.told_rate(context, ground.case, ground.state.deployment)
    yield Check("breaker", WAIT if held else YES, f"{held[1]}: it waits" if held else f"it is closed{before}")


def _moment(context: Context, ground: Ground) -> Iterator[Check]:
    """What only puts it off."""
    if context.world.frozen:
        yield Check("freeze", WAIT, f"the freeze is on: it waits for a thaw, at most {length(context.policy.hold_max)}")
    else:
        yield Check("freeze", YES, "nothing is frozen")
    put_off = issue_brake(context, ground.state, ground.run, ground.case)
    if put_off is None:
        yield Check("caps", YES, "neither maintenance nor too many changes at once")
    else:
        (reason, text), until = put_off
        name = reason.value if reason in (Reason.MAINTENANCE, Reason.PAUSED) else "caps"
        yield Check(name, WAIT, f"{text}: put off until {instant(until)}")


def _budget(context: Context, state: DagState, case: Case, rule: Rule, allowed: Budget) -> Check:
    if allowed.target == "task":
        task_id = case.event.task_id or ""
        place, spent = f"task {task_id}", state.budgets.get(task_id, [])
        limits = budget.effective(allowed, context.policy.budget_cap)
    else:
        place, limits = targets_of(state, case, rule)[allowed.target], allowed
        spent = context.ledger.spent.get(place, [])
    parts = [
        f"{sum(at > context.now - period for at in spent)} of {limit} of the last {name} used"
        for limit, period, name in ((limits.per_hour, HOUR, "hour"), (limits.per_day, DAY, "day"))
        if limit is not None
    ]
    text = f"{place}: {', '.join(parts) or 'no limit'}"
    return Check("budget", NO if over_budget(context, state, case, rule, allowed) else YES, text)


def incident_view(held: OpenIncident) -> IncidentView:
    """An open incident and who was told."""
    found = held.incident
    told = tuple(
        f"{one.destination.kind} {one.destination.channel or one.destination.receiver} by route {one.route!r}: "
        f"{one.state}" for one in held.told
    )  # fmt: skip
    return IncidentView(found.id, found.episode, found.title, found.failures, instant(found.opened_at), told)
