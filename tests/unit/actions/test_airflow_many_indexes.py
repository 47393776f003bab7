"""A clear of hundreds of indexes of a mapped task: few calls, so that the look is fresh when the clear is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.demo.fleet.faults import Kind
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.state import DagRun
from remediator.model.action import Action, Retry
from remediator.model.outcome import Delivered, Refused, RetryAfter
from tests.unit.actions.airflow_changes import HOUR, ME, NOW, RUN, Place, action, standing, target

MANY = 300


@pytest.fixture(params=["v2", "v1"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with standing(request.param) as found:
        found.state.add_dag(DagSpec("wide", (TaskSpec("load", ("total",), 0, indexes=MANY), TaskSpec("total"))))
        found.client(api_version=request.param)
        yield found


def failed(place: Place) -> DagRun:
    run = place.state.add_run("wide", RUN, NOW - HOUR)
    for task in run.tasks.values():
        task.state, task.try_number = ("failed", 1) if task.task_id == "load" else ("upstream_failed", 0)
    place.state.set_run_state(run, "failed", NOW - HOUR)
    return run


def retry(place: Place, run: DagRun, most: int = 0) -> Action:
    version = place.clients[0].settings.api_version
    tasks = [target(task) for task in run.tasks.values() if task.task_id == "load"]
    if version == "v1":  # names attempts by their numbers
        tasks = [type(one)(one.task_id, one.try_number, one.map_index) for one in tasks]
    return action(Retry("wide", RUN, tuple(tasks), "lost", max_affected=most))


async def perform(place: Place, wanted: Action, **changes: object) -> object:
    version = place.clients[0].settings.api_version
    return await place.perform(wanted, api_version=version, **changes)


async def test_they_are_cleared_with_few_calls(place: Place) -> None:
    run = failed(place)
    assert isinstance(await perform(place, retry(place, run)), Delivered)
    assert sum(place.state.calls.values()) - place.state.calls["set_note"] < 20
    assert place.state.calls["get_task"] == 0
    assert {task.state for task in run.tasks.values()} == {None}


async def test_more_than_may_be_touched_is_found_with_few_calls(place: Place) -> None:
    refused = await perform(place, retry(place, failed(place), most=50))
    assert isinstance(refused, Refused)
    assert refused.affects >= MANY
    assert sum(place.state.calls.values()) < 20
    assert place.state.clears == 0


async def test_what_moved_on_is_left_alone_and_a_note_is_found(place: Place) -> None:
    run = failed(place)
    wanted = retry(place, run)
    for index in range(MANY):
        run.tasks["load", index].note = f"anna\nremediator:{ME} lost" if index else "anna"
        run.tasks["load", index].state = "running"
    assert await perform(place, wanted, page_size=7) == Delivered(ref=ME, detail="found by its note", left=("load[0]",))


async def test_more_than_a_look_may_read_is_refused(place: Place) -> None:
    refused = await perform(place, retry(place, failed(place)), page_size=2, max_pages=2)
    assert isinstance(refused, Refused)
    assert "more than" in refused.reason


async def test_an_airflow_that_cannot_be_asked_so_is_asked_one_by_one(place: Place) -> None:
    run = failed(place)
    place.fails_with(Kind.STATUS, "list_batch", status=400, detail="Unknown field", times=1)
    assert isinstance(await perform(place, retry(place, run)), Delivered)
    assert place.state.calls["get_task"] == MANY


async def test_a_deployment_that_is_away_is_asked_again_later(place: Place) -> None:
    place.fails_with(Kind.STATUS, "list_batch", status=500, times=9)
    assert isinstance(await perform(place, retry(place, failed(place))), RetryAfter)
    assert place.state.calls["get_task"] == 0
