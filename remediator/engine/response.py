"""The response to a final failure or a firing: which rule answers, and which step of it is next.

Reads no truth: it is called when truth has been established. What forbids a change is brakes.py's.
"""

from __future__ import annotations

from remediator.engine import approvals, breakers, changes, feeds, incident, tails, tell
from remediator.engine.brakes import ASKS, Brake, change_brake, issue_brake, retry_brake
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState, OpenIncident
from remediator.engine.steps import (
    DO,
    OTHERWISE,
    RETRY,
    UNCLASSIFIED,
    approval_of,
    counter_of,
    next_step,
    rule_of,
    task_of,
    unclassified_rule,
)
from remediator.model.action import CHANGE_STEPS
from remediator.model.ids import stable_id
from remediator.model.incident import Handling
from remediator.model.inputs import Pressed
from remediator.model.policy import Mode
from remediator.model.reasons import Reason
from remediator.model.time import Duration, Instant, format_duration, format_instant
from remediator.rules.conditions import Trouble
from remediator.rules.index import Matched
from remediator.rules.periods import end_of_periods, in_periods
from remediator.rules.spec import Backoff, Rule, Step


def choose(context: Context, matched: Matched, identity: str) -> Rule:
    """The responder: the first matching rule that is not only observing; the rest yield, and say so."""
    for rule_id, why in matched.errors:
        context.decide(Reason.RULE_ERROR, why, incident=identity, rule=rule_id)
    chosen: Rule | None = None
    for rule in matched.rules:
        if rule.mode is Mode.OBSERVE:
            say_observed(context, rule, identity)
        elif chosen is None:
            chosen = rule
            context.decide(Reason.RULE_RESPONDS, rule.summary or rule.id, incident=identity, rule=rule.id)
        else:
            context.decide(Reason.RULE_YIELDS, f"to {chosen.id!r}", incident=identity, rule=rule.id)
    return chosen if chosen is not None else unclassified_rule(context)


def say_observed(context: Context, rule: Rule, identity: str) -> None:
    """What an observing rule would have done."""
    steps = ", ".join(step.action for step in rule.do) or "nothing"
    context.decide(Reason.RULE_OBSERVES, f"would have done: {steps}", incident=identity, rule=rule.id)


def proceed(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case) -> None:
    """Follow the rule from the case's step on, until something must be awaited."""
    if case.rule != UNCLASSIFIED and case.rule not in context.rules.rules and not run_id:
        case.phase, case.due = CasePhase.TOLD, context.now + 1  # a firing ends with its rule
        return
    if case.rule != UNCLASSIFIED and case.rule not in context.rules.rules:
        case.rule, case.stage, case.index = UNCLASSIFIED, DO, 0  # where it stood means nothing in another rule
    while True:
        step = next_step(context, case)
        if step is None and case.stage == DO and case.refused:
            case.stage, case.index = OTHERWISE, 0
        elif step is None:
            _settle(context, state, case)
            return
        elif _must_wait(context, case, step):
            return
        elif not _is_wanted(context, state, case, step):
            continue
        elif step.action == RETRY:
            if _retry(context, state, run, case, step):
                return
        elif step.action in CHANGE_STEPS:
            if _change(context, state, run, case, step):
                return
        elif _is_held_back(context, state, case):
            return
        else:
            _tell(context, state, case, step)
            case.index += 1


def _retry(context: Context, state: DagState, run: DagRunState, case: Case, step: Step) -> bool:
    """Plan the retry. False if a brake forbids it and the story goes on with what comes after it."""
    brake = retry_brake(context, state, run, case)
    if brake is None:
        plan_retry(context, run, case, step)
        update_incident(context, state, case.incident, Handling.REMEDIATING, "a retry is planned")
        return True
    return not stopped(context, state, case, step, brake)


def _change(context: Context, state: DagState, run: DagRunState, case: Case, step: Step) -> bool:
    """Issue the change, or wait. False if a brake forbids it and the story goes on with what comes after it."""
    if not case.event.run_id and _is_held_back(context, state, case):
        return True
    brake = change_brake(context, state, run, case)
    if brake is not None:
        return not stopped(context, state, case, step, brake)
    put_off = issue_brake(context, state, run, case)
    if put_off is not None:
        put_off_until(context, state, case, *put_off)
        return True
    fault = changes.issue(context, state, run, case, step)
    if fault:
        refuse_step(context, case, Reason.RULE_ERROR, fault)
        return False
    update_incident(context, state, case.incident, Handling.REMEDIATING, f"{step.action} was issued")
    return True


