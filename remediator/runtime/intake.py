"""Intake: what one batch of records becomes. Pure: decode, assign a deployment, match, choose the facts.

Owns the rule which events are facts. Keeps nothing between batches.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from remediator.model.event import TERMINAL, Event, compact
from remediator.model.inputs import Fact, Gap, Input, Unmapped, Watermark
from remediator.model.record import DeadLetter, Origin, Record
from remediator.model.time import MINUTE, Duration, Instant
from remediator.rules.index import NOTHING, Matched, RuleSet
from remediator.sources.port import SourceBatch
from remediator.store.port import HistoryRow, MatcherBatch

HISTORY_STATES: dict[str, str] = {
    "task.started": "started",
    "task.failed": "failed",
    "task.success": "success",
    "task.skipped": "skipped",
    "dagrun.started": "started",
    "dagrun.failed": "failed",
    "dagrun.success": "success",
}
MAX_UNMAPPED_PER_BATCH = 20
CLOCKS_DIFFER: Duration = MINUTE
"""How far a producer's clock may run ahead of ours."""


class Intake(msgspec.Struct, frozen=True):
    """How one feed's records are read.

    decode: Record -> its events, or the reason why it is a dead letter.
    assign: (event, topic) -> (deployment or '', the claimants).
    dead_letter: (feed, record, reason) -> the letter, masked.
    """

    feed: str
    decode: Callable[[Record], list[Event] | str]
    assign: Callable[[Event, str], tuple[str, tuple[str, ...]]]
    dead_letter: Callable[[str, Record, str], DeadLetter]


class Prepared(msgspec.Struct, frozen=True):
    """A batch ready to commit, and its counts for metrics."""

    batch: MatcherBatch
    records: int
    events: int
    facts: int
    matches: int
    rule_errors: int = 0
    """Rules that could answer neither yes nor no: counted, never journalled, since an error never acts."""


def prepare(intake: Intake, rules: RuleSet, batch: SourceBatch, now: Instant, *, mark: bool) -> Prepared | None:
    """All that comes of a batch; None if there is nothing to write. `mark`: a watermark row may be written."""
    inputs: list[Input] = []
    history: list[HistoryRow] = []
    letters: list[DeadLetter] = []
    unmapped: dict[str, Unmapped] = {}
    latest: Instant = 0
    counts = [0, 0, 0, 0]
    if batch.lost is not None:
        since = batch.records[0].timestamp if batch.records else now
        inputs.append(Gap(intake.feed, batch.topic, batch.partition, batch.lost.first, batch.lost.last, since))
    for record in batch.records:
        decoded = intake.decode(record)
        if isinstance(decoded, str):
            letters.append(intake.dead_letter(intake.feed, record, decoded))
            continue
        for event in decoded:
            counts[0] += 1
            if event.time <= now + CLOCKS_DIFFER:  # what is further ahead tells of a broken clock, not of progress
                latest = max(latest, min(event.time, now))
            mapped, claimants = intake.assign(event, batch.topic)
            if not mapped:
                _note_unmapped(unmapped, intake.feed, event.namespace, batch.topic, claimants)
                continue
            origin = Origin(intake.feed, batch.topic, batch.partition, record.offset)
            _take(msgspec.structs.replace(event, deployment=mapped), origin, rules, inputs, history, counts)
    inputs.extend(unmapped.values())
    moved = bool(batch.records) or batch.lost is not None or batch.next_offset != batch.expected
    if mark and (latest or batch.at_head):
        inputs.append(_watermark(intake.feed, batch, latest, now))
    if not inputs and not moved:
        return None
    committed = MatcherBatch(
        feed=intake.feed,
        topic=batch.topic,
        partition=batch.partition,
        expected=batch.expected,
        next_offset=batch.next_offset,
        at=now,
        inputs=inputs,
        history=history,
        dead_letters=letters,
    )
    return Prepared(committed, len(batch.records), *counts)


def _take(
    event: Event, origin: Origin, rules: RuleSet, inputs: list[Input], history: list[HistoryRow], counts: list[int]
) -> None:
    state = HISTORY_STATES.get(event.type)
    if state is not None and event.run_id is not None and event.dag_id is not None:
        history.append(_history_row(event, state))
    met = rules.match(event) if rules.wants(event.type) else NOTHING
    counts[3] += len(met.errors)
    matched = ids_of(met)
    is_condition = event.condition is not None and rules.wants_condition(event.condition.name)
    if matched or is_condition or event.type in TERMINAL:
        counts[1] += 1
        counts[2] += 1 if matched else 0
        inputs.append(Fact(event if matched else compact(event), matched, rules.hash if matched else "", origin))


def met_rules(rules: RuleSet, event: Event) -> tuple[str, ...]:
    """Rules that the event meets with any of their parts; each once, the first to respond first."""
    return ids_of(rules.match(event)) if rules.wants(event.type) else ()


def ids_of(met: Matched) -> tuple[str, ...]:
    """The rules of a match, each once, the first to respond first."""
    ids = [rule.id for rule in met.rules] + [rule.id for rule, _ in met.members]
    return tuple(dict.fromkeys(ids)) if ids else ()


def _history_row(event: Event, state: str) -> HistoryRow:
    is_dagrun = event.task_id is None
    return HistoryRow(
        deployment=event.deployment,
        dag_id=event.dag_id or "",
        run_id=event.run_id or "",
        task_id=event.task_id or "",
        map_index=event.map_index,
        try_number=(event.clear_number if is_dagrun else event.try_number) or 0,
        state=state,
        time=event.time,
        started_at=event.time if state == "started" else event.started_at,
        ended_at=None if state == "started" else event.ended_at or event.time,
        error=event.error.message[:500] if event.error is not None and event.error.message else None,
    )


def _note_unmapped(
    found: dict[str, Unmapped], feed: str, namespace: str, topic: str, claimants: tuple[str, ...]
) -> None:
    known = found.get(namespace)
    if known is not None:
        found[namespace] = msgspec.structs.replace(known, count=known.count + 1)
    elif len(found) < MAX_UNMAPPED_PER_BATCH:
        found[namespace] = Unmapped(feed, namespace, topic, claimants)


def _watermark(feed: str, batch: SourceBatch, latest: Instant, now: Instant) -> Watermark:
    until = batch.polled_at if batch.at_head else latest
    return Watermark(feed, batch.topic, batch.partition, batch.partitions, until, batch.at_head)
