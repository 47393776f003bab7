"""The executors of the simulation: looks, sweeps and clears on the scheduler, pages and messages to people.

They fail as the network does: before acting, after acting, or for a while. Retries are judged by the real verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from remediator.actions.airflow import verdict
from remediator.actions.airflow.errors import Lost, NotSent
from remediator.actions.airflow.rows import TaskInstancePage
from remediator.actions.airflow.verdict import Clear, Found, LookAgain
from remediator.engine.state import task_key
from remediator.model.action import Action, DryRun, Guarantee, LogTail, Look, Message, Page, Retry, RetryTarget, Sweep
from remediator.model.inputs import Answer, Looked, Previewed, Swept, Tailed
from remediator.model.outcome import NOT_DONE, Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import MINUTE, SECOND, Instant
from remediator.testing.simulation.driver import switch
from remediator.testing.simulation.scheduler import Scheduler


def name_of(target: RetryTarget) -> str:
    """'t1', or 't1[3]'."""
    return task_key(target.task_id, target.map_index)


class Network:
    """When calls fail. down: deployments and receivers that do not answer now."""

    def __init__(self, random: Random, rate: float) -> None:
        self._random = random
        self.rate = rate
        self.down: set[str] = set()

    def fails(self, target: str) -> bool:
        """Does this one-way trip fail?"""
        return target in self.down or self._random.random() < self.rate


class SimulatedLooks:
    """Questioner of 'airflow.look', 'airflow.sweep', 'airflow.log' and 'preview'."""

    def __init__(
        self, schedulers: dict[str, Scheduler], network: Network, looks: Counter[tuple[str, str, str, int]]
    ) -> None:
        """looks: reads by deployment, dagrun and minute: one for all that ask at once, as the real one does."""
        self._schedulers = schedulers
        self._network = network
        self._looks = looks

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        await switch("look.asked")
        dagruns = {(one.target, look.dag_id, look.run_id) for one in actions if isinstance(look := one.params, Look)}
        self._looks.update((*dagrun, now // MINUTE) for dagrun in dagruns)
        answers = [self._answer(action, now) for action in actions]
        await switch("look.answered")
        return answers

    def _answer(self, action: Action, now: Instant) -> Answer:
        scheduler, failed = self._schedulers[action.target], self._network.fails(action.target)
        error = "no answer" if failed else ""
        if isinstance(action.params, Look):
            dag_id, run_id = action.params.dag_id, action.params.run_id
            truth = None if failed else scheduler.truth(dag_id, run_id, action.params.proving)
            return Looked(action.id, action.key, run_id, truth, error)
        if isinstance(action.params, LogTail):
            return Tailed(action.id, action.key, "" if failed else "the end of a log", error)
        if isinstance(action.params, DryRun):
            return Previewed(action.id, action.key, error=error) if failed else _previewed(scheduler, action)
        assert isinstance(action.params, Sweep)  # noqa: S101
        since = action.params.since
        found = () if failed else scheduler.changed_since(since)
        return Swept(action.id, action.target, since, now, found, error)


def _previewed(scheduler: Scheduler, action: Action) -> Previewed:
    """What is still failed would be cleared; if nothing is, somebody was faster."""
    change = action.params.change if isinstance(action.params, DryRun) else None
    if not isinstance(change, Retry):
        return Previewed(action.id, action.key, "runs a dagrun again", 1)
    rows = [scheduler.row(change.dag_id, change.run_id, name_of(target)) for target in change.tasks]
    count = sum(row is not None and row.state == "failed" for row in rows)
    return Previewed(action.id, action.key, f"clears {count}", count, "" if count else "somebody was faster")


class SimulatedRetries:
    """Executor of 'airflow.retry': the steps of the real one over the simulated API."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, schedulers: dict[str, Scheduler], network: Network, clock: Callable[[], Instant]) -> None:
        self._schedulers = schedulers
        self._network = network
        self._clock = clock

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        retry = action.params
        assert isinstance(retry, Retry)  # noqa: S101
        looked_at = self._clock()
        found = await self.look(action, retry)
        if isinstance(found, NotSent):
            return verdict.look_failed(found, uncertain=uncertain)
        decided = self.judge(found, action, retry, uncertain=uncertain)
        if not isinstance(decided, Clear):
            return decided
        await switch("clear.planned")
        if self._clock() - looked_at > verdict.LOOK_VALID:
            return verdict.look_too_old(uncertain=uncertain)
        asked_at = self._clock()
        await switch("clear.asked")
        if self._clock() - asked_at > verdict.SEND_VALID:
            return RetryAfter(verdict.LATER, "stood still before the call", uncertain=uncertain)
        sent = self._send(action, retry, decided, uncertain)
        await switch("clear.answered")
        if not isinstance(sent, LookAgain):
            return sent
        again = await self.look(action, retry)
        return verdict.after(again, sent, action.id, retry)

    async def prove(self, action: Action) -> Outcome:
        """What became of it; nothing is sent."""
        retry = action.params
        assert isinstance(retry, Retry)  # noqa: S101
        found = await self.look(action, retry)
        if isinstance(found, NotSent):
            return verdict.look_failed(found, uncertain=True)
        decided = verdict.before(found, action.id, retry, uncertain=True)
        return Refused(NOT_DONE) if isinstance(decided, Clear) else decided

    def judge(self, found: list[Found], action: Action, retry: Retry, *, uncertain: bool) -> Clear | Outcome:
        """Decides whether to clear; a deliberate fault replaces it."""
        return verdict.before(found, action.id, retry, uncertain=uncertain)

    async def look(self, action: Action, retry: Retry) -> list[Found] | NotSent:
        await switch("retry.look")
        if self._network.fails(action.target):
            return NotSent("no answer")
        scheduler = self._schedulers[action.target]
        return [(target, scheduler.row(retry.dag_id, retry.run_id, name_of(target))) for target in retry.tasks]

    def _send(self, action: Action, retry: Retry, clear: Clear, uncertain: bool) -> Outcome | LookAgain:
        if self._network.fails(action.target):
            return verdict.refused(NotSent("no answer"), uncertain=uncertain)
        scheduler = self._schedulers[action.target]
        tasks = [name_of(target) for target in clear.tasks]
        rows = scheduler.clear(retry.dag_id, retry.run_id, tasks, clear.note, action.id)
        if self._network.fails(action.target):
            return verdict.refused(Lost("timed out"), uncertain=uncertain)
        return verdict.answered(TaskInstancePage(tuple(rows)), clear, action.id, retry)


