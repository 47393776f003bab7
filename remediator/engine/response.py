"""The response to a final failure or a firing: which rule answers, and which step of it is next.

Reads no truth: it is called when truth has been established. What forbids a change is brakes.py's.
"""

from __future__ import annotations

from remediator.engine import approvals, changes, incident, tell, telling, waits
from remediator.engine.brakes import ASKS, Brake, change_brake, issue_brake, retry_brake
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import (
    DO,
    OTHERWISE,
    PROOF,
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
from remediator.model.time import Duration, format_duration
from remediator.rules.conditions import Trouble
from remediator.rules.index import Matched
from remediator.rules.spec import Backoff, Rule, Step

PROOF_WAIT: Duration = Step("").verify
"""How long a failure may last after changes that no look can prove."""


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
        elif step is None and _is_unproved(state, case):
            if _awaits_proof(context, case):
                return
        elif step is None:
            _settle(context, state, run, case)
            return
        elif waits.must_wait(context, case, step) or waits.must_look(context, state, run, case):
            return
        elif not _is_wanted(context, state, case, step):
            continue
        elif step.action == RETRY:
            if _retry(context, state, run, case, step):
                return
        elif step.action in CHANGE_STEPS:
            if _change(context, state, run, case, step):
                return
        elif waits.is_held_back(context, state, case):
            return
        else:
            telling.follow(context, state, case, step)
            case.index += 1


def _retry(context: Context, state: DagState, run: DagRunState, case: Case, step: Step) -> bool:
    """Plan the retry. False if a brake forbids it and the story goes on with what comes after it."""
    brake = retry_brake(context, state, run, case)
    if brake is None:
        plan_retry(context, run, case, step)
        tell.show_handling(context, state, case.incident, Handling.REMEDIATING, "a retry is planned")
        return True
    return not stopped(context, state, case, step, brake)


def _change(context: Context, state: DagState, run: DagRunState, case: Case, step: Step) -> bool:
    """Issue the change, or wait. False if a brake forbids it and the story goes on with what comes after it."""
    if not case.event.run_id and waits.is_held_back(context, state, case):
        return True
    brake = change_brake(context, state, run, case)
    if brake is not None:
        return not stopped(context, state, case, step, brake)
    put_off = issue_brake(context, state, run, case)
    if put_off is not None:
        waits.put_off_until(context, state, case, *put_off)
        return True
    fault = changes.issue(context, state, run, case, step)
    if fault:
        refuse_step(context, case, Reason.RULE_ERROR, fault)
        return False
    tell.show_handling(context, state, case.incident, Handling.REMEDIATING, f"{step.action} was issued")
    return True


def stopped(context: Context, state: DagState, case: Case, step: Step, brake: Brake) -> bool:
    """What a brake means: the step is refused for good (True), or the case waits for a thaw or a person."""
    reason, text = brake
    if reason is Reason.FROZEN and not case.hold_over:
        waits.hold(context, case, thaw=True)
        return False
    if reason is Reason.BREAKER_OPEN and waits.wait_for_breaker(context, state, case, text):
        return False
    if reason in ASKS and waits.is_held_back(context, state, case):
        return False
    if reason in ASKS:
        what = changes.described(context, state, case, step)
        approvals.propose(context, state, case, step, f"{what}: {text}" if what else text)
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
            case.approved[case.asked], case.granted = pressed.actor, pressed.subject
            context.decide(Reason.APPROVED, text, incident=case.incident, rule=case.rule)
        else:
            refuse_step(context, case, Reason.REJECTED, text)
            tell.show_handling(context, state, case.incident, Handling.NONE, case.why)
    for run_id, case in found:
        proceed(context, state, run_id, state.dagruns[run_id], case)


def expire_proposal(context: Context, state: DagState, run_id: str, case: Case) -> None:
    """Nobody answered in time."""
    approvals.withdraw(context, state, case)
    refuse_step(context, case, Reason.PROPOSAL_EXPIRED, "nobody answered the proposal in time")
    tell.show_handling(context, state, case.incident, Handling.NONE, case.why)
    proceed(context, state, run_id, state.dagruns[run_id], case)


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


def go_on_unverified(context: Context, state: DagState, run_id: str, run: DagRunState, case: Case, text: str) -> None:
    """No look will say more: a change is not made on faith, and what only tells people is told as what it is."""
    case.unverified = case.hold_over = True
    step = next_step(context, case)
    is_telling = step is None or step.action not in CHANGE_STEPS
    if case.phase in (CasePhase.HELD, CasePhase.WAITING) and is_telling:
        before = f"; {case.why}" if case.why else ""
        case.why = f"{Reason.UNVERIFIED.value}: {text}{before}"
        context.decide(Reason.UNVERIFIED, text, incident=case.incident, rule=case.rule)
    elif case.phase is not CasePhase.WAITING:
        refuse_step(context, case, Reason.UNVERIFIED, text)
    proceed(context, state, run_id, run, case)


def _is_unproved(state: DagState, case: Case) -> bool:
    """Was the failure answered by nothing but changes whose delivery says little, and nobody told?"""
    is_other = bool(case.change) and not case.proves
    held = state.incidents[case.incident]
    return case.stage == DO and is_other and bool(case.event.run_id) and not (held.told or held.digested)


def _awaits_proof(context: Context, case: Case) -> bool:
    """Has the failure some time left to end? If not, the changes were in vain."""
    case.waits.setdefault(PROOF, context.now + PROOF_WAIT)
    if case.waits[PROOF] > context.now:
        case.phase, case.due = CasePhase.WAITING, case.waits[PROOF]
        case.feed_due, case.thaw = None, False
        return True
    text = f"{task_of(case)} is still failed {format_duration(PROOF_WAIT)} after {case.change}"
    refuse_step(context, case, Reason.DID_NOT_HELP, text)
    return False


def _settle(context: Context, state: DagState, run: DagRunState, case: Case) -> None:
    """No step is left. A failure that nobody was told of is told as unclassified ones are."""
    if not case.told and case.stage == OTHERWISE:
        if waits.is_held_back(context, state, case) or waits.must_look(context, state, run, case):
            return
        telling.follow(context, state, case, Step(action="page", to=context.policy.unclassified_route))
    case.phase = CasePhase.TOLD
    case.due = context.now + context.policy.told_look_every
    case.feed_due, case.thaw = None, False


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
