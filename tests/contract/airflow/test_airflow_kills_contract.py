"""A process that is killed while one of its calls is out, before an Airflow that counts: the stand-in and a real one.

The unit tests kill at every call of every change; here are those whose guarantee rests on what Airflow itself does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from airflow_cases import DAG_ID, DAILY_DAG_ID, STAND_IN_DAILY, Airflow, clock
from airflow_swallower import Swallower, swallowing

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.executors import AirflowExecutor, executors
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.action import Action, Backfill, CancelBackfill, Change, Rerun, Retry, RetryTarget, Trigger
from remediator.model.outcome import Delivered, Outcome, Unknown
from remediator.model.secret import Secret
from remediator.model.time import DAY
from tests.airflow.patient import found, performed

DAILY = DAILY_DAG_ID or STAND_IN_DAILY
ARRIVES = pytest.mark.parametrize("arrives", [False, True], ids=["lost on its way", "acted on"])
TOKEN, LOOK = 0, 1
BOUND_S = 60.0


@asynccontextmanager
async def client_at(airflow: Airflow, url: str) -> AsyncIterator[AirflowClient]:
    settings = AirflowSettings(
        deployment="one",
        base_url=url,
        api_version=airflow.api,
        username=airflow.username,
        password=Secret(airflow.password),
    )
    client = AirflowClient(settings)
    try:
        yield client
    finally:
        await client.close()


async def killed(airflow: Airflow, action: Action, at: int, *, arrives: bool) -> Outcome:
    """Kill it while the request of this number is out; what its successor makes of it.

    at: counted with the request for a token, which v1 does without: there it is the look.
    """
    at = max(0, at - (airflow.api == "v1"))
    async with swallowing(airflow.url, at, arrives=arrives) as between, client_at(airflow, between.url) as client:
        await _until_swallowed(between, executors({"one": client}), action)
    return await performed(executors({"one": airflow.client})[action.kind], action, uncertain=True)


async def _until_swallowed(between: Swallower, made: Mapping[str, AirflowExecutor], action: Action) -> None:
    task = asyncio.ensure_future(made[action.kind].perform(action, uncertain=False))
    waiting = asyncio.ensure_future(between.swallowed.wait())
    await asyncio.wait((task, waiting), timeout=BOUND_S, return_when=asyncio.FIRST_COMPLETED)
    assert between.swallowed.is_set(), f"{action.kind} ended before: {task}"
    task.cancel()
    waiting.cancel()


def action_of(params: Change) -> Action:
    return Action(f"id{time.time_ns()}", "lane", "key", "one", params, clock(), clock() + DAY)


@ARRIVES
@pytest.mark.parametrize("at", [TOKEN, LOOK, 3], ids=["token", "look", "call"])
async def test_trigger(either: Airflow, at: int, arrives: bool) -> None:
    airflow = either
    run_id = f"remediator__{time.time_ns()}"
    outcome = await killed(airflow, action_of(Trigger(DAG_ID, run_id, {"day": 1})), at, arrives=arrives)
    assert isinstance(outcome, Delivered)
    assert outcome.ref == run_id
    assert await airflow.asked("trigger_dag_run", run_id=run_id) == 1
    answer = await airflow.http.get(airflow.at(f"dags/{DAG_ID}/dagRuns"), params={"order_by": "-id", "limit": 9})
    assert [run["dag_run_id"] for run in answer.json()["dag_runs"]].count(run_id) == 1


async def test_retry(either: Airflow) -> None:
    airflow = either
    run_id = await airflow.failed_run()
    row = await found(lambda: airflow.client.task_instance(DAG_ID, run_id, "pull", -1), "pull")
    assert row is not None
    target = RetryTarget("pull", row.try_number, row.map_index, row.id)
    wanted = action_of(Retry(DAG_ID, run_id, (target,), "x", "dagrun", max_affected=3))
    outcome = await killed(airflow, wanted, 5, arrives=True)
    # The note of v1 takes a call of its own, which was never made: nobody can know any more, and nobody clears again.
    assert isinstance(outcome, Unknown if airflow.api == "v1" else Delivered)
    assert await airflow.asked("post_clear_task_instances", run_id=run_id) == 1
    if airflow.api != "v1":
        assert (await airflow.task(DAG_ID, run_id, "merge"))["note"] == f"remediator:{wanted.id} x"


async def test_rerun(either: Airflow) -> None:
    airflow = either
    run_id = await airflow.failed_run()
    wanted = action_of(Rerun(DAG_ID, run_id, "x"))
    outcome = await killed(airflow, wanted, 3, arrives=True)
    assert isinstance(outcome, Unknown if airflow.api == "v1" else Delivered)
    assert await airflow.asked("clear_dag_run", run_id=run_id) == 1
    assert (await airflow.task(DAG_ID, run_id, "pull"))["max_tries"] == 3


@ARRIVES
@pytest.mark.parametrize("at", [TOKEN, LOOK, 2], ids=["token", "look", "call"])
async def test_backfill(daily_airflow: Airflow, at: int, arrives: bool) -> None:
    airflow = daily_airflow
    since = clock() // DAY * DAY - (200 + 100 * at + 50 * arrives) * DAY
    until = since + 40 * DAY  # long enough not to be over before it is cancelled
    known = {row.id for row in await found(lambda: airflow.client.backfills(DAILY), "the backfills")}
    outcome = await killed(airflow, action_of(Backfill(DAILY, since, until, max_active=1)), at, arrives=arrives)
    assert isinstance(outcome, Delivered), outcome
    rows = await found(lambda: airflow.client.backfills(DAILY), "the backfills")
    assert [str(row.id) for row in rows if row.id not in known] == [outcome.ref]
    cancel = action_of(CancelBackfill(DAILY, int(outcome.ref)))
    assert isinstance(await killed(airflow, cancel, 2, arrives=arrives), Delivered)
    (row,) = [row for row in await found(lambda: airflow.client.backfills(DAILY), "them") if str(row.id) == outcome.ref]
    assert row.completed_at is not None
