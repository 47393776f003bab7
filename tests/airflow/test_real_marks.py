"""What the event log of a real Airflow tells of a person who marks something: the brake of `marked` depends on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from remediator.actions.airflow import marked
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.action import Action, Change, Rerun, Retry, RetryTarget
from remediator.model.outcome import Outcome, Refused
from remediator.model.secret import Secret
from remediator.model.time import DAY, Instant
from tests.airflow.airflow_api import AirflowApi, run_path
from tests.airflow.eventually import eventually
from tests.airflow.patient import admitted, found, performed
from tests.airflow.real_airflow import PASSWORD, PERSON, USERNAME, RealAirflow

pytestmark = pytest.mark.airflow

LONG, MAPPED = "long_job", "partition_load"
BULK = "/api/v2/dags/~/dagRuns/~/taskInstances"
RUNS = f"/api/v2/dags/{LONG}/dagRuns"
ONE_BY_ONE = ("failed", "success")
SEVERAL = ("dagrun", "dagruns", "task instances")


@pytest.fixture
async def client(real_airflow: RealAirflow) -> AsyncIterator[AirflowClient]:
    settings = AirflowSettings(
        deployment="real", base_url=real_airflow.url, username=USERNAME, password=Secret(PASSWORD)
    )
    made = AirflowClient(settings)
    yield made
    await made.close()


@pytest.fixture
async def person(real_airflow: RealAirflow) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody else than remediator, with a browser."""
    async with await admitted(real_airflow.url, PERSON, PASSWORD) as http:
        yield http


@pytest.fixture
async def running(api: AirflowApi) -> dict[str, str]:
    """Dagruns by what will be done with them, each with a task that runs."""
    runs = {name: await api.trigger(LONG) for name in (*ONE_BY_ONE, *SEVERAL)}
    await asyncio.gather(*(is_in(api, "running", LONG, run_id, "work") for run_id in runs.values()))
    return runs


async def test_it_tells_who_marked_which_task_instance_as_what(
    running: dict[str, str], api: AirflowApi, person: httpx.AsyncClient, client: AirflowClient
) -> None:
    began = clock()
    for state in ONE_BY_ONE:
        await mark(person, f"{run_path(LONG, running[state])}/taskInstances/work", {"new_state": state, "note": state})

    for state in ONE_BY_ONE:
        run_id = running[state]
        (line,) = of_run(await logged(client, LONG, began), run_id)
        assert (line.event, line.owner, line.task_id) == ("patch_task_instance", PERSON, "work")
        assert json.loads(line.extra or "") == {"new_state": state, "note": state, "method": "PATCH"}
        await is_in(api, state, LONG, run_id, "work")
    assert await wish(client, LONG, running["success"], "work") == ""
    assert (await wish(client, LONG, running["failed"], "work")).startswith(f"{PERSON} marked work failed at 2")
    assert is_left_alone(await retried(client, LONG, running["failed"], "work"))
    await api.ends(LONG, running["failed"], "failed")
    assert is_left_alone(await perform(client, Rerun(LONG, running["failed"], "the suite")))


async def test_of_a_mapped_task_it_tells_the_index(
    api: AirflowApi, person: httpx.AsyncClient, client: AirflowClient
) -> None:
    """Also when the mark was refused, since that one had failed already: it is logged before it is looked at."""
    run_id = await api.failed(MAPPED)
    at = f"{run_path(MAPPED, run_id)}/taskInstances/load"
    await mark(person, f"{at}/2", {"new_state": "failed"})
    assert await wish(client, MAPPED, run_id, "load", 3) == ""
    assert (await wish(client, MAPPED, run_id, "load", 2)).startswith(f"{PERSON} marked load failed")
    await mark(person, f"{at}/3", {"new_state": "failed"}, 409)
    assert (await wish(client, MAPPED, run_id, "load", 3)).startswith(f"{PERSON} marked load failed")
    extras = [json.loads(line.extra or "") for line in of_run(await logged(client, MAPPED), run_id)]
    assert [one["map_index"] for one in extras] == ["3", "2"]  # newest first, and texts: they come from the path


