"""Previews: before people are asked about a change, its target is asked what it would touch; they are shown the answer.

Owns the wait for it, which is short and ends. The question to people is approvals.py's.
"""

from __future__ import annotations

import msgspec

from remediator.engine import approvals, changes, looks, retries
from remediator.engine.context import Context
from remediator.engine.state import NO_DAGRUN, Case, DagState, Question
from remediator.engine.steps import RETRY, next_step
from remediator.model.action import Action, Backfill, DryRun, Reprocess, Rerun, Retry
from remediator.model.ids import stable_id
from remediator.model.inputs import Previewed
from remediator.model.reasons import Reason
from remediator.model.text import cut
from remediator.model.time import format_duration

LANES = 4
"""Changes of one deployment that are previewed at once."""
MAX_TEXT, MAX_WHY = 700, 300
"""Characters that people are shown of what a change would do, and of why it would not be done."""
Waiting = list[tuple[str, Case]]
"""The cases that wait for one proposal, each with its dagrun."""


def settle(context: Context, state: DagState) -> None:
    """Ask the targets for what is not asked yet, and people what was waited for long enough."""
    for proposal_id, question in list(state.questions.items()):
        waiting = approvals.find(state, proposal_id)
        if not waiting:
            del state.questions[proposal_id]
            continue
        if not question.action_id:
            _issue(context, state, question, waiting)
        elif question.until is not None and question.until <= context.now:
            _ask_people(context, state, question)


def _issue(context: Context, state: DagState, question: Question, waiting: Waiting) -> None:
    _, first = waiting[0]
    wanted = _wanted(context, state, waiting)
    if isinstance(wanted, str):
        _answer(context, state, question, waiting, f"no preview: {wanted}")
        return
    change, action_id = wanted.params, stable_id("preview", question.proposal.id, context.position)
    assert isinstance(change, Retry | Rerun | Reprocess | Backfill)  # noqa: S101  (only these are previewed)
    action = Action(
        id=action_id,
        lane=f"preview:{wanted.target}:{int(action_id[:4], 16) % LANES}",
        key=context.key,
        target=wanted.target,
        params=DryRun(msgspec.structs.replace(change, max_affected=0)),  # a yes is for the number that is shown
        not_before=context.now,
        not_after=context.now + approvals.PREVIEW_WAIT,
        incident=first.incident,
    )
    question.action_id = action_id
    context.act(action)
    text = f"what a yes to {wanted.kind} would do"
    context.decide(Reason.PREVIEW_ASKED, text, incident=first.incident, action_id=action_id, rule=first.rule)


def _wanted(context: Context, state: DagState, waiting: Waiting) -> Action | str:
    """The change that a yes would issue now, or why nobody can say what that would do."""
    run_id, first = waiting[0]
    run, step = state.dagruns[run_id], next_step(context, first)
    if step is None or step.action == RETRY:
        chosen = {name: case for name, case in run.cases.items() if any(case is one for _, one in waiting)}
        return retries.wanted(context, state, run_id, chosen, run.issued + 1)
    return changes.wanted(context, state, first, step, run.issued + 1)


def on_previewed(context: Context, state: DagState, previewed: Previewed) -> None:
    """Show it. A change that would touch nothing may have become needless: a look tells, and people are asked after."""
    found = (one for one in state.questions.values() if one.action_id == previewed.action_id)
    question = next(found, None)
    waiting = approvals.find(state, question.proposal.id) if question is not None else []
    if question is None or not waiting:
        return
    run_id, _ = waiting[0]
    is_new = question.until is not None
    if is_new and previewed.affects:
        for _, case in waiting:
            case.affects = max(case.affects, previewed.affects)  # the refusal that led here is in the question, too
    is_needless = not previewed.error and bool(previewed.refused or not previewed.affects)
    if is_new and is_needless and run_id != NO_DAGRUN:
        _keep(question, words(previewed), previewed.affects)
        looks.want_fresh(state.dagruns[run_id], context.now)
    else:
        _answer(context, state, question, waiting, words(previewed), previewed.affects)


def _answer(
    context: Context, state: DagState, question: Question, waiting: Waiting, preview: str, affects: int = 0
) -> None:
    """People are asked with it; of a question that they were asked already it is an edit."""
    _keep(question, preview, affects)
    if question.until is not None:
        _ask_people(context, state, question)
        return
    _, first = waiting[0]
    del state.questions[question.proposal.id]
    context.decide(Reason.PREVIEWED, preview, incident=first.incident, action_id=question.action_id, rule=first.rule)
    approvals.show(context, state, question.proposal.id, first, preview=preview, affects=affects)


def _keep(question: Question, preview: str, affects: int) -> None:
    question.proposal = msgspec.structs.replace(question.proposal, preview=preview, affects=affects)


def words(previewed: Previewed) -> str:
    """As people read it, bounded."""
    if previewed.error:
        return f"no preview: {cut(previewed.error, MAX_TEXT)}"
    refused = f", and is refused: {cut(previewed.refused, MAX_WHY)}" if previewed.refused else ""
    return f"as things are, a yes {cut(previewed.text, MAX_TEXT)}{refused}"


def _ask_people(context: Context, state: DagState, question: Question) -> None:
    """A preview that is still awaited is shown when it comes."""
    proposal = question.proposal
    if proposal.preview:
        del state.questions[proposal.id]
    else:
        wait = format_duration(approvals.PREVIEW_WAIT)
        proposal = msgspec.structs.replace(proposal, preview=f"no preview: no answer within {wait}")
    question.until = None
    approvals.ask(context, state, proposal, question.text)
