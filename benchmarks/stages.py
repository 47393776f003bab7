"""What one record costs stage by stage, each measured by itself on the same batches.

fetch reads the topic through the daemon's own source. The others work on what it read, from memory; what a stage
needs from the one before is made beforehand. Every figure is CPU time of the process, the store's threads included.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.rig import Rig, config_of
from benchmarks.topic import Stopwatch
from benchmarks.workload import Workload
from remediator.config.settings import Config, FetchLimits
from remediator.model.event import Event
from remediator.model.inputs import Activated, encode_inputs
from remediator.model.record import Record
from remediator.rules.index import RuleSet
from remediator.rules.spec import encode_rule_set
from remediator.runtime import wiring
from remediator.runtime.clock import wall as now
from remediator.runtime.intake import Intake, prepare
from remediator.sources.port import SourceBatch
from remediator.store.port import MatcherBatch

STAGES = ("fetch", "decode", "match", "facts", "history", "commit", "step")


class Positions:
    """Positions in memory: the source reads without a store."""

    def __init__(self) -> None:
        self._at: dict[int, int] = {}

    async def read(self, topic: str) -> dict[int, int]:
        return dict(self._at)

    def move(self, batch: SourceBatch) -> None:
        self._at[batch.partition] = batch.next_offset


class Fetched(msgspec.Struct):
    """The batches of `records` records, and the CPU microseconds that one of them took to fetch."""

    us: float
    records: int
    batches: list[SourceBatch]


async def fetch(workload: Workload, bootstrap: str, topic: str, group: str, limits: FetchLimits, most: int) -> Fetched:
    """Read through the source, as the matcher does, and keep the batches of about `most` records."""
    config = config_of(workload, bootstrap, topic, Path(), group, limits)
    positions, watch = Positions(), Stopwatch()
    source = wiring.make_source(config.feeds[0], positions.read, now)
    kept: list[SourceBatch] = []
    records = 0
    await source.start()
    try:
        while records < most:
            batches = await source.poll()
            for batch in batches:
                positions.move(batch)
            kept += batches
            records += sum(len(batch.records) for batch in batches)
            if records and not watch.running:
                watch.first(records)
        cost = watch.stop(records)
    finally:
        await source.stop()
    return Fetched(cost.us, records, kept)


async def measure(workload: Workload, rules: RuleSet, fetched: Fetched, folder: Path) -> dict[str, float]:
    """Stage -> CPU microseconds per record, of everything behind the fetch."""
    config = config_of(workload, "none:1", "none", folder, "stages", FetchLimits())
    intake = wiring.make_intake(config, config.feeds[0])
    records = [record for batch in fetched.batches for record in batch.records]
    spent: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], object]) -> None:
        begun = time.process_time()
        work()
        spent[stage] = (time.process_time() - begun) / fetched.records * 1e6

    timed("decode", lambda: _decode(intake, records))
    events = [event for record in records for event in intake.decode(record) if isinstance(event, Event)]
    timed("match", lambda: _match(intake, rules, events, fetched.batches[0].topic))
    timed("prepare", lambda: deque(_prepare(intake, rules, fetched.batches), maxlen=0))
    prepared = list(_prepare(intake, rules, fetched.batches))
    timed("encode", lambda: [encode_inputs(batch.inputs) for batch in prepared])
    for name, batches in (("bare", [_without(batch) for batch in prepared]), ("full", prepared)):
        spent[name] = await _committed(config_of(workload, "none:1", "none", folder, name, FetchLimits()), batches,
                                       rules, spent) / fetched.records * 1e6  # fmt: skip
    return {
        "fetch": fetched.us,
        "decode": spent["decode"],
        "match": spent["match"],
        "facts": max(spent["prepare"] - spent["decode"] - spent["match"], 0.0) + spent["encode"],
        "history": max(spent["full"] - spent["bare"], 0.0),
        "commit": max(spent["bare"] - spent["encode"], 0.0),
        "step": spent["step"] / fetched.records * 1e6,
    }


def _decode(intake: Intake, records: Sequence[Record]) -> None:
    for record in records:
        intake.decode(record)


def _match(intake: Intake, rules: RuleSet, events: Sequence[Event], topic: str) -> None:
    for event in events:
        deployment, _ = intake.assign(event, topic)
        event = msgspec.structs.replace(event, deployment=deployment)
        if rules.wants(event.type):
            rules.match(event)


def _prepare(intake: Intake, rules: RuleSet, batches: Sequence[SourceBatch]) -> Iterator[MatcherBatch]:
    marked: set[int] = set()
    for batch in batches:
        prepared = prepare(intake, rules, batch, now(), mark=batch.partition not in marked)
        marked.add(batch.partition)
        if prepared is not None:
            yield prepared.batch


def _without(batch: MatcherBatch) -> MatcherBatch:
    return msgspec.structs.replace(batch, history=())


async def _committed(config: Config, batches: Sequence[MatcherBatch], rules: RuleSet, spent: dict[str, float]) -> float:
    """CPU seconds of committing the batches into a new store; then of deciding on them, under 'step'."""
    rig = Rig(config, rules)
    await rig.store.open()
    try:
        await rig.store.put_rule_set(rules.hash, encode_rule_set(rules.spec))
        await rig.store.append([Activated(rules.hash)], now())
        await rig.controller.run_once()
        begun = time.process_time()
        for batch in batches:
            if not await rig.store.commit_batch(batch):
                raise RuntimeError(f"a batch of partition {batch.partition} does not follow on the one before")
        committed = time.process_time() - begun
        begun = time.process_time()
        while await rig.controller.run_once():
            pass
        spent["step"] = time.process_time() - begun
        return committed
    finally:
        await rig.controller.resign()
        await rig.store.close()
