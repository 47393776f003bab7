"""The timeline of a story: decisions become sentences with what shows them, and repeated ones are folded. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from remediator.engine.tell import LOG, PAGERDUTY, SLACK
from remediator.model.action import Message, Page
from remediator.model.event import Event
from remediator.model.reasons import Decision, Reason
from remediator.model.time import SECOND
from remediator.runtime.story_parts import ENDS, ISSUES, Ground, Line
from remediator.runtime.story_words import clock, length, plain, result_of, sentence, truth_words
from remediator.store.port import ActionRow

TELLINGS = frozenset({SLACK, PAGERDUTY, LOG})
SHOWN_BY_LOOK = ENDS | {Reason.FAILED_FINALLY, Reason.FOUND_BY_LOOK, Reason.AIRFLOW_RETRIES}
SHOWN_BY_EVENT = frozenset({Reason.SUSPECTED, Reason.INCIDENT_OPENED, Reason.INCIDENT_JOINED, Reason.FIRED,
                            Reason.RECOVERED, Reason.ENDED_BY_EVENT})  # fmt: skip
ALIKE = frozenset(
    {Reason.STILL_RUNNING, Reason.DUPLICATE, Reason.ALREADY_TOLD, Reason.CAPPED, Reason.INCIDENT_JOINED, Reason.FIRED,
     Reason.SUPPRESSED, Reason.LATE, Reason.UNREACHABLE, Reason.DIGESTED}
)  # fmt: skip
"""Repeated ones are one line, whatever number or name differs in them."""
ANSWERS = frozenset({Reason.APPROVED, Reason.REJECTED, Reason.PROPOSED, Reason.INCIDENT_OPENED})
"""Never folded: each has its own who and why."""
LONGEST_CYCLE = 12
REPEATS, REPEATS_OF_ACTIONS = 3, 4
"""From so many on, a sequence of decisions that comes again and again is told once; with actions in it, from more."""


def lines_of(ground: Ground, decisions: Iterable[Decision]) -> tuple[Line, ...]:
    """The decisions as lines."""
    return tuple(_folded_cycles(list(_folded(_lines(ground, decisions)))))


def _lines(ground: Ground, decisions: Iterable[Decision]) -> Iterator[Line]:
    seen, shown = "", tuple[str, ...]()
    for decision in decisions:
        row = ground.row(decision.action_id)
        if decision.reason is Reason.DELIVERED and row is not None and row.action.kind in TELLINGS:
            continue  # the line that told of it says so
        text = ground.short(sentence(decision))
        rule = "" if ground.incident is not None and decision.rule == ground.incident.rule else decision.rule
        if decision.reason is Reason.INCIDENT_RESOLVED and plain(decision.text) == seen:
            text = "The incident is over."
        seen, before = plain(decision.text), shown
        shown = tuple(ground.short(one) for one in _more(ground, decision, row))
        more = tuple(one for one in shown if one not in before)  # one look often shows several things
        yield Line(decision.at, decision.reason.value, text, rule, decision.action_id, more, until=decision.at)


def _more(ground: Ground, decision: Decision, row: ActionRow | None) -> Iterator[str]:
    """What shows it, and what came of it."""
    looked, event = ground.looked_at(decision.position), ground.event_at(decision.position)
    if event is not None and decision.reason in SHOWN_BY_EVENT:
        yield f"the record: {record_words(ground, decision, event)}"
    if looked is not None and decision.reason in SHOWN_BY_LOOK:
        yield f"the scheduler said: {truth_words(looked.truth, looked.error)}"
    if row is not None and decision.reason in ISSUES:
        later = f", {length(row.at - decision.at)} later" if row.at > decision.at else ""
        is_ref = row.state == "delivered" and row.action.kind in TELLINGS  # where the message is; people know
        yield f"{result_of(row.state, row.tries, '' if is_ref else row.detail)}{later}  [action {row.action.id[:12]}]"


def record_words(ground: Ground, decision: Decision, event: Event) -> str:
    """'main/openlineage[2]@1234, task.failed of 2026-11-22 06:50:35Z, read 0.4s later'"""
    origin, feed = ground.origin_at(decision.position), ground.feeds.get(event.deployment, "")
    place = f"{origin.text}, " if origin is not None else ""
    of_feed = f", feed {feed}" if feed and origin is None else ""
    late = f", read {length(decision.at - event.time)} later" if decision.at > event.time else ""
    return f"{place}{event.type} of {clock(event.time)}{of_feed}{late}"


# -- folding ------------------------------------------------------------------------------------------------------


def _folded(lines: Iterable[Line]) -> Iterator[Line]:
    """Neighbours that say the same become one."""
    held: Line | None = None
    for line in lines:
        if held is not None and _is_same(held, line):
            held = msgspec.structs.replace(line, at=held.at, count=held.count + 1, more=held.more)
            continue
        if held is not None:
            yield _counted(held)
        held = line
    if held is not None:
        yield _counted(held)


def _is_same(one: Line, other: Line) -> bool:
    if (one.reason, one.rule) != (other.reason, other.rule):
        return False
    return one.text == other.text or Reason(one.reason) in ALIKE


def _counted(line: Line) -> Line:
    if line.count == 1:
        return line
    over = f" over {length(line.until - line.at)}" if line.until - line.at >= SECOND else ""
    last = ", the last one" if Reason(line.reason) in ALIKE and line.reason != Reason.STILL_RUNNING.value else ""
    if line.reason == Reason.STILL_RUNNING.value:
        return msgspec.structs.replace(line, text=f"Looked {line.count} times{over}. {line.text}")
    return msgspec.structs.replace(line, text=f"{line.count} times{over}{last}: {line.text}")


def _folded_cycles(lines: list[Line]) -> Iterator[Line]:
    """A sequence that comes again and again, as in a storm, is told once and then counted."""
    at = 0
    while at < len(lines):
        period, repeats = _cycle(lines, at)
        if not period:
            yield lines[at]
            at += 1
            continue
        yield from lines[at : at + period]
        rest = lines[at + period : at + period * repeats]
        over = length(rest[-1].until - rest[0].at)
        text = f"The same {repeats - 1} times more within {over}; the last: {rest[-1].text}"
        yield Line(rest[0].at, "", text, count=len(rest), until=rest[-1].until)
        at += period * repeats


def _cycle(lines: Sequence[Line], at: int) -> tuple[int, int]:
    """(lines of the sequence that begins here, how often it comes); (0, 0) if it does not."""
    for period in range(2, LONGEST_CYCLE + 1):
        pattern = _pattern(lines, at, period)
        if any(Reason(reason) in ANSWERS for reason, _ in pattern):
            break
        repeats = 1
        while _pattern(lines, at + repeats * period, period) == pattern:
            repeats += 1
        has_actions = any(Reason(reason) in ISSUES | ENDS for reason, _ in pattern)
        if repeats >= (REPEATS_OF_ACTIONS if has_actions else REPEATS):
            return period, repeats
    return 0, 0


def _pattern(lines: Sequence[Line], at: int, period: int) -> list[tuple[str, str]]:
    return [(line.reason, line.rule) for line in lines[at : at + period]]


# -- what no decision tells ----------------------------------------------------------------------------------------


def kept_up(actions: Iterable[ActionRow]) -> Iterator[str]:
    """'the message in #data was edited 3 times, at last 2026-11-22 06:50:35Z': followers of what was told."""
    rows = [(row, _follow_up(row)) for row in actions]
    counts = Counter(name for _, name in rows if name)
    for name, count in counts.items():
        last = max(row.at for row, each in rows if each == name)
        times = f"{count} times, at last" if count > 1 else "once,"
        yield f"{name} {times} {clock(last)}"


def _follow_up(row: ActionRow) -> str:
    match row.action.params:
        case Message(ref=ref, channel=channel) if ref and row.state == "delivered":
            return f"the message in {channel} was edited"
        case Page(event_action="resolve") if row.state == "delivered":
            return "the alert was resolved"
    return ""