class People:
    """Executor of pages (keyed) and messages (provable): what was received, and how often."""

    def __init__(self, network: Network, clock: Callable[[], Instant], guarantee: Guarantee) -> None:
        self.guarantee = guarantee
        self.triggered: dict[str, list[Instant]] = {}
        """dedup key -> when it was received; the pager makes one page of each key."""
        self.resolved: dict[str, Instant] = {}
        self.rang: dict[str, set[str]] = {}
        """receiver -> dedup keys that it was triggered with."""
        self.texts: dict[str, str] = {}
        """incident -> what was last said of it."""
        self.messages: list[tuple[str, str]] = []
        """(action id, incident id) of each posted message."""
        self.shown: dict[str, str] = {}
        """message -> the action whose text it shows."""
        self._network = network
        self._clock = clock

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        await switch("tell.asked")
        target = action.target or "people"
        if self._network.fails(target):
            return RetryAfter(5 * SECOND, "no answer", uncertain=uncertain)
        outcome = self._take(action, uncertain)
        await switch("tell.answered")
        if self._network.fails(target):
            return RetryAfter(5 * SECOND, "timed out", uncertain=True)
        return outcome

    async def prove(self, action: Action) -> Outcome:
        """As the real ones do: what ends or edits is sent, what wakes people is not."""
        params = action.params
        if isinstance(params, Page):
            if params.event_action == "resolve":
                return await self.perform(action, uncertain=True)
            return Unknown("nobody can tell whether this was sent")
        assert isinstance(params, Message)  # noqa: S101
        if params.ref:
            return await self.perform(action, uncertain=True)
        await switch("tell.proved")
        if self._network.fails(action.target or "people"):
            return RetryAfter(5 * SECOND, "no answer", uncertain=True)
        posted = any(action_id == action.id for action_id, _ in self.messages)
        return Delivered(action.id) if posted else Refused(NOT_DONE)

    def _take(self, action: Action, uncertain: bool) -> Outcome:
        params = action.params
        if isinstance(params, Page | Message):
            self.texts[params.incident.id] = params.incident.status
        if isinstance(params, Page):
            known = self.triggered if params.event_action == "trigger" else None
            if known is not None:
                known.setdefault(params.dedup_key, []).append(self._clock())
                self.rang.setdefault(action.target, set()).add(params.dedup_key)
            else:
                self.resolved[params.dedup_key] = self._clock()
            return Delivered(params.dedup_key)
        assert isinstance(params, Message)  # noqa: S101
        if params.ref:
            self.shown[params.ref] = action.id
            return Delivered(params.ref)
        if uncertain and any(action_id == action.id for action_id, _ in self.messages):
            return Delivered(action.id)
        self.shown[action.id] = action.id
        self.messages.append((action.id, params.incident.id))
        return Delivered(action.id)
