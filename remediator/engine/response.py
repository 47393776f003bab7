"""The response to a final failure: which step of the rule is next, and whether the brakes allow it.

Owns brakes and the way through `do` and `otherwise`. Reads no truth: it is called when truth has been established.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from remediator.engine import budget, feeds, incident, looks, tell
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState, task_key
from remediator.model.action import Action, Retry, RetryTarget
from remediator.model.event import Event
from remediator.model.ids import dagrun_lane, stable_id
from remediator.model.incident import Handling
from remediator.model.policy import MODE_RANK, Mode
from remediator.model.reasons import Reason
from remediator.model.time import Duration, format_duration
from remediator.rules.spec import Backoff, Rule, Step

UNCLASSIFIED = "unclassified"
RETRY = "airflow.retry"


def rule_of(context: Context, rule_id: str) -> Rule:
    """The rule as it is now; a rule that was removed leaves its cases to `unclassified`."""
    found = context.rules.rules.get(rule_id)
    return found if found is not None else unclassified_rule(context)


def unclassified_rule(context: Context) -> Rule:
    """The always-on last rule: a final failure that no rule knew is told to people."""
    step = Step(action="page", to=context.policy.unclassified_route)
    return Rule(id=UNCLASSIFIED, on=("task.failed_finally",), severity="critical", mode=Mode.ACT, do=(step,))


def choose(context: Context, event: Event, identity: str) -> Rule:
    """The responder: the first matching rule that is not only observing; the rest yield, and say so."""
    matched = context.rules.match(event)
    for rule_id, why in matched.errors:
        context.decide(Reason.RULE_ERROR, why, incident=identity, rule=rule_id)
    chosen: Rule | None = None
    for rule in matched.rules:
        if rule.mode is Mode.OBSERVE:
            steps = ", ".join(step.action for step in rule.do) or "nothing"
            context.decide(Reason.RULE_OBSERVES, f"would have done: {steps}", incident=identity, rule=rule.id)
        elif chosen is None:
            chosen = rule
            context.decide(Reason.RULE_RESPONDS, rule.summary or rule.id, incident=identity, rule=rule.id)
        else:
            context.decide(Reason.RULE_YIELDS, f"to {chosen.id!r}", incident=identity, rule=rule.id)
    if chosen is None:
        context.decide(Reason.UNCLASSIFIED, "no acting rule knows this failure", incident=identity)
        return unclassified_rule(context)
    return chosen


def proceed(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case) -> None:
    """Follow the rule from the case's step on, until something must be awaited."""
    if case.rule != UNCLASSIFIED and case.rule not in context.rules.rules:
        case.rule, case.stage, case.index = UNCLASSIFIED, "do", 0  # where it stood means nothing in another rule
    while True:
        step = next_step(context, case)
        if step is None:
            _settle(context, state, case)
            return
        if step.action != RETRY:
            if _is_held_back(context, state, case):
                return
            _tell(context, state, case, step)
            case.index += 1
            continue
        brake = retry_brake(context, state, run, case)
        if brake is None:
            plan_retry(context, run, case, step)
            update_incident(context, state, case.incident, Handling.REMEDIATING, "a retry is planned")
            return
        reason, text = brake
        if reason is Reason.FROZEN and not case.hold_over:
            hold(context, case, thaw=True)
            return
        refuse_step(context, case, reason, text)


def next_step(context: Context, case: Case) -> Step | None:
    """The step that the case stands at; None past the end of its stage."""
    rule = rule_of(context, case.rule)
    steps = rule.do if case.stage == "do" else rule.otherwise
    return steps[case.index] if case.index < len(steps) else None


def refuse_step(context: Context, case: Case, reason: Reason, text: str) -> None:
    """What the rule wanted may not or did not work: `otherwise` takes over."""
    context.decide(reason, text, incident=case.incident, rule=case.rule)
    case.why = f"{reason.value}: {text}"
    case.stage, case.index = "otherwise", 0 if case.stage == "do" else case.index + 1


def _settle(context: Context, state: DagState, case: Case) -> None:
    """No step is left. A failure that nobody was told of is told as unclassified ones are."""
    if not case.told and case.stage == "otherwise":
        if _is_held_back(context, state, case):
            return
        _tell(context, state, case, Step(action="page", to=context.policy.unclassified_route))
    case.phase = CasePhase.TOLD
    case.due = context.now + context.policy.told_look_every
    case.feed_due, case.thaw = None, False


