"""The freeze against whoever stood still: it holds from the moment in which it was pressed."""

from __future__ import annotations

from remediator.model.action import Action, Guarantee, Retry
from remediator.model.inputs import Activated, Input, Pressed
from remediator.model.outcome import Delivered, Outcome
from remediator.model.policy import Policy
from remediator.model.time import SECOND, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData
from remediator.store.port import StepCommit

NOW: Instant = 1_800_000_000 * SECOND


async def test_a_late_commit_of_a_thaw_does_not_lift_a_newer_freeze() -> None:
    data = MemoryData()

    async def press_while_it_commits(point: str) -> None:
        if point == "commit_step:before":
            await MemoryStore(data, clock=lambda: NOW).append([Pressed("somebody", "freeze")], NOW, frozen=True)

    spec = RuleSetSpec((), Policy())
    store = MemoryStore(data, clock=lambda: NOW)
    await store.put_rule_set(RuleSet(spec).hash, encode_rule_set(spec))
    given: list[Input] = [Activated(RuleSet(spec).hash), Pressed("somebody", "thaw")]
    await store.append(given, NOW, frozen=False)
    controller = Controller("one", MemoryStore(data, clock=lambda: NOW, pause=press_while_it_commits), lambda: NOW)
    assert await controller.run_once()
    assert data.position == 2
    assert data.frozen


class Executor:
    """Counts its calls."""

    guarantee = Guarantee.PROVABLE

    def __init__(self) -> None:
        self.calls = 0

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        self.calls += 1
        return Delivered()


async def test_a_dispatcher_that_stood_still_asks_again() -> None:
    data, now, executor = MemoryData(), [NOW], Executor()
    stalls = [11 * SECOND]

    async def stand_still(point: str) -> None:
        if point == "confirm:after" and stalls:
            now[0] += stalls.pop()

    store = MemoryStore(data, clock=lambda: now[0], pause=stand_still)
    lease = await store.acquire_lease("one", SECOND)
    assert lease is not None
    retry = Action("a", "lane", "dag:prod/sales", "prod", Retry("sales", "r1", ()), NOW, NOW + 600 * SECOND)
    await store.commit_step(lease, StepCommit(0, NOW, actions=[retry]))
    dispatcher = Dispatcher("one", store, lambda: now[0], {"airflow.retry": executor}, {})
    (job,) = await dispatcher.claim()
    await dispatcher.work(job)
    assert executor.calls == 0
    assert await dispatcher.claim() == []  # until the claim has run out
    now[0] += 90 * SECOND
    (job,) = await dispatcher.claim()
    await dispatcher.work(job)
    assert executor.calls == 1
    assert data.outbox["a"].state == "delivered"
