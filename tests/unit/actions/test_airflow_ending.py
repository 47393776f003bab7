"""A retry meets the scheduler while that ends the dagrun: it waits, and clears what then stays cleared and runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.ending import SETTLED, may_be_ending
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.rows import DagRunRow
from remediator.actions.airflow.settings import AirflowSettings
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.fleet.plan import DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.demo.fleet.world import World
from remediator.model.action import Action, Retry, RetryTarget
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter
from remediator.model.secret import Secret
from remediator.model.time import HOUR, MINUTE, SECOND, Instant, format_instant

START: Instant = 1_800_000_000 * SECOND
RUN = "r1"
RESET = Failure("ConnectionResetError", "connection reset by peer")
WAIT = RetryAfter(3 * SECOND, "the scheduler is about to end the dagrun")
DAGS = (
    DagSpec("alone", (TaskSpec("pull"),)),
    DagSpec("beside", (TaskSpec("pull"), TaskSpec("long"))),
)
PLANS = {
    "pull": Plan(RESET, heals_after_clears=1, duration=SECOND, announce=0),
    "long": Plan(duration=10 * MINUTE),
}


@dataclass
class Place:
    """A scheduler that takes a minute to end a dagrun, its API, and a client of that."""

    world: World
    api: FleetApi
    client: AirflowClient

    def failed(self, dag_id: str) -> DagRun:
        """One whose task has just failed for good."""
        self.world.run_dag(dag_id, RUN, START)
        self.world.advance(START + 2 * SECOND)
        run = self.world.state.runs[dag_id, RUN]
        assert (run.state, pull_of(run).state) == ("running", "failed")
        return run

    async def retry(self, run: DagRun, *, uncertain: bool = False) -> Outcome:
        row = await self.client.task_instance(run.dag_id, run.run_id, "pull", -1)
        assert row is not None
        params = Retry(run.dag_id, run.run_id, (RetryTarget("pull", 1, instance_id=row.id),))
        action = Action("a1", "lane", "key", "prod", params, 0, START + HOUR)
        return await RetryExecutor({"prod": self.client}).perform(action, uncertain=uncertain)


@pytest.fixture(params=["v2", "v1"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    state = FleetState()
    for dag in DAGS:
        state.add_dag(dag)
    world = World(state, lambda run, task: PLANS[task.task_id], ending=MINUTE)
    api = FleetApi(state, clock=lambda: START + 2 * SECOND, clear_takes_s=0.0, api=request.param)
    async with serving(api) as url:
        settings = AirflowSettings(
            deployment="prod", base_url=url, api_version=request.param, username="admin", password=Secret("admin"),
            read_tries=1,
        )  # fmt: skip
        client = AirflowClient(settings)
        yield Place(world, api, client)
        await client.close()


def pull_of(run: DagRun) -> TaskInstance:
    return run.tasks["pull", -1]


async def test_it_waits_until_the_dagrun_has_ended_and_then_it_runs(place: Place) -> None:
    run = place.failed("alone")
    for uncertain in (False, True):
        assert await place.retry(run, uncertain=uncertain) == RetryAfter(WAIT.after, WAIT.reason, uncertain=uncertain)
    assert place.world.state.clears == 0

    place.world.advance(START + 2 * MINUTE)
    assert run.state == "failed"
    assert isinstance(await place.retry(run), Delivered)
    place.world.advance(START + 10 * MINUTE)
    assert (run.state, pull_of(run).state) == ("success", "success")


async def test_what_fails_beside_something_in_flight_is_cleared_at_once(place: Place) -> None:
    run = place.failed("beside")
    assert isinstance(await place.retry(run), Delivered)
    place.world.advance(START + MINUTE)
    assert (run.state, pull_of(run).state) == ("running", "success")


async def test_a_dagrun_that_the_scheduler_leaves_running_is_waited_for_no_longer(place: Place) -> None:
    """A task instance that waits for an earlier dagrun has no state, and may wait for hours."""
    run = place.failed("beside")
    run.tasks["long", -1].state = None
    assert await place.retry(run) == WAIT
    assert pull_of(run).end_date is not None
    run.examined_at = pull_of(run).end_date + SETTLED
    assert isinstance(await place.retry(run), Delivered)


async def test_it_costs_one_request_or_two(place: Place) -> None:
    run = place.failed("beside")
    await place.retry(run)
    assert (place.api.state.calls["get_run"], place.api.state.calls["list_batch"]) == (1, 1)
    run.state = "failed"
    pull_of(run).state = "failed"
    await place.retry(run)
    assert (place.api.state.calls["get_run"], place.api.state.calls["list_batch"]) == (1, 1), "found by its note"


@pytest.mark.parametrize("route", ["get_run", "list_batch"])
async def test_while_nobody_can_tell_nothing_is_cleared(place: Place, route: str) -> None:
    run = place.failed("alone")
    place.api.faults.add(Fault(Kind.STATUS, route, status=503, times=2))
    assert isinstance(outcome := await place.retry(run), RetryAfter)
    assert "HTTP 503" in outcome.reason
    assert isinstance(await place.retry(run, uncertain=True), RetryAfter)
    assert place.world.state.clears == 0
    place.api.faults.add(Fault(Kind.STATUS, route, status=403, detail="no"))
    assert isinstance(await place.retry(run), Refused)


def test_only_a_running_dagrun_may_be_ending() -> None:
    for state in ("queued", "failed", "success"):
        assert not may_be_ending(DagRunRow("r", "d", state))
    assert not may_be_ending(None)
    assert may_be_ending(DagRunRow("r", "d", "running"))


@pytest.mark.parametrize(
    ("passed", "is_ending"), [(None, True), (-1, True), (0, True), (SETTLED - 1, True), (SETTLED, False)]
)
def test_until_the_scheduler_has_left_it_running_for_long(passed: int | None, is_ending: bool) -> None:
    looked_at = None if passed is None else format_instant(START + passed)
    run = DagRunRow("r", "d", "running", last_scheduling_decision=looked_at)
    failed_at = (format_instant(START - HOUR), None, format_instant(START))
    assert may_be_ending(run, failed_at) is is_ending


def test_without_the_time_of_a_failure_it_may_always_be_ending() -> None:
    run = DagRunRow("r", "d", "running", last_scheduling_decision=format_instant(START))
    assert may_be_ending(run, (None, "soon"))
