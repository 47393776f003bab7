"""The drive: what was recorded, through the real engine in virtual time, every action answered at once.

Owns virtual time: facts in the order of their receipt, a watermark and a tick when they are due. Performs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from remediator.backtest.answers import Answers
from remediator.backtest.spool import Seen
from remediator.engine.core import Changes, Core
from remediator.model.action import Action
from remediator.model.event import Event
from remediator.model.inputs import Activated, Entry, Input, Tick, Watermark
from remediator.model.record import DeadLetter, Record
from remediator.model.time import HOUR, SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.runtime.intake import Intake, prepare
from remediator.sources.port import SourceBatch

MARK_EVERY: Duration = SECOND
SLOWER = 8
"""While nothing is received marks come less and less often: after this share of the silence."""
RUN_OUT: Duration = 4 * HOUR
"""How long time goes on after the record's end: retries and their proof need it. Nothing is said about that time."""
MOST_ROUNDS = 10_000
"""Answers and ticks at one instant: more of them mean that the core is spinning."""
SLICE = 1_000

Told = Callable[[Changes], None]


def run(core: Core, entries: Sequence[Entry]) -> Changes:
    """Give entries to a core that has no store behind it: what it does not hold does not exist."""
    return core.apply(entries)


class Drive:
    """One rule set over one record. told: hears of every change."""

    def __init__(self, rules: RuleSet, answers: Answers, told: Told) -> None:
        self._rules = rules
        self._answers = answers
        self._told = told
        self._core = Core(0, {}, {rules.hash: rules}.__getitem__)
        self._feeds = sorted({one.feed for one in rules.policy.deployments.values()})
        self._now: Instant = 0
        self._heard: Instant = 0
        self._mark_at: Instant = 0
        self._slice: list[Seen] = []
        self._waiting: list[Action] = []
        self._deployment = ""
        self._intake = Intake("backtest", self._decode, self._assign, _no_letter)

    def begin(self, at: Instant) -> None:
        """The rules decide from here on."""
        self._now = self._heard = at
        self._give([Activated(self._rules.hash)])
        self._mark()

    def take(self, block: Iterable[Seen]) -> None:
        """What was received next."""
        for seen in block:
            if seen.at > self._now:
                due = self._core.next_due()
                if seen.at >= self._mark_at or (due is not None and due <= seen.at):
                    self._decide()
                    self._pass_time(seen.at)
                self._now = max(seen.at, self._now)
            self._heard = self._now
            self._slice.append(seen)
            if len(self._slice) >= SLICE:
                self._decide()

    def end(self, at: Instant) -> None:
        """The record ends there. Time goes on until retries are proven; the feed is known to `at` and no further."""
        self._decide()
        self._pass_time(at)
        self._mark()
        self._settle()
        self._mark_at = at + 2 * RUN_OUT
        self._pass_time(at + RUN_OUT)

    # -- time -----------------------------------------------------------------------------------------------------

    def _pass_time(self, until: Instant) -> None:
        while self._now < until:
            due = self._core.next_due()
            due = until if due is None else max(due, self._now)
            self._now = min(until, self._mark_at, due)
            if self._now >= self._mark_at:
                self._mark()
            self._settle()

    def _mark(self) -> None:
        self._mark_at = self._now + max(MARK_EVERY, (self._now - self._heard) // SLOWER)
        self._give([Watermark(feed, "record", 0, 1, self._now, True) for feed in self._feeds])

    def _settle(self) -> None:
        """Ticks and answers until nothing is left to be done at this instant."""
        for _ in range(MOST_ROUNDS):
            due = self._core.next_due()
            waiting, self._waiting = self._waiting, []
            answers: list[Input] = [self._answers.to(action, self._now) for action in waiting]
            if due is not None and due <= self._now:
                answers.append(Tick())
            if not answers:
                return
            self._give(answers)
        raise RuntimeError(f"the core does not come to rest at {self._now}")

    # -- facts ----------------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        """The slice, prepared as a batch that a poll gave at this instant."""
        if not self._slice:
            return
        records = [Record("record", 0, number, seen.at, None, None) for number, seen in enumerate(self._slice)]
        batch = SourceBatch("record", 0, 1, records, 0, len(records), at_head=True, polled_at=self._now)
        prepared = prepare(self._intake, self._rules, batch, self._now, mark=False)
        self._slice.clear()
        if prepared is not None and prepared.batch.inputs:
            self._give(prepared.batch.inputs)
            self._settle()

    def _decode(self, record: Record) -> list[Event]:
        seen = self._slice[record.offset]
        self._deployment = seen.deployment
        return seen.events

    def _assign(self, event: Event, topic: str) -> tuple[str, tuple[str, ...]]:
        return self._deployment, ()

    def _give(self, inputs: Sequence[Input]) -> None:
        first = self._core.position + 1
        entries = [Entry(position, self._now, one) for position, one in enumerate(inputs, start=first)]
        changes = run(self._core, entries)
        self._told(changes)
        self._waiting += changes.actions
        if changes.cancels:
            cancelled = {action_id for action_id, _ in changes.cancels}
            self._waiting = [action for action in self._waiting if action.id not in cancelled]


def _no_letter(feed: str, record: Record, reason: str) -> DeadLetter:
    raise AssertionError("what cannot be read was sorted out before")
