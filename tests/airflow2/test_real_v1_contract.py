"""The contract of the Airflow stand-in, run through API v1 over a real Airflow 2, and what only v1 has to be asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from remediator.actions.airflow.client import AirflowClient, Changed, Position, next_position
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.codecs.masking import mask
from remediator.model.action import Action, Change, Look, Reprocess, Retry, RetryTarget, Survey
from remediator.model.inputs import Looked, Surveyed
from remediator.model.outcome import Delivered, Outcome, Refused
from remediator.model.secret import Secret
from remediator.model.time import DAY, SECOND, Instant, format_instant
from remediator.model.truth import TaskTruth
from tests.airflow.contract_run import keeps_the_contract
from tests.airflow.eventually import eventually
from tests.airflow.patient import answered, connected, found, performed
from tests.airflow2.real_airflow2 import PASSWORD, USERNAME, VIEWER, RealAirflow2

pytestmark = pytest.mark.airflow2

PREPARED = 8
"""How many failed dagruns that contract asks for."""
MAPPED, SEVERAL, LOOKED_AT = ("partition_load", "mapped"), ("partitions_load", "several"), ("crm_sync", "looked-at")
BEGUN = (MAPPED, SEVERAL, LOOKED_AT)
"""Dagruns of other tests: those that are not over yet when their test comes are waited for there."""
ODD = "by~hand__2026-11-23T06:45:47.351879+00:00"
"""An id that has to be encoded. (Airflow 2 takes no slash and nothing that is not ASCII.)"""
WRONG = "a-wrong-credential"
Client = Callable[..., AirflowClient]


@pytest.fixture
async def http(real_airflow2: RealAirflow2) -> AsyncIterator[httpx.AsyncClient]:
    """The suite's own way to ask, past remediator's client."""
    async with connected(real_airflow2.url, auth=(USERNAME, PASSWORD)) as made:
        yield made


@pytest.fixture
async def another(real_airflow2: RealAirflow2) -> AsyncIterator[Client]:
    """Makes clients, which find out by themselves what they speak to."""
    made: list[AirflowClient] = []

    def one(**changes: Any) -> AirflowClient:
        given = {"api_version": "auto", "username": USERNAME, "password": Secret(PASSWORD), **changes}
        made.append(AirflowClient(AirflowSettings(deployment="one", base_url=real_airflow2.url, **given)))
        return made[-1]

    yield one
    for client in made:
        await client.close()


@pytest.fixture
def client(another: Client) -> AirflowClient:
    return another()


async def test_the_real_airflow_2_keeps_the_contract_of_the_stand_in(
    real_airflow2: RealAirflow2, http: httpx.AsyncClient
) -> None:
    environment = {
        "AIRFLOW_URL": real_airflow2.url,
        "AIRFLOW_API": "v1",
        "AIRFLOW_USER": USERNAME,
        "AIRFLOW_PASSWORD": PASSWORD,
    }
    failed = [await trigger(http, "crm_sync", f"prepared-{number}") for number in range(PREPARED)]
    for dag_id, run_id in BEGUN:
        await trigger(http, dag_id, run_id)
    await keeps_the_contract("airflow2", failed, environment)


async def test_a_mapped_index_that_failed_alone_is_cleared_alone(
    http: httpx.AsyncClient, client: AirflowClient
) -> None:
    run_id = await failed(http, *MAPPED)
    (load,) = await failures(client, "partition_load", run_id)
    assert (load.task_id, load.map_index) == ("load", 2)

    outcome = await retry(client, "partition_load", run_id, load)

    assert outcome == Delivered(ref="0e0e0e01", detail="cleared 2 task instances")
    path = f"/api/v1/dags/partition_load/dagRuns/{run_id}/taskInstances/load"
    rows = [(await http.get(f"{path}/{index}")).json() for index in range(4)]
    assert [row["note"] for row in rows] == [None, None, "remediator:0e0e0e01 the suite", None]
    assert [row["max_tries"] for row in rows] == [0, 0, 1, 0]


async def test_one_of_several_indexes_that_failed_is_refused(http: httpx.AsyncClient, client: AirflowClient) -> None:
    run_id = await failed(http, *SEVERAL)
    loads = await failures(client, "partitions_load", run_id)
    assert [load.map_index for load in loads] == [1, 2]

    refused = await retry(client, "partitions_load", run_id, loads[0])
    both = await retry(client, "partitions_load", run_id, *loads)

    assert isinstance(refused, Refused)
    assert refused.reason.startswith("API v1 clears every failed index of a mapped task")
    assert both == Delivered(ref="0e0e0e01", detail="cleared 3 task instances")


async def test_an_id_that_has_to_be_encoded_and_pages_of_few_rows(http: httpx.AsyncClient, another: Client) -> None:
    since = now() - SECOND
    await trigger(http, "crm_sync", ODD, {"day": 1})
    await ends(http, "crm_sync", ODD)
    client = another(page_size=3)
    (pull,) = [task for task in await failures(client, "crm_sync", ODD) if task.state == "failed"]
    seen, at = [], Position()
    while True:
        page = await found(lambda at=at: client.failed_dagruns(Changed(since), at), "a page")  # type: ignore[misc]
        seen += [row.dag_run_id for row in page.rows]
        following = next_position(page, at)
        if following is None:
            break
        at = following
    assert seen.count(ODD) == 1
    assert await retry(client, "crm_sync", ODD, pull) == Delivered(ref="0e0e0e01", detail="cleared 3 task instances")
    listed = (await http.get("/api/v1/dags/crm_sync/dagRuns", params={"order_by": "-id", "limit": 1})).json()
    assert [(row["dag_run_id"], row["conf"]) for row in listed["dag_runs"]] == [(ODD, {"day": 1})]


async def test_of_a_schedule_only_the_dagruns_that_there_are_run_again(
    http: httpx.AsyncClient, client: AirflowClient
) -> None:
    since = now() // DAY * DAY - 40 * DAY
    run_id = await trigger(http, "daily", f"suite-{since}", logical_date=format_instant(since + DAY))
    await ends(http, "daily", run_id, "success")
    params = Reprocess("daily", since, since + 3 * DAY, "late data", max_affected=9)
    outcome = await perform(client, params)
    assert isinstance(outcome, Delivered)
    assert outcome.detail == "dagruns: 1 cleared, missing dagruns are not created: API v1 tells no schedule"
    row = (await http.get(f"/api/v1/dags/daily/dagRuns/{run_id}")).json()
    assert row["note"] == f"remediator:{outcome.ref} late data"


async def test_nothing_is_wrong_and_then_a_pool_without_a_limit_is_told_of(
    http: httpx.AsyncClient, client: AirflowClient
) -> None:
    assert await survey(client) == {}
    made = await http.post("/api/v1/pools", json={"name": "endless", "slots": -1})
    assert made.status_code == 409, made.text  # the second time: the first was answered with 500, and patience
    try:
        found = await survey(client)
    finally:
        await http.delete("/api/v1/pools/endless")
    assert found == {"survey.incomplete": "API v1 cannot tell of a pool without a limit: give it one"}


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"password": Secret(WRONG)}, "HTTP 403: Forbidden; Airflow 2 says so of wrong credentials too"),
        ({"username": "", "token": Secret(WRONG)}, "HTTP 403: Forbidden; Airflow 2 says so of wrong credentials too"),
    ],
)
async def test_wrong_credentials_are_refused_without_being_shown(
    another: Client, wrong: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(Answered) as fault:
        await found(lambda: another(**wrong).dagrun("crm_sync", "any"), "an answer")
    assert str(fault.value) == refusal


async def test_who_may_only_look_changes_nothing(http: httpx.AsyncClient, another: Client) -> None:
    run_id, client = await failed(http, *LOOKED_AT), another(username=VIEWER)
    (pull,) = [task for task in await failures(client, "crm_sync", run_id) if task.state == "failed"]
    outcome = await retry(client, "crm_sync", run_id, pull)
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("HTTP 403: Forbidden")
    assert [task.state for task in await failures(client, "crm_sync", run_id)].count("failed") == 1


def now() -> Instant:
    return time.time_ns() // 1000


async def trigger(
    http: httpx.AsyncClient, dag_id: str, run_id: str, conf: dict[str, Any] | None = None, logical_date: str = ""
) -> str:
    """409: an earlier call went through after all."""
    body = {"dag_run_id": run_id, "conf": conf or {}, **({"logical_date": logical_date} if logical_date else {})}
    await http.patch(f"/api/v1/dags/{dag_id}", json={"is_paused": False})
    answer = await http.post(f"/api/v1/dags/{dag_id}/dagRuns", json=body)
    assert answer.status_code in (200, 409), answer.text
    return run_id


async def ends(http: httpx.AsyncClient, dag_id: str, run_id: str, state: str = "failed") -> None:
    params = {"order_by": "-id", "limit": 100}

    async def reached() -> list[str]:
        rows = (await http.get(f"/api/v1/dags/{dag_id}/dagRuns", params=params)).json()["dag_runs"]
        return [row["state"] for row in rows if row["dag_run_id"] == run_id]

    await eventually(reached, lambda states: states == [state], what=f"{dag_id} {run_id} {state}")


async def failed(http: httpx.AsyncClient, dag_id: str, run_id: str) -> str:
    """Its id, once it has failed; it is begun here unless it was before."""
    await trigger(http, dag_id, run_id)
    await ends(http, dag_id, run_id)
    return run_id


async def failures(client: AirflowClient, dag_id: str, run_id: str) -> list[TaskTruth]:
    """Those that failed by themselves."""
    action = Action("look", "lane", "key", "one", Look(dag_id, run_id), 0, 0)
    (answer,) = await answered(LookExecutor({"one": client}), [action], now)
    assert isinstance(answer, Looked)
    assert answer.truth is not None
    return [task for task in answer.truth.tasks if task.state == "failed"]


async def retry(client: AirflowClient, dag_id: str, run_id: str, *tasks: TaskTruth) -> Outcome:
    targets = tuple(RetryTarget(one.task_id, one.try_number, one.map_index, one.instance_id) for one in tasks)
    return await perform(client, Retry(dag_id, run_id, targets, "the suite"))


async def perform(client: AirflowClient, params: Change) -> Outcome:
    action = Action("0e0e0e01", "lane", "key", "one", params, now(), now() + DAY)
    return await performed(executors({"one": client})[action.kind], action)


async def survey(client: AirflowClient) -> dict[str, Any]:
    """What is found, by type, and why a part has no answer."""
    action = Action("s", "lane", "world", "one", Survey(), 0, 0)
    (answer,) = await answered(SurveyExecutor({"one": client}, mask), [action], now)
    assert isinstance(answer, Surveyed)
    return {one.type: one.attributes.get("error") for one in answer.findings}
