"""The first three lines of a story: what is wrong, what was done, what is left to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from remediator.engine.steps import UNCLASSIFIED
from remediator.engine.tell import LOG, PAGERDUTY, SLACK
from remediator.model.action import CHANGES_TARGET, Action, Message, Pause, Reprocess
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Decision, Reason
from remediator.model.text import cut
from remediator.runtime.story_parts import UNDONE, Ground, Head, is_undo, subject_of
from remediator.runtime.story_words import KINDS, STATES, UNDO_PLANNED, clock, did, length, plain, what_of
from remediator.store.port import ActionRow

ERROR_SHOWN = 200
OWN = "self."
"""How the rules of incidents about the daemon itself begin."""
OWN_LEFT: dict[str, str] = {
    "self.page_digest": "See to the incidents that it names: `remediator incidents` lists all that are open.",
}
"""Own incidents that await something else than that remediator itself is seen to; the freeze does not hold them."""
RUNS_SHOWN, CHANGES_SHOWN = 3, 2
"""More changes than so many are counted by kind."""
ASKED_SHOWN = 2
_PROVED = frozenset({"airflow.retry", "airflow.rerun"})

LEFT: dict[Reason, str] = {
    Reason.SUSPECTED: "Wait: the scheduler is being asked whether the failure is final.",
    Reason.RETRY_PLANNED: "Wait: {text}.",
    Reason.RETRY_ISSUED: "Wait: the retry is on its way.",
    Reason.CHANGE_ISSUED: "Wait: the change is on its way.",
    Reason.HELPED: "See to the others: one of its failures is over, the rest goes on.",
    Reason.BREAKER_WAITS: "Wait, or answer the breaker's own question: {text}.",
    Reason.DELIVERED: "Wait: whether it helps will be seen when the task has run again.",
    Reason.STILL_RUNNING: "Wait: {text}.",
    Reason.FROZEN: "Decide about the freeze: `remediator freeze off` lets what it holds be decided anew.",
    Reason.CATCHING_UP: "Wait: {text}; people are told once what is read is fresh.",
    Reason.STEP_WAITS: "Wait: {text}.",
    Reason.QUIET: "Nothing before the quiet time ends: {text}.",
    Reason.CAPPED: "Wait: {text}.",
    Reason.MAINTENANCE: "Wait for the maintenance to end: {text}.",
    Reason.PAUSED: "Resume the DAG when it may run again: {text}.",
    Reason.UNREACHABLE: "See why the scheduler does not answer: {text}.",
    Reason.HOLDING: "Wait: {text}.",
}
"""The last of these that was decided, and was followed by nothing else of the kind, says what is awaited."""
SETTLED = frozenset({Reason.PAGED, Reason.NOTIFIED, Reason.ALREADY_TOLD, Reason.DIGESTED})
GIVEN_UP: dict[Reason, str] = {
    Reason.DID_NOT_HELP: "what was tried did not help",
    Reason.ATTEMPTS_SPENT: "its retries are spent",
    Reason.BUDGET_SPENT: "its budget is used up",
    Reason.NEVER_RETRY: "it is never to be retried",
    Reason.CEILING: "no change is allowed here",
    Reason.NOT_ALLOWED: "nobody allowed its rule to change anything",
    Reason.FOREIGN_HOST: "the failure may be another system's",
    Reason.REJECTED: "a person said no",
    Reason.PROPOSAL_EXPIRED: "nobody answered the question in time",
    Reason.UNVERIFIED: "the scheduler could not be asked",
    Reason.OUTCOME_UNKNOWN: "it is not known what became of the change",
    Reason.REFUSED: "the change was refused",
    Reason.RULE_ERROR: "its rule could not be applied",
    Reason.UNCLASSIFIED: "no rule knows this failure",
    Reason.HELD_TOO_LONG: "it was held for too long",
}
"""Why nothing more is tried."""
OVER: dict[str, str] = {
    Reason.HELPED.value: "what was done has helped",
    Reason.RECOVERED.value: "it is well again",
    Reason.LEFT_ALONE.value: "a person marked it failed",
    Reason.GONE.value: "the dagrun was deleted",
    Reason.CALMED.value: "it has calmed down",
    Reason.ENDED_BY_EVENT.value: "an event ended it",
    Reason.RULE_REMOVED.value: "its rule was removed",
    Reason.RULE_CHANGED.value: "its rule was changed, and tells its incidents apart in another way",
    Reason.INCIDENT_EXPIRED.value: "it was open for as long as incidents may be; look whether it still is so",
    Reason.INCIDENT_JOINED.value: "what was wrong belongs to another incident now",
}


def head_of(ground: Ground, incident: Incident) -> Head:
    """Three sentences."""
    return Head(_wrong(ground, incident), _done(ground), _left(ground, incident))


def _wrong(ground: Ground, incident: Incident) -> str:
    error = cut(" ".join(incident.error.split()), ERROR_SHOWN)
    what = f"{incident.title}: {error}" if error and error not in incident.title else incident.title
    return f"{what} ({', '.join(_scale(ground, incident))})"


def _scale(ground: Ground, incident: Incident) -> Iterator[str]:
    if incident.failures > 1:
        yield f"{incident.failures} times"
    runs = incident.dagruns
    if runs:
        shown = ", ".join(runs[-RUNS_SHOWN:])
        yield f"dagrun {shown}" if len(runs) == 1 else f"{len(runs)} dagruns, at last {shown}"
    if incident.resolved_at is None:
        yield f"for {length(max(0, ground.now - incident.opened_at))}, since {clock(incident.opened_at)}"
    else:
        yield f"for {length(incident.resolved_at - incident.opened_at)}, until {clock(incident.resolved_at)}"


def is_own(incident: Incident | None) -> bool:
    """Is it about remediator itself?"""
    return incident is not None and incident.rule.startswith(OWN)


# -- done ---------------------------------------------------------------------------------------------------------


def _done(ground: Ground) -> str:
    rows = [row for row in ground.changes() if getattr(row.action.params, "why", "") != UNDONE]
    many = len(rows) > CHANGES_SHOWN
    changed = Counter(_kind_and_verdict(ground, row) if many else result_words(ground, row) for row in rows)
    changes = "; ".join(text if count == 1 else f"{count} × {text}" for text, count in changed.items())
    people = "; ".join(dict.fromkeys(_told(ground)))
    return f"{capital(changes) or 'Nothing was changed'}. {people[:1].upper()}{people[1:] or 'Nobody was told'}."


def result_words(ground: Ground, row: ActionRow) -> str:
    """'cleared try 1 of load in dagrun r1: it helped'"""
    verdict = verdict_of(ground, row)
    if row.state == "delivered":
        return ground.short(f"{did(row.action)}{f': {verdict}' if verdict else ''}")
    return ground.short(f"{'not done yet' if row.state in ('pending', 'claimed') else 'not done'}: "
                        f"{what_of(row.action)}; {verdict}")  # fmt: skip


def _kind_and_verdict(ground: Ground, row: ActionRow) -> str:
    verdict = verdict_of(ground, row)
    return f"{KINDS.get(row.action.kind, row.action.kind)}{f' ({verdict})' if verdict else ''}"


def is_proved(action: Action) -> bool:
    """Is it a change of which a later look shows whether it helped? Of the others, only that they were done."""
    return action.kind in _PROVED or (isinstance(action.params, Reprocess) and action.params.attempt is not None)


def verdict_of(ground: Ground, row: ActionRow) -> str:
    """What came of a change, in a few words."""
    undo = ground.undo_of(row.action)
    if undo is not None:
        done = undo.state == "delivered"
        return f"taken back {clock(undo.at)}" if done else f"taking it back: {STATES.get(undo.state, undo.state)}"
    if row.state != "delivered":
        return STATES.get(row.state, row.state)
    proof = ground.proof_of(row.action.id)
    if proof is None and not is_proved(row.action):
        return ""
    if proof is None:
        over = ground.incident is not None and ground.incident.phase is Phase.RESOLVED
        return "nothing showed whether it helped" if over else "the proof is awaited"
    return "it helped" if proof.reason is Reason.HELPED else "it did not help"


def _told(ground: Ground) -> Iterator[str]:
    """Who knows of it."""
    for decision in ground.decisions:
        row = ground.row(decision.action_id)
        if decision.reason in (Reason.PAGED, Reason.NOTIFIED) and row is not None:
            yield f"{_receiver(row, paged=decision.reason is Reason.PAGED)}{_arrived(row)}"
        elif decision.reason is Reason.DIGESTED and not is_own(ground.incident):
            yield "named in a digest instead of a page"


def _receiver(row: ActionRow, *, paged: bool) -> str:
    names = {PAGERDUTY: f"paged by {row.action.target or PAGERDUTY}", LOG: "written to the daemon's log"}
    if row.action.kind == SLACK and isinstance(row.action.params, Message):
        return f"{'woken' if paged else 'told'} in {row.action.params.channel}"
    return names.get(row.action.kind, f"told by {KINDS.get(row.action.kind, row.action.kind)}")


def _arrived(row: ActionRow) -> str:
    return "" if row.state == "delivered" else f" ({STATES.get(row.state, row.state)})"


# -- left ---------------------------------------------------------------------------------------------------------


def _left(ground: Ground, incident: Incident) -> str:
    standing = [f"{what} is still in force: see whether it should be" for what in _standing(ground)]
    if incident.phase is Phase.RESOLVED:
        why = OVER.get(incident.resolution, plain(incident.status) or "it is over")
        if is_own(incident) and incident.resolution == Reason.INCIDENT_EXPIRED.value:
            why = "it was told long enough ago, and is told again if it goes on"
        return f"{'. '.join(capital(one) for one in standing) or 'Nothing'}; {why}."
    if incident.proposals:
        more = len(incident.proposals) - ASKED_SHOWN
        rest = [f"{more} more wait: `remediator approvals list`."] if more > 0 else []
        return " ".join([*islice(_answers(ground, incident), ASKED_SHOWN), *rest])
    if incident.rule in OWN_LEFT:
        return OWN_LEFT[incident.rule]
    return _awaited(ground, incident)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _answers(ground: Ground, incident: Incident) -> Iterator[str]:
    for proposal in incident.proposals:
        left = length(max(0, proposal.expires_at - ground.now))
        would = f"; {proposal.preview}" if proposal.preview else ""
        yield (f"Say yes or no to {proposal.action} ({proposal.text}{would}): "
               f"`remediator approvals approve {proposal.id}`, or `reject`, within {left}.")  # fmt: skip


def _awaited(ground: Ground, incident: Incident) -> str:
    """What the last decision that still stands says of an open incident."""
    for decision in reversed(ground.told()):
        if decision.reason in SETTLED or _is_made(ground, decision):
            return _given_up(ground, incident)
        if decision.reason in LEFT and not _is_over(ground, decision):
            return LEFT[decision.reason].format(text=plain(decision.text))
    return _given_up(ground, incident)


def _is_made(ground: Ground, decision: Decision) -> bool:
    """A change that was made, and that no look has to prove: what came after it was all there was."""
    row = ground.row(decision.action_id) if decision.reason is Reason.CHANGE_ISSUED else None
    return row is not None and row.state not in ("pending", "claimed") and not is_proved(row.action)


def _is_over(ground: Ground, decision: Decision) -> bool:
    """Arrived tellings await nothing, nor does a planned undo; a freeze that was pressed off holds nothing."""
    if decision.reason is Reason.STEP_WAITS:
        return UNDO_PLANNED.search(decision.text) is not None
    if decision.reason is Reason.DELIVERED:
        row = ground.row(decision.action_id)
        return row is None or not is_proved(row.action)
    later = [one.reason for one in ground.told() if one.position > decision.position]
    return decision.reason is Reason.FROZEN and Reason.THAWED in later


def _given_up(ground: Ground, incident: Incident) -> str:
    whys = [one.reason for one in ground.decisions if one.reason in GIVEN_UP and not _is_of_telling(ground, one)]
    why = f": {GIVEN_UP[whys[-1]]}" if whys else ""
    hint = f" The runbook is {incident.runbook}." if incident.runbook else ""
    if is_own(incident):
        return f"A person has to see to remediator itself: {plain(incident.error)}.{hint}"
    rule = "" if incident.rule == UNCLASSIFIED else f" Rule {incident.rule!r} has no further step."
    return f"A person has to fix it{why}.{rule} It ends by itself once the scheduler has it well.{hint}" if (
        incident.dag_id and incident.task_id
    ) else f"A person has to look at it{why}.{hint}"  # fmt: skip


def _is_of_telling(ground: Ground, decision: Decision) -> bool:
    row = ground.row(decision.action_id)
    return row is not None and row.action.kind not in CHANGES_TARGET


def _standing(ground: Ground) -> Iterator[str]:
    """Changes that were made and not taken back."""
    rows = [row for row in ground.changes() if row.state == "delivered" and subject_of(row.action)]
    for row in rows:
        is_last = not any(is_undo(other.action, row.action) for other in rows)
        undoes = getattr(row.action.params, "why", "") == "undone"
        if is_last and not undoes and not (isinstance(row.action.params, Pause) and not row.action.params.paused):
            yield f"what {did(row.action)}"
