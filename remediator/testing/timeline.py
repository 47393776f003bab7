"""A story under a manual clock over the real core: what events say, what the scheduler answers, what must come of it.

Owns a scripted scheduler and the ticks, looks and outcomes that the runtime would bring. No I/O; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from remediator.engine.core import Changes, Core
from remediator.engine.feeds import lateness
from remediator.engine.timers import TimerBook
from remediator.model.action import Action, DryRun, LogTail, Look, Reprocess, Rerun, Retry, Survey, Sweep
from remediator.model.event import UNMAPPED_INDEX, ErrorInfo, Event
from remediator.model.incident import Incident, Phase
from remediator.model.inputs import (
    Activated,
    Entry,
    Fact,
    Input,
    Looked,
    Performed,
    Pressed,
    Previewed,
    Surveyed,
    Swept,
    Tailed,
    Tick,
    Watermark,
)
from remediator.model.outcome import Delivered, FinalOutcome
from remediator.model.reasons import Decision, Reason
from remediator.model.time import SECOND, Duration, Instant, format_duration, parse_duration
from remediator.model.truth import DagRunTruth, Finding
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec
from remediator.runtime.intake import met_rules
from remediator.testing.replaying import replay as replay
from remediator.testing.scripted import Scheduler, place_of, previewed

START: Instant = 1_800_000_000 * SECOND
FEED = "feed"
MARK_EVERY: Duration = 5 * SECOND
MOST_ROUNDS = 1_000  # at one instant: more of them mean that the core is spinning


class TimelineError(AssertionError):
    """The story went differently; the message holds the decisions so far."""


class Timeline:
    """Tell the story with `at` and the verbs; check it with the `expect_*`, each of which consumes what it names.

    Every verb takes deployment, dag_id and run_id by keyword, 'prod', 'sales' and 'r1' unless said. Actions are
    delivered at once unless `answer_with` said otherwise; a delivered retry makes its tasks run again, one try later.
    extra: journalled beside every entry, to show that it changes nothing. sparse: the feed tells how far it was read
    when something waits for that, else just often enough; not every few seconds.
    """

    def __init__(
        self,
        rules: RuleSetSpec | RuleSet,
        *,
        extra: Callable[[Input], Sequence[Input]] = lambda given: (),
        start: Instant = START,
        sparse: bool = False,
    ) -> None:
        self.began = self.now = start
        self.journal: list[Entry] = []
        self.actions: list[Action] = []
        self.decisions: list[Decision] = []
        self.incidents: dict[str, Incident] = {}
        self.changes: list[Changes] = []
        self._extra = extra
        compiled = rules if isinstance(rules, RuleSet) else RuleSet(rules)
        self._rule_sets = {compiled.hash: compiled}
        self.core = Core(0, {}, self._rule_sets.__getitem__)
        self.scheduler = Scheduler()
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self.log_tail = ""
        self.previewed: Callable[[Action], Previewed | None] = previewed  # None: no answer ever comes
        self._unreachable: set[str] = set()
        self._outcomes: dict[str, FinalOutcome] = {}
        self._waiting: list[Action] = []
        self._unseen: list[Action] = []
        self._reading = True
        self._backlog: list[Input] = []
        self._marked: Instant = start
        self._waits = TimerBook({}) if sparse else None
        self._give(Activated(compiled.hash))
        self._mark()

    # -- the clock ------------------------------------------------------------------------------------------------

    def at(self, since_start: str) -> Self:
        """Let time pass until so long after the start, such as '1m30s'."""
        return self.until(self.began + parse_duration(since_start))

    def until(self, until: Instant) -> Self:
        """Let time pass until then."""
        if until < self.now:
            raise ValueError(f"{format_duration(until - self.began)} has passed")
        while True:
            due = self.core.next_due()
            mark = self._next_mark() if self._reading else until
            self.now = min(until, mark, max(due, self.now) if due is not None else until)
            if self._reading and (self.now >= mark or self._is_stale()):
                self._mark()
            self._settle()
            if self.now >= until:
                return self

    def _next_mark(self) -> Instant:
        """When the feed tells next how far it was read, if nothing else happens."""
        if self._waits is None:
            return self._marked + MARK_EVERY
        policy, due = self._rules.policy, self._waits.next_due(f"feed:{FEED}")
        usual = self._marked + max(policy.blind_after // 2, MARK_EVERY)
        return usual if due is None else min(usual, max(due + lateness(FEED, policy), self.now))

    def _is_stale(self) -> bool:
        """Is it so long ago that the feed would soon seem to be behind?"""
        policy = self._rules.policy
        late = lateness(FEED, policy)
        allowed = max(policy.behind_after, 3 * late) - late - MARK_EVERY
        return self._waits is not None and self.now - self._marked > allowed

    # -- what events say --------------------------------------------------------------------------------------------

    def task_failed(
        self,
        task_id: str,
        try_number: int = 1,
        *,
        error: str = "ConnectionError: connection reset by peer",
        map_index: int = UNMAPPED_INDEX,
        retries: int | None = 0,
        tags: tuple[str, ...] = (),
        log_url: str | None = None,
        happened: str = "",
        **place: str,
    ) -> Self:
        """An event says that a try failed; the scheduler has nothing of it unless `look_says` says so."""
        kind, _, message = error.partition(": ")
        info = ErrorInfo(type=kind or None, message=message or None)
        return self._event("task.failed", happened, place, task_id=task_id, try_number=try_number, error=info,
                           map_index=map_index, retries=retries, tags=tags, log_url=log_url)  # fmt: skip

    def task_success(
        self, task_id: str, try_number: int = 1, *, map_index: int = UNMAPPED_INDEX, happened: str = "", **place: str
    ) -> Self:
        """An event says that a try succeeded."""
        return self._event("task.success", happened, place, task_id=task_id, try_number=try_number, map_index=map_index)

    def dagrun(self, state: str, *, happened: str = "", **place: str) -> Self:
        """An event says that the dagrun ended: 'success' or 'failed'."""
        return self._event(f"dagrun.{state}", happened, place, ended_at=self._when(happened))

    def event(self, event: Event) -> Self:
        """Any other event."""
        return self._say(event)

    def _event(self, kind: str, happened: str, place: dict[str, str], **fields: object) -> Self:
        deployment, dag_id, run_id = place_of(place)
        base = Event(kind, self._when(happened), source="story", deployment=deployment, dag_id=dag_id, run_id=run_id)
        return self._say(msgspec.structs.replace(base, **fields))

    def _when(self, happened: str) -> Instant:
        return self.began + parse_duration(happened) if happened else self.now

    def _say(self, event: Event) -> Self:
        return self._take_in(self.fact_of(event))

    def _take_in(self, fact: Fact | None) -> Self:
        if fact is not None and self._reading:
            self._give(fact)
            self._settle()
        elif fact is not None:
            self._backlog.append(fact)
        return self

    def fact_of(self, event: Event) -> Fact | None:
        """What is journalled of an event; None: nothing."""
        matched = met_rules(self._rules, event)
        return Fact(event, matched, self._rules.hash if matched else "")

    # -- what the scheduler has ---------------------------------------------------------------------------------------

    def look_says(
        self, task_id: str, state: str, try_number: int = 1, *, map_index: int = UNMAPPED_INDEX, dagrun: str = "",
        **place: str,
    ) -> Self:  # fmt: skip
        """From now on the scheduler has the task instance so; 'success' takes it off the list of what is not well."""
        self.scheduler.says(place_of(place), task_id, state, try_number, self.now, map_index=map_index, dagrun=dagrun)
        return self

    def fails(self, task_id: str, try_number: int = 1, **fields: object) -> Self:
        """The try fails for good: the scheduler has it so, and an event says it."""
        place = {name: str(fields[name]) for name in ("deployment", "dag_id", "run_id") if name in fields}
        index = fields.get("map_index", UNMAPPED_INDEX)
        self.look_says(task_id, "failed", try_number, map_index=index, **place)  # type: ignore[arg-type]
        return self.task_failed(task_id, try_number, **fields)  # type: ignore[arg-type]

    def dagrun_gone(self, **place: str) -> Self:
        """The scheduler does not know the dagrun any more."""
        self.scheduler.loses(place_of(place))
        return self

    def unreachable(self, deployment: str = "prod") -> Self:
        """Looks and sweeps are not answered from now on."""
        self._unreachable.add(deployment)
        return self

    def reachable(self, deployment: str = "prod") -> Self:
        """Looks are answered again."""
        self._unreachable.discard(deployment)
        return self

    # -- the feed and people ------------------------------------------------------------------------------------------

    def feed_stops(self) -> Self:
        """Nothing is read any more; what is said waits in the topic."""
        self._reading = False
        return self

    def feed_reads_on(self) -> Self:
        """The backlog is read in one go, then the head is reached."""
        backlog, self._backlog = self._backlog, []
        for waiting in backlog:
            self._give(waiting)
        self._reading = True
        self._mark()
        return self._settle()

    def freeze(self) -> Self:
        """Somebody presses the freeze."""
        return self._press("freeze")

    def thaw(self) -> Self:
        """Somebody presses it off."""
        return self._press("thaw")

    def answer_with(self, kind: str, outcome: FinalOutcome) -> Self:
        """From now on actions of this kind end so."""
        self._outcomes[kind] = outcome
        return self

    def outcome_of(self, action: Action) -> FinalOutcome | None:
        """What becomes of an action; None: it is delivered."""
        return self._outcomes.get(action.kind)

    def activate(self, spec: RuleSetSpec) -> Self:
        """Another rule set decides from here on."""
        rules = RuleSet(spec)
        self._rule_sets[rules.hash] = rules
        self._give(Activated(rules.hash))
        return self._settle()

    def _press(self, command: str) -> Self:
        self._give(Pressed("somebody", command))
        return self._settle()

    # -- what must come of it -----------------------------------------------------------------------------------------

    def expect_retry(self, *task_ids: str) -> Self:
        """The next action is one clear of exactly these tasks."""
        retry = self._take("airflow.retry").params
        assert isinstance(retry, Retry)  # noqa: S101
        self._check(sorted(task_ids), sorted(task.task_id for task in retry.tasks), "the retried tasks")
        return self

    def expect_change(self, kind: str, **fields: object) -> Self:
        """A change of this kind was wanted, with these values among its parameters."""
        params = self._take(kind).params
        self._check(fields, {name: getattr(params, name) for name in fields}, kind)
        return self

    def expect_page(self, event_action: str = "trigger") -> Self:
        """Somebody was paged once, or the page was resolved."""
        self._check(event_action, self._take("pagerduty.page").params.event_action, "the page")  # type: ignore[union-attr]
        return self

    def expect_message(self, *, edited: bool = False) -> Self:
        """A message was posted, or the one that was posted was edited."""
        self._check(edited, bool(self._take("slack.message").params.ref), "edited")  # type: ignore[union-attr]
        return self

    def expect_nothing(self) -> Self:
        """No action that was not consumed yet."""
        self._check([], [action.kind for action in self._unseen], "actions")
        return self

    def expect_reason(self, reason: Reason, times: int = 1) -> Self:
        """So often the story has given this reason."""
        self._check(times, sum(one.reason is reason for one in self.decisions), f"times {reason.value}")
        return self

    def expect_open(self, count: int) -> Self:
        """So many incidents are open, the daemon's own included."""
        self._check(count, sum(one.phase is not Phase.RESOLVED for one in self.incidents.values()), "open incidents")
        return self

    def _take(self, kind: str) -> Action:
        for number, action in enumerate(self._unseen):
            if action.kind == kind:
                return self._unseen.pop(number)
        raise self._wrong(f"expected {kind}, found {[action.kind for action in self._unseen]}")

    def _check(self, wanted: object, found: object, what: str) -> None:
        if wanted != found:
            raise self._wrong(f"{what}: expected {wanted}, found {found}")

    def _wrong(self, text: str) -> TimelineError:
        told = (
            f"{(one.at - self.began) / SECOND:7.1f}s {one.key} {one.reason.value}: {one.text}" for one in self.decisions
        )
        return TimelineError("\n  ".join([text, *told]))

    # -- machinery ----------------------------------------------------------------------------------------------------

    @property
    def _rules(self) -> RuleSet:
        return self._rule_sets[self.core.world.rule_set]

    def give(self, given: Input) -> Self:
        """Journal any input, and answer what it leads to."""
        self._give(given)
        return self._settle()

    def rule_set(self, content_hash: str) -> RuleSet:
        """A rule set of this story. Raises KeyError."""
        return self._rule_sets[content_hash]

    def _give(self, given: Input) -> None:
        first = self.core.position + 1
        inputs = (given, *self._extra(given))
        entries = [Entry(position, self.now, one) for position, one in enumerate(inputs, start=first)]
        self.journal += entries
        changes = self.core.apply(entries)
        self.changes.append(changes)
        self.decisions += changes.decisions
        if self._waits is not None:
            for key, timers in changes.timers.items():
                self._waits.set(key, dict(timers))
        self.incidents.update({incident.id: incident for incident in changes.incidents})
        cancelled = {action_id for action_id, _ in changes.cancels}
        self.actions += changes.actions
        self._waiting += changes.actions
        self._waiting = [action for action in self._waiting if action.id not in cancelled]

    def _mark(self) -> None:
        self._marked = self.now
        self._give(Watermark(FEED, "events", 0, 1, self.now, True))

    def _settle(self) -> Self:
        for _ in range(MOST_ROUNDS):
            due = self.core.next_due()
            if due is not None and due <= self.now:
                self._give(Tick())
            elif self._waiting:
                self._answer(self._waiting.pop(0))
            else:
                return self
        raise self._wrong("the core is spinning")

    def _answer(self, action: Action) -> None:
        params, down = action.params, action.target in self._unreachable
        error = "no answer" if down else ""
        if isinstance(params, Look):
            truth = None if down else self._truth(action.target, params)
            self._give(Looked(action.id, action.key, params.run_id, truth, error))
        elif isinstance(params, Sweep):
            self._give(Swept(action.id, action.target, params.since, self.now, (), error))
        elif isinstance(params, Survey):
            self._give(Surveyed(action.id, action.target, () if down else self.findings.get(action.target, ()), error))
        elif isinstance(params, LogTail):
            self._give(Tailed(action.id, action.key, self.log_tail, error))
        elif isinstance(params, DryRun):
            answer = Previewed(action.id, action.key, error=error) if down else self.previewed(action)
            if answer is not None:
                self._give(answer)
        else:
            self._unseen.append(action)
            self._give(Performed(action.id, action.key, action.kind, self._perform(action)))

    def _truth(self, deployment: str, look: Look) -> DagRunTruth:
        return self.scheduler.truth((deployment, look.dag_id, look.run_id), look.proving)

    def _perform(self, action: Action) -> FinalOutcome:
        outcome = self.outcome_of(action) or Delivered(ref=getattr(action.params, "ref", "") or action.id)
        params = action.params
        if isinstance(params, Retry | Rerun | Reprocess) and params.run_id and isinstance(outcome, Delivered):
            place = action.target, params.dag_id, params.run_id
            for task in params.tasks if isinstance(params, Retry) else self.scheduler.truth(place).tasks:
                self.scheduler.says(place, task.task_id, "running", task.try_number + 1, self.now,
                                    map_index=task.map_index, dagrun="running")  # fmt: skip
        return outcome