def put_off_until(context: Context, state: DagState, case: Case, brake: Brake, until: Instant) -> None:
    """Nothing is wrong with the change but the moment. What a person holds up is told, and asked about by looks."""
    reason, text = brake
    if not case.capped or (reason is Reason.PAUSED and not case.told_meanwhile):
        context.decide(reason, f"{text}; tried again {format_instant(until)}", incident=case.incident, rule=case.rule)
    case.capped += 1
    if case.phase is not CasePhase.PLANNED or reason is Reason.PAUSED:
        case.phase = CasePhase.WAITING
    case.due = until
    if reason is Reason.PAUSED:
        update_incident(context, state, case.incident, Handling.NONE, f"held: {text}")
        _tell_meanwhile(context, state, case, f"held: {text}")


def _tell_meanwhile(context: Context, state: DagState, case: Case, why: str) -> None:
    """Those whom the rule's `otherwise` names are told once, though the rule's own steps are not over."""
    if case.told_meanwhile or _is_behind(context, state, case):
        return
    case.told_meanwhile, case.why = True, why
    rule = rule_of(context, case.rule)
    for index, step in enumerate(rule.otherwise or (Step(action="page", to=context.policy.unclassified_route),)):
        scene = incident.scene(context, rule, case, state.incidents[case.incident].incident)
        is_telling = step.action not in CHANGE_STEPS and not step.wait
        if is_telling and (
            not step.condition or context.rules.step_verdict(case.rule, OTHERWISE, index, scene) is True
        ):
            _tell(context, state, case, step)


def stopped(context: Context, state: DagState, case: Case, step: Step, brake: Brake) -> bool:
    """What a brake means: the step is refused for good (True), or the case waits for a thaw or a person."""
    reason, text = brake
    if reason is Reason.FROZEN and not case.hold_over:
        hold(context, case, thaw=True)
        return False
    if reason is Reason.BREAKER_OPEN and wait_for_breaker(context, state, case, text):
        return False
    if reason in ASKS and _is_held_back(context, state, case):
        return False
    if reason in ASKS:
        approvals.propose(context, state, case, step, text)
        return False
    refuse_step(context, case, reason, text)
    return True


def answer(context: Context, state: DagState, pressed: Pressed) -> None:
    """A person has said yes or no to a proposal; an answer to one that is over changes nothing."""
    found = approvals.find(state, pressed.subject)
    if not found:
        context.decide(Reason.DUPLICATE, f"{pressed.command} of a proposal that is over, by {pressed.actor}")
    text = f"by {pressed.actor}" + (f": {pressed.reason}" if pressed.reason else "")
    for _, case in found:
        approvals.withdraw(context, state, case)
        if pressed.command == "approve":
            case.approved[case.asked] = pressed.actor
            context.decide(Reason.APPROVED, text, incident=case.incident, rule=case.rule)
        else:
            refuse_step(context, case, Reason.REJECTED, text)
    for run_id, case in found:
        proceed(context, state, run_id, state.dagruns[run_id], case)


def expire_proposal(context: Context, state: DagState, run_id: str, case: Case) -> None:
    """Nobody answered in time."""
    approvals.withdraw(context, state, case)
    refuse_step(context, case, Reason.PROPOSAL_EXPIRED, "nobody answered the proposal in time")
    proceed(context, state, run_id, state.dagruns[run_id], case)


def _must_wait(context: Context, case: Case, step: Step) -> bool:
    """Is the step's own wait, or a quiet time of the rule, not over?"""
    due, reason = _waits_until(context, case, step)
    if due <= context.now:
        return False
    if case.phase is not CasePhase.WAITING or case.due != due:
        until = f"{step.action} waits until {format_instant(due)}"
        context.decide(reason, until, incident=case.incident, rule=case.rule)
    case.phase, case.due = CasePhase.WAITING, due
    case.feed_due, case.thaw = None, False
    return True


def _waits_until(context: Context, case: Case, step: Step) -> tuple[Instant, Reason]:
    if step.wait:
        due = case.waits.setdefault(f"{case.stage}/{case.index}", context.now + step.wait)
        if due > context.now:
            return due, Reason.STEP_WAITS
    quiet = context.rules.quiet(case.rule)
    if step.action in ("page", "notify") and in_periods(quiet, context.now):
        return end_of_periods(quiet, context.now), Reason.QUIET
    return context.now, Reason.STEP_WAITS


def _is_wanted(context: Context, state: DagState, case: Case, step: Step) -> bool:
    """Does the step's condition say yes? If not, the next one has its turn; an error never acts."""
    if not step.condition:
        return True
    rule, held = rule_of(context, case.rule), state.incidents[case.incident]
    scene = incident.scene(context, rule, case, held.incident)
    verdict = context.rules.step_verdict(case.rule, case.stage, case.index, scene)
    if verdict is True:
        return True
    if isinstance(verdict, Trouble):
        text = f"{step.action}: its condition could not be answered: {verdict.reason}"
        refuse_step(context, case, Reason.RULE_ERROR, text)
    else:
        text = f"{step.action}: its condition does not hold"
        context.decide(Reason.STEP_LEFT_OUT, text, incident=case.incident, rule=case.rule)
        case.index += 1
    return False


