"""The story of one action: what it changed, on whose word, what was asked before, what proved it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.model.action import CHANGES_TARGET, QUESTIONS, Mark, Retry
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Instant
from remediator.runtime.story import rule_set_words, rule_words
from remediator.runtime.story_head import capital, is_proved, result_words, verdict_of
from remediator.runtime.story_lines import lines_of, record_words
from remediator.runtime.story_parts import ENDS, ISSUES, Ground, Head, Story
from remediator.runtime.story_words import (
    KINDS,
    STATES,
    clock,
    length,
    plain,
    result_of,
    run_of,
    sentence,
    task_and_try,
    task_name,
    truth_words,
    what_of,
)
from remediator.store.port import ActionRow

LEADS = frozenset({Reason.FAILED_FINALLY, Reason.INCIDENT_OPENED, Reason.INCIDENT_JOINED, Reason.FIRED,
                   Reason.SELF_ALERT, Reason.FEED_BLIND, Reason.GAP_FOUND})  # fmt: skip
"""What an action can follow from."""
PUT_OFF = frozenset({Reason.CAPPED, Reason.MAINTENANCE, Reason.FROZEN, Reason.CATCHING_UP, Reason.STEP_WAITS,
                     Reason.QUIET, Reason.PROPOSED, Reason.APPROVED, Reason.TOO_MANY_AFFECTED,
                     Reason.BREAKER_PROBES, Reason.RETRY_PLANNED, Reason.HELD_TOO_LONG,
                     Reason.STEP_LEFT_OUT, Reason.PAUSED})  # fmt: skip
"""What stood before it and did not forbid it in the end."""
BRAKES = (
    "what may never be retried, the deployment's ceiling and the rule's mode, who is allowed to act, attempts, "
    "budgets, approval, breaker, freeze, maintenance and caps were asked when it was issued, and none forbade it"
)
UNDECIDED = "The decision to do it is past its retention, or it was no incident's."
UNDO = "an undo: it was due by the rule's own word"


def action_story(ground: Ground, row: ActionRow) -> Story:
    """The story of one row of the outbox, which is among the ground's actions."""
    told = ground.told()
    issue = next((one for one in told if one.action_id == row.action.id and one.reason in ISSUES), None)
    lead = _lead(ground, row, issue)
    chosen = _chapter(ground, row, issue, lead)
    return Story(
        head=Head(_wrong(ground, row, lead), f"{capital(result_words(ground, row))}.", _left(ground, row)),
        facts=tuple(_facts(ground, row, issue, lead)),
        lines=lines_of(ground, chosen),
        after=() if issue is not None else (UNDECIDED,),
        log=(),
        began=chosen[0].at if chosen else row.action.not_before,
        record=ground.origin_at(_claim(ground, lead).position) if lead is not None else None,
    )


# -- what belongs to it -------------------------------------------------------------------------------------------


def _lead(ground: Ground, row: ActionRow, issue: Decision | None) -> Decision | None:
    """The failure, or firing, that led to it: the last one of the tries that it names, else the last of all."""
    until = issue.position if issue is not None else 2**62
    found = [one for one in ground.told() if one.reason in LEADS and one.position <= until]
    tries = _tries(row)
    own = [one for one in found if one.reason is Reason.FAILED_FINALLY and task_and_try(one.text) in tries
           and _is_of_run(row, one)]  # fmt: skip
    finals = [one for one in found if one.reason is Reason.FAILED_FINALLY]
    chosen = own or finals or found
    return chosen[-1] if chosen else None


def _tries(row: ActionRow) -> set[tuple[str, int] | None]:
    params = row.action.params
    tasks = params.tasks if isinstance(params, Retry) else (params.task,) if isinstance(params, Mark) else ()
    return {(task_name(one), one.try_number) for one in tasks}


def _is_of_run(row: ActionRow, decision: Decision) -> bool:
    run_id = getattr(row.action.params, "run_id", "")
    return not run_id or f" of dagrun {run_id}: " in decision.text


