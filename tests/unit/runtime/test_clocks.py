"""Clocks that differ and targets that are away: what the controller and the dispatcher make of time."""

from __future__ import annotations

import pytest

from remediator.model.action import Action, Guarantee, Page
from remediator.model.event import Event
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.inputs import Activated, Fact
from remediator.model.outcome import Outcome, RetryAfter
from remediator.model.policy import DeploymentPolicy, Mode, Policy
from remediator.model.time import DAY, MINUTE, SECOND, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.clock import DaemonClock
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData
from remediator.store.port import StepCommit, StoreError

START: Instant = 1_800_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> Instant:
        return self.now


async def test_timers_fire_though_another_process_has_a_clock_that_runs_ahead() -> None:
    clock = Clock()
    store = MemoryStore(MemoryData(), clock=clock)
    rules = RuleSet(RuleSetSpec((), Policy(deployments={"a": DeploymentPolicy("a", "f", Mode.ACT)})))
    await store.put_rule_set(rules.hash, encode_rule_set(rules.spec))
    await store.append([Activated(rules.hash)], clock.now)
    ahead = 10 * MINUTE
    controller = Controller("one", store, clock)
    await controller.run_once()
    failure = Event("task.failed", START, deployment="a", dag_id="d", run_id="r", task_id="x", try_number=1)
    await store.append([Fact(failure)], clock.now + ahead)
    for _ in range(10):
        clock.now += SECOND
        await store.append([Fact(Event("dagrun.failed", START))], clock.now + ahead)  # concerns nobody, tells the time
        while await controller.run_once():
            pass
    claims = await store.claim("d", clock.now + ahead, MINUTE, 10)
    assert [one.action.kind for one in claims if one.action.kind == "airflow.look"]


class Away:
    guarantee = Guarantee.KEYED

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        return RetryAfter(5 * SECOND, "away")


async def test_the_tries_of_one_action_outlast_an_outage_of_twenty_five_minutes() -> None:
    clock = Clock()
    store = MemoryStore(MemoryData(), clock=clock)
    dispatcher = Dispatcher("d", store, clock, {"pagerduty.page": Away()}, {})
    incident = Incident("i", 1, "t", "warning", "a", Phase.FIRING, Handling.NONE, START, START)
    page = Page(incident, "trigger", "i-1")
    action = Action("p", "l", "dag:a/d", "pd", page, START, START + 30 * MINUTE)
    until = START + 25 * MINUTE
    await _commit(store, action)
    while clock.now < until:
        for job in await dispatcher.claim():
            await dispatcher.work(job)
        clock.now += SECOND
    (row,) = await store.actions("", 10)
    assert row.state == "pending"


async def _commit(store: MemoryStore, action: Action) -> None:
    lease = await store.acquire_lease("one", MINUTE)
    assert lease is not None
    await store.commit_step(lease, StepCommit(position=0, at=START, actions=[action]))


class SharedStore(MemoryStore):
    """As a database that several processes share: it has a clock of its own."""

    async def now(self) -> Instant | None:
        return self._clock()


class FailingStore(MemoryStore):
    async def now(self) -> Instant | None:
        raise StoreError("gone")


async def test_a_machine_whose_clock_is_a_day_ahead_follows_the_store() -> None:
    own = Clock()
    steady = Clock()
    clock = DaemonClock(lambda: own.now + DAY, steady)
    store = SharedStore(MemoryData(), clock=own)
    assert clock() == START + DAY
    await clock.follow(store)
    assert (clock(), clock.wrong_by) == (START, DAY)
    own.now += MINUTE
    steady.now += MINUTE
    assert clock() == START + MINUTE


async def test_a_clock_that_is_set_meanwhile_moves_nothing() -> None:
    machine, steady, own = Clock(), Clock(), Clock()
    clock = DaemonClock(machine, steady)
    await clock.follow(SharedStore(MemoryData(), clock=own))
    machine.now += DAY
    steady.now += SECOND
    assert clock() == START + SECOND


async def test_without_a_store_that_knows_better_the_machine_is_believed() -> None:
    machine = Clock()
    clock = DaemonClock(machine, Clock())
    await clock.follow(MemoryStore(MemoryData(), clock=Clock()))
    machine.now += DAY
    assert clock() == START + DAY


async def test_while_the_store_is_away_the_clock_goes_on() -> None:
    steady = Clock()
    clock = DaemonClock(Clock(), steady)
    await clock.follow(SharedStore(MemoryData(), clock=Clock()))
    with pytest.raises(StoreError):
        await clock.follow(FailingStore(MemoryData(), clock=Clock()))
    steady.now += SECOND
    assert clock() == START + SECOND
