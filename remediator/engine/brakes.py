"""Brakes: what forbids a change, checked when it is planned and again when it is issued. What they count persists.

Owns their order, budgets, ceilings, never-retry lists and `allow`. Issues nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.engine import breakers, budget, ledger
from remediator.engine.context import Context
from remediator.engine.state import Case, DagRunState, DagState
from remediator.engine.steps import RETRY, approval_of, counted_as, counter_of, next_step, rule_of, task_of
from remediator.model.action import CHANGE_STEPS
from remediator.model.event import Event
from remediator.model.globs import any_covers, covers
from remediator.model.ids import LEDGER_KEY, stable_id
from remediator.model.policy import Allow, Budget, DeploymentPolicy, Mode
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.rules.spec import Rule

Brake = tuple[Reason, str]

ASKS = frozenset({Reason.APPROVAL_NEEDED, Reason.TOO_MANY_AFFECTED})
"""Brakes that a person can lift."""
FIRST_WAIT: Duration = 10 * SECOND
LONGEST_WAIT: Duration = 5 * MINUTE
"""How long a capped change is put off, doubled each time."""


def retry_brake(context: Context, state: DagState, run: DagRunState, case: Case) -> Brake | None:
    """The first brake that forbids a retry of this case now, or None. Order: what can never pass comes first."""
    step = next_step(context, case)
    if step is None or step.action != RETRY:
        return Reason.REFUSED, f"rule {case.rule!r} was changed or removed and asks for no retry any more"
    if case.unverified:
        return Reason.UNVERIFIED, "the scheduler could not be asked"
    return change_brake(context, state, run, case)


def change_brake(context: Context, state: DagState, run: DagRunState, case: Case) -> Brake | None:
    """The first brake that forbids the case's step, any change, now. What a person can lift comes near the end."""
    event, rule, step = case.event, rule_of(context, case.rule), next_step(context, case)
    deployment = context.deployment(state.deployment or event.deployment)
    if step is None or step.action not in CHANGE_STEPS:
        return Reason.REFUSED, f"rule {case.rule!r} was changed or removed and asks for no change any more"
    never = never_retry(context, state, event) if step.action in ON_TASKS else ""
    if never:
        return Reason.NEVER_RETRY, never
    if case.unverified and event.run_id and step.action in ON_TASKS:
        return Reason.UNVERIFIED, "the scheduler could not be asked"
    if deployment is None or not (deployment.has_api or step.action in ELSEWHERE):
        return Reason.CEILING, "the deployment has no API to act through"
    if event.log_url and not is_own_host(event.log_url, deployment.log_hosts):
        return Reason.FOREIGN_HOST, "the failure's log link is not on this deployment's host"
    return (
        not_permitted(context, rule, deployment, step.action)
        or _spent(context, state, run, case, rule, step.max_attempts)
        or asks(context, rule, deployment, case, step.action)
        or unknown_tags(context, state, case, step.action)
        or behind_breaker(context, case)
        or ((Reason.FROZEN, "the freeze is on") if context.world.frozen else None)
    )


ON_TASKS = frozenset({RETRY, "airflow.rerun", "airflow.reprocess", "airflow.backfill", "airflow.mark"})
"""Changes that make task instances run again, or count as done."""
WAITS_WHILE_PAUSED = frozenset({RETRY, "airflow.rerun", "airflow.reprocess", "airflow.backfill", "airflow.trigger"})
"""Changes that would only queue what a person does not want to run."""
ELSEWHERE = frozenset({"kubernetes.scale", "http.request"})
"""Changes that do not go through the deployment's API."""


def issue_brake(context: Context, state: DagState, run: DagRunState, case: Case) -> tuple[Brake, Instant] | None:
    """What puts off a change that is otherwise allowed, and until when: a pause, maintenance, or too much at once."""
    step = next_step(context, case)
    if run.paused and step is not None and step.action in WAITS_WHILE_PAUSED:
        text = (
            f"somebody has paused the DAG {state.dag_id}: what is run again would wait; it goes on when it is resumed"
        )
        return (Reason.PAUSED, text), context.now + context.policy.told_look_every
    deployment = state.deployment or case.event.deployment
    put_off = under_maintenance(context, deployment)
    if put_off is not None:
        return put_off
    full = ledger.capped(context, deployment)
    if not full:
        return None
    wait = min(FIRST_WAIT << min(case.capped, 16), LONGEST_WAIT)
    share = int(stable_id("capped", case.incident, task_of(case), case.capped)[:8], 16) / 0xFFFFFFFF
    return (Reason.CAPPED, full), context.now + round(wait * (1 + share))


