"""Approvals: a change that a person must say yes to is proposed, and done, dropped or forgotten as they say.

Owns proposals. What one says that it would do is previews.py's, what comes after it response.py's.
"""

from __future__ import annotations

import msgspec

from remediator.engine import incident, tell
from remediator.engine.context import Context
from remediator.engine.doublings import is_power_of_two
from remediator.engine.state import Case, CasePhase, DagState, OpenIncident, Question
from remediator.engine.steps import RETRY, approval_of, rule_of, step_name, task_of
from remediator.model.action import PREVIEWED
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Proposal
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, Duration, format_instant
from remediator.rules.spec import Step

MANY = "; for "
"""Before the number of task instances in a question about many."""
PREVIEW_WAIT: Duration = 30 * SECOND
"""How long a question to people waits for its preview."""


def propose(context: Context, state: DagState, case: Case, step: Step, text: str) -> None:
    """Ask, where the rule tells people, and wait. What only the scheduler knows of the change is asked there first."""
    if step.action == RETRY and _joins(context, state, case):
        return
    held = state.incidents[case.incident]
    cause = (case.incident, held.incident.cause, task_of(case), case.event.run_id, step_name(case), context.position)
    subject = f"{case.event.dag_id or case.event.deployment} {task_of(case)} {case.event.run_id or ''}".strip()
    proposal = Proposal(stable_id("proposal", *cause), context.key, step.action, f"{subject}: {text}", context.now)
    case.asked, case.affects = approval_of(context, case), 0
    case.phase, case.proposal, case.due = CasePhase.PROPOSED, proposal.id, None
    case.feed_due, case.thaw = None, False
    if step.action in PREVIEWED:
        state.questions[proposal.id] = Question(proposal, text, until=context.now + PREVIEW_WAIT)
    else:
        ask(context, state, proposal, text)


def ask(context: Context, state: DagState, proposal: Proposal, text: str) -> None:
    """Put the question to people. Their time to answer begins now."""
    waiting = [case for _, case in find(state, proposal.id)]
    first, expires = waiting[0], context.now + context.policy.proposal_expiry
    held, many = state.incidents[first.incident], f"{MANY}{len(waiting)} task instances or more"
    shown = f"{proposal.text}{many}" if len(waiting) > 1 else proposal.text
    proposal = msgspec.structs.replace(proposal, text=shown, expires_at=expires, asked_at=context.now)
    said = f"{proposal.action}: {text}{f'; {proposal.preview}' if proposal.preview else ''}"
    until = f"{said}; proposal {proposal.id} is open until {format_instant(expires)}"
    context.decide(Reason.PROPOSED, until, incident=first.incident, rule=first.rule)
    asks = asked(context, first)
    for case in waiting:
        case.due, case.told = expires, case.told or asks.action == "page"
    proposals = (*held.incident.proposals, proposal)
    status = f"asks for approval of {proposal.action}: {text}"
    paged = held.incident.paged or asks.action == "page"
    incident.change(context, held, proposals=proposals, status=status, handling=Handling.NONE, paged=paged)
    tell.update(context, held)
    tell.tell(context, held, asks.to or context.policy.unclassified_route, paged=asks.action == "page")


def show(context: Context, state: DagState, proposal_id: str, case: Case, **fields: object) -> None:
    """Change what people are shown of an open question, where they were told of it."""
    held = state.incidents[case.incident]
    proposals = tuple(
        msgspec.structs.replace(one, **fields) if one.id == proposal_id else one for one in held.incident.proposals
    )
    if proposals != held.incident.proposals:
        incident.change(context, held, proposals=proposals)
        tell.update(context, held)


def asked(context: Context, case: Case) -> Step:
    """Whom to ask, as the rule tells people: who hears of what it does, else who hears of what it could not do."""
    rule = rule_of(context, case.rule)
    told = (step for step in (*rule.do, *rule.otherwise) if step.to)
    return next(told, Step(action="page", to=context.policy.unclassified_route))


def may_affect(context: Context, case: Case) -> int:
    """How many task instances the case's step may touch; 0: any number. A yes lets happen what it was told, no more."""
    allowed = context.policy.blast_radius
    is_approved = approval_of(context, case) in case.approved
    return max(allowed, case.affects) if allowed and is_approved else allowed


def _joins(context: Context, state: DagState, case: Case) -> bool:
    """One clear retries many task instances of a dagrun, so one question is enough for those of one incident."""
    wanted, place = approval_of(context, case), (case.incident, case.event.run_id)
    waiting = (one for run in state.dagruns.values() for one in run.cases.values() if one.phase is CasePhase.PROPOSED)
    first = next((one for one in waiting if one.asked == wanted and (one.incident, one.event.run_id) == place), None)
    if first is None:
        return False
    case.asked, case.phase, case.proposal, case.due = wanted, CasePhase.PROPOSED, first.proposal, first.due
    case.feed_due, case.thaw, case.told = None, False, first.told
    text = f"{task_of(case)} joins proposal {first.proposal}"
    context.decide(Reason.PROPOSED, text, incident=case.incident, rule=case.rule)
    count = len(find(state, first.proposal))
    if is_power_of_two(count):
        _say_how_many(context, state, case, count)
    return True


def is_yet_to_be_asked(state: DagState, case: Case) -> bool:
    """Is the question prepared that the case waits for, so that it says what the case adds?"""
    question = state.questions.get(case.proposal)
    return case.phase is CasePhase.PROPOSED and question is not None and question.until is not None


def _say_how_many(context: Context, state: DagState, case: Case, count: int) -> None:
    """The question is about more by now: its preview is asked for anew."""
    proposals = state.incidents[case.incident].incident.proposals
    was = next((one for one in proposals if one.id == case.proposal), None)
    if was is not None:
        text = f"{was.text.partition(MANY)[0]}{MANY}{count} task instances or more"
        show(context, state, was.id, case, text=text)
        state.questions[was.id] = Question(was)
    elif case.proposal in state.questions:
        state.questions[case.proposal].action_id = ""


def find(state: DagState, proposal_id: str) -> list[tuple[str, Case]]:
    """The cases that wait for this proposal, each with its dagrun."""
    return [
        (run_id, case)
        for run_id, run in state.dagruns.items()
        for case in run.cases.values()
        if case.proposal == proposal_id and case.phase is CasePhase.PROPOSED
    ]


def withdraw(context: Context, state: DagState, case: Case) -> None:
    """The question is answered, or is none any more."""
    held, proposal, case.proposal = state.incidents.get(case.incident), case.proposal, ""
    if held is not None and proposal and not find(state, proposal):
        _without(context, held, proposal)


def _without(context: Context, held: OpenIncident, proposal_id: str) -> None:
    left = tuple(one for one in held.incident.proposals if one.id != proposal_id)
    if left != held.incident.proposals:
        incident.change(context, held, proposals=left)
        tell.update(context, held)