def _tell(context: Context, state: DagState, case: Case, step: Step) -> None:
    paged = step.action == "page"
    held = state.incidents[case.incident]
    status = case.why or ("needs a person" if paged else "")
    incident.change(context, held, status=status or held.incident.status, paged=held.incident.paged or paged)
    tell.try_again(context, held)
    tell.tell(context, held, step.to or context.policy.unclassified_route, paged=paged)
    case.told = case.told or paged


def tell_again(context: Context, state: DagState, case: Case) -> None:
    """The failure goes on: those who could not be told of it are told now."""
    held = state.incidents.get(case.incident)
    if held is not None:
        tell.try_again(context, held)


def _is_held_back(context: Context, state: DagState, case: Case) -> bool:
    """While the feed catches up nobody is told: what is read may be long over."""
    deployment = context.deployment(state.deployment)
    if case.hold_over or deployment is None or not feeds.is_behind(context.world, deployment.feed, context.policy):
        return False
    if case.phase is not CasePhase.HELD:
        text = f"feed {deployment.feed!r} is behind"
        context.decide(Reason.CATCHING_UP, text, incident=case.incident, rule=case.rule)
    hold(context, case, feed=deployment.feed)
    return True


def hold(context: Context, case: Case, *, feed: str = "", thaw: bool = False) -> None:
    """Wait for the feed or a thaw, but not for ever."""
    if case.phase is not CasePhase.HELD or case.due is None:
        case.due = context.now + context.policy.hold_max
    case.phase = CasePhase.HELD
    case.feed_due = context.now - 2 * feeds.lateness(feed, context.policy) if feed else None
    case.thaw = thaw
    if thaw:
        context.decide(Reason.FROZEN, "held until a thaw", incident=case.incident, rule=case.rule)


# -- retry --------------------------------------------------------------------------------------------------------


def retry_brake(context: Context, state: DagState, run: DagRunState, case: Case) -> tuple[Reason, str] | None:
    """The first brake that forbids a retry of this case now, or None. Order: what can never pass comes first."""
    event, rule = case.event, rule_of(context, case.rule)
    deployment = context.deployment(state.deployment)
    step = next_step(context, case)
    if step is None or step.action != RETRY:
        return Reason.REFUSED, f"rule {case.rule!r} was changed or removed and asks for no retry any more"
    never = _never_retry(context, state, event)
    if never:
        return Reason.NEVER_RETRY, never
    if deployment is None or not deployment.has_api:
        return Reason.CEILING, "the deployment has no API to act through"
    if event.log_url and not _is_own_host(event.log_url, deployment.log_hosts):
        return Reason.FOREIGN_HOST, "the failure's log link is not on this deployment's host"
    if case.unverified:
        return Reason.UNVERIFIED, "the scheduler could not be asked"
    for who, mode in (("the deployment", deployment.ceiling), (f"rule {rule.id!r}", rule.mode)):
        if mode is Mode.APPROVE:
            return Reason.APPROVAL_NEEDED, f"{who} allows changes only with a person's approval"
        if MODE_RANK[mode] < MODE_RANK[Mode.ACT]:
            return Reason.CEILING, f"{who} allows no changes"
    return _spent(context, state, run, case, rule, step.max_attempts)


def _spent(
    context: Context, state: DagState, run: DagRunState, case: Case, rule: Rule, limit: int
) -> tuple[Reason, str] | None:
    issued = run.attempts.get(_task_of(case), {}).get(rule.id, 0)
    if issued >= limit:
        return Reason.ATTEMPTS_SPENT, f"{issued} of {limit} retries were issued and did not help"
    spent = state.budgets.get(case.event.task_id or "", [])
    over = budget.exhausted(spent, budget.effective(rule.budget, context.policy.budget_cap), context.now)
    if over:
        return Reason.BUDGET_SPENT, over
    if context.world.frozen:
        return Reason.FROZEN, "the freeze is on"
    return None


def _never_retry(context: Context, state: DagState, event: Event) -> str:
    for tag in context.policy.never_retry_tags:
        if tag in event.tags:
            return f"the DAG carries the tag {tag!r}"
    name = f"{state.deployment}/{state.dag_id}/{event.task_id}"
    for pattern in context.policy.never_retry:
        if fnmatchcase(name, pattern):
            return f"{name} is on the never-retry list ({pattern!r})"
    return ""


def _is_own_host(url: str, hosts: tuple[str, ...]) -> bool:
    place = url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1].lower()
    return place in hosts or place.split(":", 1)[0] in hosts


def _task_of(case: Case) -> str:
    return task_key(case.event.task_id or "", case.event.map_index)