def _chapter(ground: Ground, row: ActionRow, issue: Decision | None, lead: Decision | None) -> list[Decision]:
    """From the failure to the proof, and what took it back."""
    if row.action.kind not in CHANGES_TARGET:
        return [one for one in ground.told() if one.action_id == row.action.id]
    first = ground.claim_of(lead) if lead is not None else None
    since, end, undo = first or lead or issue, _end(ground, row), ground.undo_of(row.action)
    told = ground.told()
    begin = told.index(since) if since is not None else 0
    until = told.index(end) if end is not None else len(told)
    names = {row.action.id, undo.action.id if undo is not None else row.action.id}
    return [
        one
        for number, one in enumerate(told)
        if one.action_id in names or (begin <= number <= until and not _is_of_another(ground, row, one))
    ]


def _is_of_another(ground: Ground, row: ActionRow, decision: Decision) -> bool:
    """Is the decision about another dagrun, or another change, of the same incident?"""
    other = ground.row(decision.action_id)
    own, named = getattr(row.action.params, "run_id", ""), run_of(decision.text)
    return (bool(own and named) and own != named) or (other is not None and other.action.kind in CHANGES_TARGET)


def _end(ground: Ground, row: ActionRow) -> Decision | None:
    """Where the story of the action ends: its proof, or the case's end, or that it was done, if that is the proof."""
    own = [one for one in ground.decisions if one.action_id == row.action.id]
    ends = [one for one in own if one.reason in ENDS]
    if not ends and not is_proved(row.action):
        ends = [one for one in own if one.reason in (Reason.DELIVERED, Reason.REFUSED, Reason.OUTCOME_UNKNOWN)]
    return ends[0] if ends else None


# -- head ---------------------------------------------------------------------------------------------------------


def _wrong(ground: Ground, row: ActionRow, lead: Decision | None) -> str:
    if ground.incident is None:
        return "nothing: it is not an incident's but remediator's own work"
    title, error = ground.incident.title, " ".join(ground.incident.error.split())[:200]
    error = error if row.at >= ground.incident.opened_at else ""  # it is of a later episode
    what = f"{title}: {error}" if error and error not in title else title
    return f"{what} ({ground.short(plain(lead.text))}, {clock(lead.at)})" if lead is not None else what


def _left(ground: Ground, row: ActionRow) -> str:
    incident = ground.incident
    whole = f" The whole story: `remediator explain --incident {incident.id}`." if incident is not None else ""
    return f"{_rest(ground, row)}{whole}"


def _rest(ground: Ground, row: ActionRow) -> str:
    verdict = verdict_of(ground, row)
    undo = ground.undo_of(row.action)
    if undo is not None and undo.state == "delivered":
        return "Nothing: it was taken back."
    if verdict == "it helped" or (row.state == "delivered" and row.action.kind not in CHANGES_TARGET):
        return "Nothing."
    if verdict == "it did not help":
        return "See what came after it: this attempt was in vain."
    if row.state in ("pending", "claimed"):
        return f"Wait: it {STATES[row.state]}, until {clock(row.action.not_after)} at most."
    if row.state == "unknown":
        return "Look at the target: it may have happened."
    if row.state == "refused":
        return "Nothing of it was done; see what came after it."
    return "Wait for the proof." if "awaited" in verdict else "Nothing, as far as this action goes."


# -- facts --------------------------------------------------------------------------------------------------------


def _facts(ground: Ground, row: ActionRow, issue: Decision | None, lead: Decision | None) -> Iterator[tuple[str, str]]:
    action = row.action
    yield "action", f"{action.id}, {KINDS.get(action.kind, action.kind)} ({action.kind})"
    where = "deployment" if action.kind in CHANGES_TARGET | QUESTIONS else "receiver"
    yield "what", f"{what_of(action)}{f', {where} {action.target}' if action.target else ''}"
    yield from _on_whose_word(ground, row, issue)
    if lead is not None and ground.incident is not None:
        yield "because", f"{ground.short(sentence(lead))} ({clock(lead.at)})"
        yield from _origin(ground, lead)
    if action.kind in CHANGES_TARGET and issue is not None:
        yield from _before(ground, row, issue, lead)
    yield from _course(row, issue)
    if action.kind in CHANGES_TARGET:
        yield "proof", _proof(ground, row)
    undo = ground.undo_of(action)
    if undo is not None:
        yield "undone", (f"{what_of(undo.action)}, {clock(undo.at)}: {STATES.get(undo.state, undo.state)} "
                         f"[action {undo.action.id[:12]}]")  # fmt: skip