def under_maintenance(context: Context, deployment: str) -> tuple[Brake, Instant] | None:
    """What puts off changes of the deployment now, and until when."""
    maintenance = ledger.window_end(context, deployment)
    if maintenance is None:
        return None
    until, reason = maintenance
    why = f": {reason}" if reason else ""
    return (Reason.MAINTENANCE, f"deployment {deployment!r} is under maintenance{why}"), until


def not_after(context: Context, deployment: str) -> Instant:
    """Until when a change that is wanted now may be made: it expires, and none is made under maintenance."""
    expires, begin = context.now + context.policy.action_expiry, ledger.window_begin(context, deployment)
    return expires if begin is None else min(expires, begin - 1)


def not_permitted(context: Context, rule: Rule, deployment: DeploymentPolicy, action: str) -> Brake | None:
    for who, mode in (("the deployment", deployment.ceiling), (f"rule {rule.id!r}", rule.mode)):
        if mode is Mode.OBSERVE:
            return Reason.CEILING, f"{who} allows no changes"
    allow = context.policy.allow
    if allow and not any(_fits(one, rule, deployment.name, action) for one in allow):
        return Reason.NOT_ALLOWED, f"no [[allow]] lets {rule.file} (owner {rule.owner!r}) do {action} there"
    return None


def forbidden(context: Context, state: DagState, case: Case) -> str:
    """Why the change that was issued for the case may not be made any more, by ceilings, modes and `allow`; or ''."""
    deployment = context.deployment(state.deployment or case.event.deployment)
    if deployment is None:
        return "its deployment was removed from the configuration"
    step = next_step(context, case)
    if step is None or step.action not in CHANGE_STEPS:
        return f"rule {case.rule!r} was changed or removed and asks for no change any more"
    brake = not_permitted(context, rule_of(context, case.rule), deployment, step.action)
    brake = brake or asks(context, rule_of(context, case.rule), deployment, case, step.action)
    return brake[1] if brake is not None else ""


def asks(context: Context, rule: Rule, deployment: DeploymentPolicy, case: Case, action: str) -> Brake | None:
    """What a person must say yes to, unless that was done."""
    if approval_of(context, case) in case.approved:
        return None
    for who, mode in (("the deployment", deployment.ceiling), (f"rule {rule.id!r}", rule.mode)):
        if mode is Mode.APPROVE:
            return Reason.APPROVAL_NEEDED, f"{who} allows changes only with a person's approval"
    if action == "airflow.mark":
        return Reason.APPROVAL_NEEDED, "what is marked by hand is decided by a person"
    return None


def unknown_tags(context: Context, state: DagState, case: Case, action: str) -> Brake | None:
    """Nobody says whether the DAG has a tag that forbids the change: a person must, unless that was done."""
    known = case.event.tags or state.tags is not None or action not in ON_TASKS
    if known or not context.policy.never_retry_tags or approval_of(context, case) in case.approved:
        return None
    text = f"the scheduler does not tell the tags of {state.dag_id}, so that nobody knows whether it may be run again"
    return Reason.APPROVAL_NEEDED, text


def behind_breaker(context: Context, case: Case) -> Brake | None:
    """The rule does not help against this error lately. Who said yes to this very change knows better."""
    why = "" if approval_of(context, case) in case.approved else breakers.open_for(context, case)
    return (Reason.BREAKER_OPEN, why) if why else None


def _fits(allow: Allow, rule: Rule, deployment: str, action: str) -> bool:
    asked = ((allow.files, rule.file), (allow.owners, rule.owner), (allow.deployments, deployment),
             (allow.actions, action))  # fmt: skip
    return all(any_covers(globs, value) for globs, value in asked)


def never_retry(context: Context, state: DagState, event: Event) -> str:
    for tag in context.policy.never_retry_tags:
        if tag in (*event.tags, *(state.tags or ())):
            return f"the DAG carries the tag {tag!r}"
    name = f"{event.deployment}/{event.dag_id}/{event.task_id}"
    for pattern in context.policy.never_retry:
        if covers(pattern, name):
            return f"{name} is on the never-retry list ({pattern!r})"
    return ""


def never_touched(context: Context, deployment: str, dag_id: str) -> str:
    """Why a change of this DAG, which the step names, is never made; '' if it may be."""
    for pattern in context.policy.never_retry:
        if covers(pattern, f"{deployment}/{dag_id}/") or covers(pattern, f"{deployment}/{dag_id}/*"):
            return f"{deployment}/{dag_id} is on the never-retry list ({pattern!r})"
    return ""