def plan_retry(context: Context, run: DagRunState, case: Case, step: Step) -> None:
    """Wait for the backoff, whose jitter is a function of what is retried."""
    issued = run.attempts.get(_task_of(case), {}).get(case.rule, 0)
    seed = stable_id("retry", case.rule, case.incident, case.event.run_id or "", _task_of(case), issued + 1)
    wait = backoff(step.backoff, issued + 1, seed)
    case.phase = CasePhase.PLANNED
    case.due = context.now + wait
    case.feed_due, case.thaw = None, False
    text = f"retry {issued + 1} of {step.max_attempts} in {format_duration(wait // 1000 * 1000)}"
    context.decide(Reason.RETRY_PLANNED, text, incident=case.incident, rule=case.rule)


def backoff(policy: Backoff, attempt: int, seed: str) -> Duration:
    """The wait before attempt n (from 1), spread by a share taken from the seed's bits."""
    wait = min(policy.initial * policy.factor ** (attempt - 1), policy.max)
    share = int(seed[:8], 16) / 0xFFFFFFFF * 2 - 1
    return round(wait * (1 + policy.jitter * share))


def issue_retries(context: Context, state: DagState, run_id: str, run: DagRunState) -> None:
    """One clear for all planned cases of the dagrun, once the first is due and no other clear is under way."""
    planned = {name: case for name, case in run.cases.items() if case.phase is CasePhase.PLANNED}
    if not any(case.due is not None and case.due <= context.now for case in planned.values()):
        return
    if any(case.phase is CasePhase.ISSUED for case in run.cases.values()):
        return
    chosen: dict[str, Case] = {}
    for name, case in planned.items():
        brake = retry_brake(context, state, run, case)
        if brake is None:
            _spend(context, state, run, name, case)
            chosen[name] = case
        else:
            _brake_planned(context, state, run_id, run, case, brake)
    if chosen:
        _issue(context, state, run_id, run, chosen)


def _brake_planned(
    context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, brake: tuple[Reason, str]
) -> None:
    reason, text = brake
    if reason is Reason.FROZEN and not case.hold_over:
        hold(context, case, thaw=True)
        return
    refuse_step(context, case, reason, text)
    proceed(context, state, run_id, run, case)


def _spend(context: Context, state: DagState, run: DagRunState, name: str, case: Case) -> None:
    counts = run.attempts.setdefault(name, {})
    counts[case.rule] = counts.get(case.rule, 0) + 1
    task_id = case.event.task_id or ""
    state.budgets[task_id] = [*budget.pruned(state.budgets.get(task_id, []), context.now), context.now]


def refund(context: Context, state: DagState, case: Case) -> None:
    """The target refused: nothing was changed, so nothing counts as spent."""
    spent = state.budgets.get(case.event.task_id or "", [])
    if spent:
        spent.pop()


def _issue(context: Context, state: DagState, run_id: str, run: DagRunState, chosen: dict[str, Case]) -> None:
    run.issued += 1
    causes = [(case.rule, case.stage, case.index, name, case.try_number) for name, case in sorted(chosen.items())]
    targets = tuple(
        RetryTarget(case.event.task_id or "", case.try_number, case.event.map_index, case.instance_id)
        for _, case in sorted(chosen.items())
    )
    first = next(iter(chosen.values()))
    action = Action(
        id=stable_id(RETRY, state.deployment, state.dag_id, run_id, causes, run.issued),
        lane=dagrun_lane(state.deployment, state.dag_id, run_id),
        key=context.key,
        target=state.deployment,
        params=Retry(state.dag_id, run_id, targets, why=", ".join(sorted({case.rule for case in chosen.values()}))),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
        incident=first.incident,
    )
    context.act(action)
    for name, case in chosen.items():
        case.phase, case.action_id, case.due = CasePhase.ISSUED, action.id, None
        text = f"clear of try {case.try_number} of {name} in dagrun {run_id}"
        context.decide(Reason.RETRY_ISSUED, text, incident=case.incident, action_id=action.id, rule=case.rule)
        update_incident(context, state, case.incident, Handling.REMEDIATING, "a retry was issued")
    wait = context.policy.look_delay if run.suspects else context.policy.action_expiry
    looks.want_fresh(run, context.now + wait)


def update_incident(context: Context, state: DagState, identity: str, handling: Handling, status: str) -> None:
    """Change how the incident is handled, and edit what people were shown."""
    held = state.incidents.get(identity)
    if held is not None and (held.incident.handling, held.incident.status) != (handling, status):
        incident.change(context, held, handling=handling, status=status)
        tell.update(context, held)
