"""Stories: an incident, or one action, told from record to proof so that a person at night understands it. Pure.

Owns what is told and in which order. Words are story_words.py's, reading the store is surface_story.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.engine.steps import UNCLASSIFIED
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Decision, Reason
from remediator.runtime.story_head import OWN, head_of
from remediator.runtime.story_lines import kept_up, lines_of, record_words
from remediator.runtime.story_parts import Ground, RuleWords, Story
from remediator.runtime.story_words import clock, length, plain

LOG_LINES = 20
CUT = "The beginning is left out: more was decided than is shown here."
NOTHING_KEPT = "Nothing was decided, or it is past its retention."


def incident_story(ground: Ground) -> Story:
    """The story of the ground's incident, which must be there."""
    incident = ground.incident
    assert incident is not None  # noqa: S101
    told = ground.told()
    first = _first(ground)
    after = [*([CUT] if ground.cut else []), *([] if told else [NOTHING_KEPT])]
    after += [f"Since then {text}." for text in kept_up(ground.actions)]
    return Story(
        head=head_of(ground, incident),
        facts=tuple(_facts(ground, incident)),
        lines=lines_of(ground, told),
        after=tuple(after),
        log=tuple(incident.log_tail.splitlines()[-LOG_LINES:]),
        began=ground.decisions[0].at if ground.decisions else incident.opened_at,
        record=ground.origin_at(first.position) if first is not None else None,
    )


def _facts(ground: Ground, incident: Incident) -> Iterator[tuple[str, str]]:
    yield "incident", f"{incident.id}, episode {incident.episode}, {incident.severity}, {state_words(incident)}"
    where = (("deployment", incident.deployment), ("DAG", incident.dag_id), ("task", incident.task_id))
    yield "where", ", ".join(f"{name} {value}" for name, value in where if value) or "remediator itself"
    if incident.dagruns:
        left_off = f", {incident.failures} failures in all" if incident.failures > len(incident.dagruns) else ""
        yield "dagruns", f"{', '.join(one for one in incident.dagruns if one)}{left_off}"
    yield from _record(ground)
    if incident.rule:
        yield "rule", rule_words(ground, incident.rule)
    if incident.owner:
        yield "owner", incident.owner
    yield "status", plain(incident.status) or "none"
    for proposal in incident.proposals:
        would = f"; {proposal.preview}" if proposal.preview else ""
        yield "asks", (f"{proposal.action}, {proposal.text}{would}; proposal {proposal.id}, open until "
                       f"{clock(proposal.expires_at)}")  # fmt: skip
    if incident.text:
        yield "message", incident.text
    labels = ", ".join(f"{name}={value}" for name, value in sorted(incident.labels.items()))
    more = (("runbook", incident.runbook), ("labels", labels), ("impact", ", ".join(incident.impact)),
            ("log", incident.log_url))  # fmt: skip
    yield from ((name, value) for name, value in more if value)


def _record(ground: Ground) -> Iterator[tuple[str, str]]:
    """The first record that led here, or why there is none to name."""
    first = _first(ground)
    if first is None:
        return
    event = ground.event_at(first.position)
    if event is not None:
        yield "began with", f"record {record_words(ground, first, event)}"
    elif first.reason is Reason.SUSPECTED:
        yield "began with", "a record that is not kept any more"
    else:
        by = "survey of" if ground.is_surveyed(first.position) else "look at"
        yield "began with", f"no record: a {by} the scheduler found it"


def _first(ground: Ground) -> Decision | None:
    """What began it: the first decision that followed from an event, or from what the scheduler said unasked."""
    for decision in ground.told():
        if decision.reason in (Reason.FROZEN, Reason.THAWED):
            continue
        is_said = decision.reason is Reason.SUSPECTED or ground.event_at(decision.position) is not None
        if is_said or decision.reason is Reason.FOUND_BY_LOOK or ground.is_surveyed(decision.position):
            return decision
    return None


def state_words(incident: Incident) -> str:
    """'open, being handled, paged'"""
    if incident.phase is Phase.RESOLVED:
        return "over" + (", was paged" if incident.paged else "")
    handling = {"remediating": ", being handled", "acknowledged": ", seen by a person"}
    return "open" + handling.get(incident.handling.value, "") + (", paged" if incident.paged else "")


def rule_words(ground: Ground, rule_id: str) -> str:
    """'reset: Retry lost connections (mode act, network.toml:12)'"""
    if rule_id == UNCLASSIFIED:
        return "none knows it: it is told as unclassified"
    if rule_id.startswith(OWN):
        return f"none: it is remediator's own alert, {rule_id.removeprefix(OWN).replace('_', ' ')}"
    known = ground.rules.get(rule_id, RuleWords(rule_id))
    about = [f"mode {known.mode}" if known.mode else "", known.place]
    said = ", ".join(part for part in about if part)
    return f"{rule_id}{f': {known.summary}' if known.summary else ''}{f' ({said})' if said else ''}"


def rule_set_words(ground: Ground, at: int) -> str:
    """Which rule set decided then, as far as that is known."""
    if ground.word is not None and ground.word.rule_set:
        now = ", which still decides" if ground.word.rule_set == ground.rule_set else ""
        return f"{ground.word.rule_set[:12]}{now}"
    if ground.rule_set and at >= ground.rule_set_since:
        return f"{ground.rule_set[:12]}, active since {clock(ground.rule_set_since)}"
    if ground.rule_set:
        since = length(ground.rule_set_since - at)
        return f"an earlier one than the present {ground.rule_set[:12]}, which became active {since} later"
    return "not known any more"