def refuse_step(context: Context, case: Case, reason: Reason, text: str) -> None:
    """What the rule wanted may not or did not work: its next step has its turn, after the last one `otherwise`."""
    context.decide(reason, text, incident=case.incident, rule=case.rule)
    case.why = f"{reason.value}: {text}"
    case.refused = True
    case.index += 1


def _settle(context: Context, state: DagState, case: Case) -> None:
    """No step is left. A failure that nobody was told of is told as unclassified ones are."""
    if not case.told and case.stage == OTHERWISE:
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


def tell_again(context: Context, state: DagState, case: Case) -> None:
    """The failure goes on: those who could not be told of it are told now."""
    held = state.incidents.get(case.incident)
    if held is not None:
        tell.try_again(context, held)


def _is_behind(context: Context, state: DagState, case: Case) -> str:
    """The feed that catches up, '' if none does."""
    deployment = context.deployment(state.deployment or case.event.deployment)
    if case.hold_over or deployment is None or not feeds.is_behind(context.world, deployment.feed, context.policy):
        return ""
    return deployment.feed


def _is_held_back(context: Context, state: DagState, case: Case) -> bool:
    """While the feed catches up nobody is told: what is read may be long over."""
    feed = _is_behind(context, state, case)
    if not feed:
        return False
    if case.phase is not CasePhase.HELD:
        text = f"feed {feed!r} is behind"
        context.decide(Reason.CATCHING_UP, text, incident=case.incident, rule=case.rule)
    hold(context, case, feed=feed)
    return True


def hold(context: Context, case: Case, *, feed: str = "", thaw: bool = False) -> None:
    """Wait for the feed or a thaw, but not for ever."""
    if case.phase is not CasePhase.HELD or case.due is None:
        case.due = context.now + context.policy.hold_max
    case.phase, case.breaker = CasePhase.HELD, False
    case.feed_due = context.now - 2 * feeds.lateness(feed, context.policy) if feed else None
    case.thaw = thaw
    if thaw:
        context.decide(Reason.FROZEN, "held until a thaw", incident=case.incident, rule=case.rule)


BREAKER = "breaker"
"""Under which name a case remembers until when it waits for one."""


def wait_for_breaker(context: Context, state: DagState, case: Case, text: str) -> bool:
    """Wait until the breaker closes or the probe is this case's turn; False if that lasts too long or is in vain."""
    over = case.waits.setdefault(BREAKER, context.now + context.policy.proposal_expiry)
    if over <= context.now or breakers.is_given_up(context, case):
        return False
    if not (case.phase is CasePhase.HELD and case.breaker):
        until = f"{text}: it waits until that changes, at most until {format_instant(over)}"
        context.decide(Reason.BREAKER_WAITS, until, incident=case.incident, rule=case.rule)
        update_incident(context, state, case.incident, Handling.NONE, "waits: its rule does not help at the moment")
        asked = approvals.asked(context, case)
        breakers.begin_waiting(
            context, case, asked.to or context.policy.unclassified_route, paged=asked.action == "page"
        )
    case.phase, case.breaker, case.feed_due, case.thaw = CasePhase.HELD, True, None, False
    case.due = min(over, breakers.next_turn(context, case))
    return True


def leave_breaker(context: Context, case: Case) -> bool:
    """Does the case wait no more, since the breaker is closed, given up, or the probe is its turn?"""
    turn = breakers.next_turn(context, case)
    over = case.waits.get(BREAKER, context.now)
    if turn > context.now and over > context.now and not breakers.is_given_up(context, case):
        case.due = min(over, turn)
        return False
    if over > context.now:
        breakers.take_turn(context, case)
    case.breaker, case.due = False, None
    return True


# -- retry --------------------------------------------------------------------------------------------------------


def plan_retry(context: Context, run: DagRunState, case: Case, step: Step) -> None:
    """Wait for the backoff, whose jitter is a function of what is retried."""
    issued = run.attempts.get(task_of(case), {}).get(counter_of(context, case), 0)
    seed = stable_id("retry", case.rule, case.incident, case.event.run_id or "", task_of(case), issued + 1)
    wait = 0 if approval_of(context, case) in case.approved else backoff(step.backoff, issued + 1, seed)
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


def update_incident(context: Context, state: DagState, identity: str, handling: Handling, status: str) -> None:
    """Change how the incident is handled, and edit what people were shown."""
    held = state.incidents.get(identity)
    if held is not None and (held.incident.handling, held.incident.status) != (handling, status):
        incident.change(context, held, handling=handling, status=status)
        tell.update(context, held)
