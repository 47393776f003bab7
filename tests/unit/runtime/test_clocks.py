"""Clocks that differ and targets that are away: what the controller and the dispatcher make of time."""

from __future__ import annotations

import pytest

from remediator.model.action import Action, Guarantee, Page
from remediator.model.event import Event
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.inputs import Activated, Fact
from remediator.model.outcome import Outcome, RetryAfter
from remediator.model.policy import DeploymentPolicy, Mode, Policy
from remediator.model.time import DAY, MINUTE, SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.clock import JUMP, DaemonClock
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


class Alone:
    """A machine whose store has no clock: time that passes, and by how much its clock was set off it."""

    def __init__(self) -> None:
        self.steady = Clock()
        self.off: Duration = 0
        self.clock = DaemonClock(lambda: self.steady.now + self.off, self.steady)

    def passes(self, seconds: int) -> list[Duration]:
        """How far the daemon's clock is off the time that has passed, second by second."""
        found = []
        for _ in range(seconds):
            self.steady.now += SECOND
            found.append(self.clock() - self.steady.now)
        return found


@pytest.fixture
async def alone() -> Alone:
    found = Alone()
    await found.clock.follow(MemoryStore(MemoryData(), clock=Clock()))
    return found


@pytest.mark.parametrize("off", [JUMP, SECOND, -SECOND, -DAY])
def test_without_a_store_that_knows_better_the_machine_is_believed(alone: Alone, off: Duration) -> None:
    alone.off = off
    assert alone.clock() == START + off
    assert alone.passes(2) == [off, off]
    assert alone.clock.wrong_by == 0


def test_a_clock_that_is_set_ahead_for_a_moment_moves_nothing(alone: Alone) -> None:
    alone.off = DAY
    assert alone.passes(29) == [0] * 29
    assert alone.clock.wrong_by == DAY
    alone.off = 0
    assert alone.passes(60) == [0] * 60
    alone.off = DAY  # once more, as long: what lasted before does not count
    assert alone.passes(29) == [0] * 29


def test_a_clock_that_stays_ahead_is_believed_after_half_a_minute(alone: Alone) -> None:
    alone.off = DAY
    assert alone.passes(30) == [0] * 30
    assert alone.passes(2) == [DAY, DAY]
    assert alone.clock.wrong_by == 0


def test_a_clock_that_was_set_back_is_believed_at_once_when_it_is_right_again(alone: Alone) -> None:
    alone.passes(1)
    alone.off = -DAY
    assert alone.passes(40) == [-DAY] * 40
    alone.off = 0
    assert alone.passes(2) == [0, 0]


def test_a_clock_that_keeps_jumping_is_believed_once_it_stays(alone: Alone) -> None:
    for off in (DAY, 2 * DAY, DAY):
        alone.off = off
        assert alone.passes(20) == [0] * 20
    assert alone.passes(11) == [0] * 10 + [DAY]


def test_a_clock_that_is_slewed_is_believed_all_the_way(alone: Alone) -> None:
    for _ in range(100):
        alone.off += 5 * SECOND
        assert alone.passes(1) == [alone.off]


async def test_the_store_is_followed_though_the_machine_has_just_been_set_ahead(alone: Alone) -> None:
    alone.off = DAY
    alone.passes(1)
    own = Clock()
    own.now = alone.steady.now + MINUTE
    await alone.clock.follow(SharedStore(MemoryData(), clock=own))
    assert alone.passes(40) == [MINUTE] * 40


async def test_while_the_store_is_away_the_clock_goes_on() -> None:
    steady = Clock()
    clock = DaemonClock(Clock(), steady)
    await clock.follow(SharedStore(MemoryData(), clock=Clock()))
    with pytest.raises(StoreError):
        await clock.follow(FailingStore(MemoryData(), clock=Clock()))
    steady.now += SECOND
    assert clock() == START + SECOND