def _on_whose_word(ground: Ground, row: ActionRow, issue: Decision | None) -> Iterator[tuple[str, str]]:
    if issue is None:
        return
    if issue.reason is Reason.UNDONE:
        yield "on whose word", UNDO
        return
    rule = issue.rule or (ground.incident.rule if ground.incident is not None else "")
    if rule:
        yield "rule", rule_words(ground, rule)
    yield "rule set", rule_set_words(ground, issue.at)
    if row.action.kind in CHANGES_TARGET:
        yield "approved", _approved(ground, issue)


def _approved(ground: Ground, issue: Decision) -> str:
    """By whom; since the last change that was issued, for that is what a yes is for."""
    if ground.word is not None and ground.word.approved_by:
        proposal = f", proposal {ground.word.proposal}" if ground.word.proposal else ""
        return f"by {ground.word.approved_by}{proposal}"
    before = [one for one in ground.decisions if one.position <= issue.position and one is not issue]
    for decision in reversed(before):
        if decision.reason is Reason.APPROVED:
            return f"{plain(decision.text)}, {clock(decision.at)}"
        if decision.reason in (Reason.RETRY_ISSUED, Reason.CHANGE_ISSUED) and decision.position < issue.position:
            break
    return "nobody was asked: the rule and the deployment may act by themselves"


def _claim(ground: Ground, lead: Decision) -> Decision:
    return ground.claim_of(lead) or lead


def _origin(ground: Ground, lead: Decision) -> Iterator[tuple[str, str]]:
    claim = _claim(ground, lead)
    event = ground.event_at(claim.position)
    if event is not None:
        yield "record", record_words(ground, claim, event)
        if event.try_number is not None:
            again = "" if event.retries is None else f"; Airflow's own retries: {event.retries}"
            yield "attempt", f"try {event.try_number} of {event.task_id} in dagrun {event.run_id}{again}"
        return
    found = task_and_try(lead.text)
    if found is not None:
        yield "attempt", f"try {found[1]} of {found[0]}"
    by_look = any(one.reason is Reason.FOUND_BY_LOOK and task_and_try(one.text) == found for one in ground.decisions)
    yield "record", "none: a look at the scheduler found it" if by_look else "not kept any more"


def _before(ground: Ground, row: ActionRow, issue: Decision, lead: Decision | None) -> Iterator[tuple[str, str]]:
    since: Instant = lead.position if lead is not None else 0
    stood = [one for one in ground.told() if since <= one.position <= issue.position and one.reason in PUT_OFF]
    for decision in stood:
        yield "before it", f"{ground.short(sentence(decision))} ({clock(decision.at)})"
    if issue.reason is not Reason.UNDONE:
        yield "brakes", BRAKES


def _course(row: ActionRow, issue: Decision | None) -> Iterator[tuple[str, str]]:
    begun = issue.at if issue is not None else row.action.not_before
    later = f", {length(row.at - begun)} later" if row.at > begun else ""
    sent = "not yet" if row.state in ("pending", "claimed") else f"{clock(row.at)}{later}"
    yield "wanted", clock(begun)
    yield "ended", f"{sent}; {result_of(row.state, row.tries, row.detail)}"


def _proof(ground: Ground, row: ActionRow) -> str:
    end = _end(ground, row)
    if end is not None and end.reason in ENDS:
        looked = ground.looked_at(end.position)
        said = f" The scheduler said: {truth_words(looked.truth, looked.error)}." if looked is not None else ""
        return ground.short(f"{sentence(end)} ({clock(end.at)}){said}")
    if row.state != "delivered":
        return "none, since it was not done" if row.state == "refused" else "none yet"
    if is_proved(row.action):
        return "none yet: the scheduler is asked until the task has run again"
    return "that the target said so; no look can show whether it helped"
