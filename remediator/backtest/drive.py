"""The drive: what was recorded, through the real engine in virtual time, every action answered at once.

Owns virtual time: facts in the order of their receipt, a watermark and a tick when they are due. Performs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from remediator.backtest.answers import Answers
from remediator.backtest.spool import Seen
from remediator.engine.core import Changes, Core
from remediator.engine.feeds import lateness
from remediator.model.action import Action
from remediator.model.event import Event
from remediator.model.inputs import Activated, Entry, Input, Tick, Watermark
from remediator.model.record import DeadLetter, Record
from remediator.model.time import HOUR, SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.runtime.intake import Intake, prepare
from remediator.sources.port import SourceBatch

MARK_EVERY: Duration = SECOND
"""While records come. In silence a mark is given when somebody waits for it."""
NEVER: Instant = 2**62
RUN_OUT: Duration = 4 * HOUR
"""How long time goes on after the record's end: retries and their proof need it. Nothing is said about that time."""
LAST_LOOKS: Duration = 15 * SECOND
"""How long the feed is still taken for read after the end: so that the last failures are looked at."""
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
        self._core = Core(0, {}, {rules.hash: rules}.__getitem__, saves=False)
        feeds = sorted({one.feed for one in rules.policy.deployments.values()})
        self._lateness = {feed: lateness(feed, rules.policy) for feed in feeds}
        self._now: Instant = 0
        self._marked: Instant = 0
        self._slice_at: Instant = 0
        self._wake_at: Instant = 0
        self._over = False
        self._slice: list[Seen] = []
        self._waiting: list[Action] = []
        self._deployment = ""
        self._intake = Intake("backtest", self._decode, self._assign, _no_letter)

    def begin(self, at: Instant) -> None:
        """The rules decide from here on."""
        self._now = at
        self._give([Activated(self._rules.hash), *self._marks()])

    def take(self, block: Iterable[Seen]) -> None:
        """What was received next."""
        for seen in block:
            if seen.at > self._now:
                if seen.at >= self._wake_at or seen.at >= self._slice_at + MARK_EVERY:
                    self._decide()
                    self._pass_time(seen.at)
                    self._slice_at = seen.at
                self._now = seen.at
            self._slice.append(seen)
            if len(self._slice) >= SLICE:
                self._decide()

    def end(self, at: Instant) -> None:
        """The record ends there. Time goes on until retries are proven, but nothing counts as read that is not there:
        what waits for something to stay away goes on waiting."""
        self._decide()
        self._pass_time(at + max(self._lateness.values(), default=0) + LAST_LOOKS)
        self._give(self._marks())
        self._settle()
        self._over = True
        self._pass_time(at + RUN_OUT)

    # -- time -----------------------------------------------------------------------------------------------------

    def _pass_time(self, until: Instant) -> None:
        while self._now < until:
            due, mark_at = self._core.next_due(), self._mark_at()
            self._now = max(self._now, min(until, mark_at, NEVER if due is None else due))
            if self._now >= mark_at:
                self._give(self._marks())
            self._settle()

    def _mark_at(self) -> Instant:
        """When the next watermark is wanted, besides those that come with records."""
        if self._over:
            return NEVER
        waits = ((self._core.next_due(f"feed:{feed}"), late) for feed, late in self._lateness.items())
        wanted = min((at + late for at, late in waits if at is not None), default=NEVER)
        return max(wanted, self._marked + MARK_EVERY)  # whoever waits on all the same must not stop the time

    def _marks(self) -> list[Input]:
        self._marked = self._now
        return [Watermark(feed, "record", 0, 1, self._now, True) for feed in self._lateness]

    def _settle(self) -> None:
        """Ticks and answers until nothing is left to be done at this instant."""
        for _ in range(MOST_ROUNDS):
            due = self._core.next_due()
            waiting, self._waiting = self._waiting, []
            answers: list[Input] = [self._answers.to(action, self._now) for action in waiting]
            if due is not None and due <= self._now:
                answers.append(Tick())
            if not answers:
                self._wake_at = min(self._mark_at(), NEVER if due is None else due)
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
        inputs = list(prepared.batch.inputs) if prepared is not None else []
        if self._now - self._marked >= MARK_EVERY:
            inputs += self._marks()
        if inputs:
            self._give(inputs)
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