async def test_it_tells_of_dagruns_one_or_several_and_of_several_task_instances_nothing(
    running: dict[str, str], api: AirflowApi, person: httpx.AsyncClient, client: AirflowClient
) -> None:
    """What its pages send for a selection: Airflow 3.3.2 logs that of dagruns, not that of task instances."""
    began = clock()
    await mark(person, run_path(LONG, running["dagrun"]), {"state": "failed"})
    await mark(person, RUNS, selection({"dag_run_id": running["dagruns"], "state": "failed"}))
    chosen = {"dag_id": LONG, "dag_run_id": running["task instances"], "task_id": "work", "map_index": -1}
    await mark(person, BULK, selection({**chosen, "new_state": "failed", "note": None}))

    for name in SEVERAL:
        await api.ends(LONG, running[name], "failed")
    lines = await logged(client, LONG, began)
    assert [(line.event, line.owner, line.run_id) for line in reversed(lines)] == [
        ("patch_dag_run", PERSON, running["dagrun"]), ("bulk_dag_runs", PERSON, None)
    ]  # fmt: skip
    for name in ("dagrun", "dagruns"):
        assert (await wish(client, LONG, running[name], "work")).startswith(f"{PERSON} marked the dagrun failed at 2")
        assert is_left_alone(await retried(client, LONG, running[name], "work"))
        assert is_left_alone(await perform(client, Rerun(LONG, running[name], "the suite")))
    assert await wish(client, LONG, running["task instances"], "work") == ""
    whatever = await api.logged(LONG, running["task instances"])
    assert [row["event"] for row in whatever] == ["trigger_dag_run", "running"]


def selection(entity: dict[str, Any]) -> dict[str, Any]:
    return {"actions": [{"action": "update", "action_on_non_existence": "skip", "entities": [entity]}]}


async def mark(http: httpx.AsyncClient, path: str, body: dict[str, Any], status: int = 200) -> None:
    answer = await http.patch(path, json=body)
    assert answer.status_code == status, answer.text
    assert not ((answer.json().get("update") or {}).get("errors")), answer.text


async def is_in(api: AirflowApi, state: str, dag_id: str, run_id: str, task_id: str) -> None:
    await eventually(
        lambda: api.task(dag_id, run_id, task_id), lambda row: row["state"] == state, what=f"{run_id} {state}"
    )


async def logged(client: AirflowClient, dag_id: str, since: Instant = 0) -> tuple[LogRow, ...]:
    lines = await found(lambda: client.logged(marked.EVENTS, dag_id, since), "the event log")
    assert lines is not None
    return lines


def of_run(lines: tuple[LogRow, ...], run_id: str) -> list[LogRow]:
    return [line for line in lines if line.run_id == run_id]


async def wish(client: AirflowClient, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Whose, in the client's words; '' if it knows of none."""
    row = await found(lambda: client.task_instance(dag_id, run_id, task_id, map_index), task_id)
    assert row is not None
    return str(marked.of_task(row, await logged(client, dag_id, marked.begun(row))) or "")


async def retried(client: AirflowClient, dag_id: str, run_id: str, task_id: str) -> Outcome:
    row = await found(lambda: client.task_instance(dag_id, run_id, task_id, -1), task_id)
    assert row is not None
    target = RetryTarget(task_id, row.try_number, row.map_index, row.id)
    return await perform(client, Retry(dag_id, run_id, (target,), "the suite"))


async def perform(client: AirflowClient, params: Change) -> Outcome:
    action = Action(f"marks{time.time_ns()}", "lane", "key", "real", params, clock(), clock() + DAY)
    return await performed(executors({"real": client})[action.kind], action)


def is_left_alone(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.theirs and outcome.reason.startswith(f"{PERSON} marked ")


def clock() -> Instant:
    return time.time_ns() // 1000
