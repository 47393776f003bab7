"""What the audit says: entries for what a step wants, what became of it, and what people and processes commanded.

Pure: reads what was decided and done, and decides nothing. The stores chain and keep the entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.engine.core import Changes
from remediator.engine.state import Case, DagState, KeyState
from remediator.engine.steps import DO, step_name
from remediator.model.action import CHANGES_TARGET, Action, LogLine, Message, Page
from remediator.model.ids import stable_id
from remediator.model.incident import Proposal
from remediator.model.inputs import Pressed
from remediator.model.outcome import Delivered, Refused, Unknown
from remediator.model.reasons import Decision
from remediator.rules.index import RuleSet
from remediator.store.audit import MAX_TEXT, AuditEntry, entry_of, is_audited, params_of

SELF = "remediator"


def wanted(changes: Changes, states: Mapping[str, KeyState | None], rules: RuleSet | None) -> dict[str, AuditEntry]:
    """Action id -> its entry, for every action of a step that is audited. states, rules: as the step left them."""
    actions = [action for action in changes.actions if is_audited(action)]
    if not actions:
        return {}
    told: dict[str, list[Decision]] = {}
    for decision in changes.decisions:
        told.setdefault(decision.action_id, []).append(decision)
    return {action.id: _wanted(action, told.get(action.id, ()), states.get(action.key), rules) for action in actions}


def _wanted(
    action: Action,
    decisions: Sequence[Decision],
    state: KeyState | None,
    rules: RuleSet | None,
) -> AuditEntry:
    cases = _cases_of(action, state)
    rule = _rule_of(action, decisions, cases)
    approved = [(name, case.granted) for case in cases if (name := _approver(rules, case))]
    texts = [f"{decision.reason.value}: {decision.text}" for decision in decisions]
    return entry_of(
        action,
        "wanted",
        f"rule {rule}" if rule else SELF,
        rule=rule,
        rule_set=rules.hash if rules is not None else "",
        why="; ".join(dict.fromkeys(texts))[:MAX_TEXT],
        match={name: value[:MAX_TEXT] for case in cases[:1] for name, value in case.match.items()},
        position=decisions[0].position if decisions else 0,
        approved_by=", ".join(sorted({name for name, _ in approved})),
        proposal=", ".join(sorted({proposal for _, proposal in approved if proposal})),
        params=params_of(action),
    )


def _cases_of(action: Action, state: KeyState | None) -> list[Case]:
    """The cases that wait for this action."""
    if action.kind not in CHANGES_TARGET or not isinstance(state, DagState):
        return []
    known = state.dagruns.get(getattr(action.params, "run_id", ""))
    for runs in ([known] if known is not None else [], state.dagruns.values()):
        found = [case for run in runs for case in run.cases.values() if case.action_id == action.id]
        if found:
            return found
    return []


def _approver(rules: RuleSet | None, case: Case) -> str:
    """Who said yes to the step that the case stands at, named as engine.steps.approval_of does; '' for nobody."""
    rule = rules.rules.get(case.rule) if rules is not None and case.approved else None
    if rule is None:
        return ""
    steps = rule.do if case.stage == DO else rule.otherwise
    step = steps[case.index] if case.index < len(steps) else None
    return case.approved.get(stable_id("approval", case.rule, step_name(case), step), "")


def _rule_of(action: Action, decisions: Sequence[Decision], cases: Sequence[Case]) -> str:
    rules = {decision.rule for decision in decisions} | {case.rule for case in cases}
    if rules - {""}:
        return ", ".join(sorted(rules - {""}))
    params = action.params
    return params.incident.rule if isinstance(params, Message | Page | LogLine) else ""


def result(action: Action, outcome: Delivered | Refused | Unknown, state: str, detail: str) -> AuditEntry | None:
    """What became of an action; None if it is not audited."""
    if not is_audited(action):
        return None
    before = f"; before: {outcome.before}" if isinstance(outcome, Delivered) and outcome.before else ""
    return entry_of(action, "result", SELF, result=state, detail=f"{detail}{before}"[:MAX_TEXT])


def command(pressed: Pressed, **more: Any) -> AuditEntry:
    """A person's command about the whole daemon."""
    return AuditEntry(event="command", actor=pressed.actor, what=pressed.command, why=pressed.reason[:MAX_TEXT], **more)


def answer(pressed: Pressed, proposal: Proposal, incident: str, deployment: str) -> AuditEntry:
    """A person's answer to a proposal."""
    subject = f"{proposal.action}: {proposal.text}"[:MAX_TEXT]
    return command(pressed, proposal=proposal.id, incident=incident, target=deployment, subject=subject)


def activation(rule_set: str, rules: int, by: str) -> AuditEntry:
    """A rule set decides from here on."""
    return AuditEntry(event="activated", actor=by, what="rules", rule_set=rule_set, subject=f"{rules} rules")