def never_within(context: Context, deployment: str, dag_id: str) -> tuple[str, ...]:
    """The never-retry globs that may name a task of this DAG."""
    return tuple(pattern for pattern in context.policy.never_retry if _may_name(pattern, deployment, dag_id))


def _may_name(pattern: str, deployment: str, dag_id: str) -> bool:
    parts = pattern.split("/")
    return len(parts) != 3 or (covers(parts[0], deployment) and covers(parts[1], dag_id))


def is_own_host(url: str, hosts: tuple[str, ...]) -> bool:
    place = url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1].lower()
    return place in hosts or place.split(":", 1)[0] in hosts


# -- what is counted ----------------------------------------------------------------------------------------------


def _spent(context: Context, state: DagState, run: DagRunState, case: Case, rule: Rule, limit: int) -> Brake | None:
    issued = run.attempts.get(task_of(case), {}).get(counter_of(context, case), 0)
    if issued >= limit:
        return Reason.ATTEMPTS_SPENT, f"{issued} of {limit} retries were issued and did not help"
    for allowed in (*rule.budget, Budget()) if all(one.target != "task" for one in rule.budget) else rule.budget:
        over = over_budget(context, state, case, rule, allowed)
        if over:
            return Reason.BUDGET_SPENT, over
    return None


def over_budget(context: Context, state: DagState, case: Case, rule: Rule, allowed: Budget) -> str:
    if allowed.target == "task":
        spent = state.budgets.get(counted_as(case), [])
        return budget.exhausted(spent, budget.effective(allowed, context.policy.budget_cap), context.now)
    place = targets_of(state, case, rule)[allowed.target]
    over = budget.exhausted(context.ledger.spent.get(place, []), allowed, context.now)
    return f"{place}: {over}" if over else ""


def targets_of(state: DagState, case: Case, rule: Rule) -> dict[str, str]:
    """Budget target -> what is counted together, beyond the task's own."""
    return {
        "dag": f"dag {state.deployment}/{state.dag_id}",
        "deployment": f"deployment {state.deployment}",
        "owner": f"owner {rule.owner or case.event.owner or 'nobody'}",
        "rule": f"rule {rule.id}",
    }


def spend(context: Context, state: DagState, run: DagRunState, cases: Sequence[Case]) -> None:
    """One change is issued for the cases: an attempt of each, and one for every task and target that has a budget."""
    for case in cases:
        counts = run.attempts.setdefault(task_of(case), {})
        counter = counter_of(context, case)
        counts[counter] = counts.get(counter, 0) + 1
        case.spent = context.now
    for task_id in dict.fromkeys(counted_as(case) for case in cases):
        state.budgets[task_id] = [*budget.pruned(state.budgets.get(task_id, []), context.now), context.now]
    for place in _places(context, state, cases):
        before = context.ledger.spent.pop(place, [])  # the latest used come last
        context.ledger.spent[place] = [*budget.pruned(before, context.now), context.now]
        context.touch(LEDGER_KEY)
    budget.forget(context.ledger.spent, context.now)


def refund(
    context: Context, state: DagState, run: DagRunState, cases: Sequence[Case], others: Sequence[Case] = ()
) -> None:
    """Nothing was done for the cases, so nothing counts as spent, but for what the change did for the others."""
    for case in cases:
        counts = run.attempts.get(task_of(case), {})
        counter = counter_of(context, case)
        if counts.get(counter, 0) > 0:
            counts[counter] -= 1
    done = {counted_as(case) for case in others}
    at = max((case.spent for case in cases), default=0)  # they were issued together
    for task_id in dict.fromkeys(counted_as(case) for case in cases if counted_as(case) not in done):
        budget.give_back(state.budgets.get(task_id, []), at)
    still = _places(context, state, others)
    for place in _places(context, state, cases):
        if place not in still and budget.give_back(context.ledger.spent.get(place, []), at):
            context.touch(LEDGER_KEY)


def _places(context: Context, state: DagState, cases: Sequence[Case]) -> list[str]:
    """What some rule has a budget for, beyond the tasks themselves; each once."""
    found = (targets_of(state, case, rule_of(context, case.rule)).items() for case in cases)
    return list(
        dict.fromkeys(place for each in found for target, place in each if target in context.rules.budget_targets)
    )
