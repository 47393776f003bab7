"""Approvals: a change that a person must say yes to is proposed, and done, dropped or forgotten as they say.

Owns proposals. What comes after one is response.py's.
"""

from __future__ import annotations

from remediator.engine import incident, tell
from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagState, OpenIncident
from remediator.engine.steps import approval_of, rule_of, step_name, task_of
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Proposal
from remediator.model.reasons import Reason
from remediator.model.time import format_instant
from remediator.rules.spec import Step


def propose(context: Context, state: DagState, case: Case, step: Step, text: str) -> None:
    """Ask, where the rule tells people, and wait."""
    held = state.incidents[case.incident]
    cause = (case.incident, held.incident.cause, task_of(case), case.event.run_id, step_name(case), context.position)
    expires = context.now + context.policy.proposal_expiry
    subject = f"{case.event.dag_id or case.event.deployment} {task_of(case)} {case.event.run_id or ''}".strip()
    proposal = Proposal(stable_id("proposal", *cause), context.key, step.action, f"{subject}: {text}", expires)
    case.asked, case.affects = approval_of(context, case), 0
    case.phase, case.proposal, case.due = CasePhase.PROPOSED, proposal.id, expires
    case.feed_due, case.thaw = None, False
    until = f"{step.action}: {text}; proposal {proposal.id} is open until {format_instant(expires)}"
    context.decide(Reason.PROPOSED, until, incident=case.incident, rule=case.rule)
    status = f"asks for approval of {step.action}: {text}"
    proposals = (*held.incident.proposals, proposal)
    incident.change(context, held, proposals=proposals, status=status, handling=Handling.NONE)
    tell.update(context, held)
    asked = _asked(context, case)
    tell.tell(context, held, asked.to or context.policy.unclassified_route, paged=asked.action == "page")
    case.told = case.told or asked.action == "page"


def _asked(context: Context, case: Case) -> Step:
    """Whom to ask, as the rule tells people: who hears of what it does, else who hears of what it could not do."""
    rule = rule_of(context, case.rule)
    told = (step for step in (*rule.do, *rule.otherwise) if step.to)
    return next(told, Step(action="page", to=context.policy.unclassified_route))


def may_affect(context: Context, case: Case) -> int:
    """How many task instances the case's step may touch; 0: any number. A yes lets happen what it was told, no more."""
    allowed = context.policy.blast_radius
    is_approved = approval_of(context, case) in case.approved
    return max(allowed, case.affects) if allowed and is_approved else allowed


def find(state: DagState, proposal_id: str) -> tuple[str, Case] | None:
    """The case that waits for this proposal, and its dagrun."""
    for run_id, run in state.dagruns.items():
        for case in run.cases.values():
            if case.proposal == proposal_id and case.phase is CasePhase.PROPOSED:
                return run_id, case
    return None


def withdraw(context: Context, state: DagState, case: Case) -> None:
    """The question is answered, or is none any more."""
    held = state.incidents.get(case.incident)
    if held is not None and case.proposal:
        _without(context, held, case.proposal)
    case.proposal = ""


def _without(context: Context, held: OpenIncident, proposal_id: str) -> None:
    left = tuple(one for one in held.incident.proposals if one.id != proposal_id)
    if left != held.incident.proposals:
        incident.change(context, held, proposals=left)
        tell.update(context, held)
