"""What surveys and log tails learn from a real Airflow."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.health_client import HealthClient
from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.rows import error_text
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.codecs.masking import mask
from remediator.model.action import Action, LogTail, Survey
from remediator.model.inputs import Surveyed, Tailed
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Instant
from remediator.model.truth import Finding
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.eventually import eventually
from tests.airflow.patient import answered
from tests.airflow.real_airflow import PASSWORD, USERNAME, RealAirflow

pytestmark = pytest.mark.airflow

DEPLOYMENT = "real"
POOL = "/api/v2/pools/default_pool?update_mask=slots"


@pytest.fixture
async def client(real_airflow: RealAirflow) -> AsyncIterator[AirflowClient]:
    """One that is to find out the API's version, and finds a wait of a second long."""
    settings = AirflowSettings(
        deployment=DEPLOYMENT,
        base_url=real_airflow.url,
        api_version="auto",
        username=USERNAME,
        password=Secret(PASSWORD),
        queued_too_long=SECOND,
        must_run=("crm_want*",),
    )
    made = AirflowClient(settings)
    yield made
    await made.close()


async def test_nothing_is_wrong_with_an_airflow_that_is_well(api: AirflowApi, client: AirflowClient) -> None:
    assert await survey(client) == []


async def test_a_pool_without_a_slot_that_a_task_waits_for(api: AirflowApi, client: AirflowClient) -> None:
    await patch(api, POOL, {"slots": 1})
    try:
        for _ in range(2):
            await api.trigger("long_job")
        found = await eventually(
            lambda: survey(client), lambda found: "pool.full" in {one.type for one in found}, what="a full pool"
        )
    finally:
        await patch(api, POOL, {"slots": 128})

    (full,) = [one for one in found if one.type == "pool.full"]
    assert full.subject == "pool/default_pool"
    # The second task is 'scheduled': Airflow queues only what has a slot.
    assert (full.attributes["slots"], full.attributes["occupied"]) == (1, 1)
    assert full.attributes["queued"] == 1 + full.attributes["starting"]


async def test_a_paused_dag_and_the_dagrun_that_waits_for_it(api: AirflowApi, client: AirflowClient) -> None:
    path = "/api/v2/dags/crm_wanted"
    await patch(api, path, {"is_paused": True})
    try:
        run_id = await api.trigger("crm_wanted")
        (queued,) = await HealthClient(client.session).queued_dagruns()
        found = await survey(client)
    finally:
        await patch(api, path, {"is_paused": False})

    assert (queued.dag_run_id, queued.queued_at is None) == (run_id, False)
    assert found == [
        Finding("dag.paused_unexpectedly", "dag/crm_wanted", dag_id="crm_wanted"),
    ]


async def test_the_log_of_a_failed_try(api: AirflowApi, client: AirflowClient) -> None:
    run_id = await api.failed("crm_sync")
    first, second = [await tail(client, "crm_sync", run_id, "pull", number) for number in (1, 2)]
    for answer in (first, second):
        assert answer.error == ""
        assert "ERROR Task failed with exception" in answer.text
        assert "d03_conn_reset.py" in answer.text
        assert "ConnectionError: connection reset by peer" in answer.text
        assert len(answer.text.encode()) <= 4096
    assert first.text != second.text
    assert (await tail(client, "crm_sync", run_id, "pull", 7)).error == "HTTP 404: TaskInstance not found"


async def test_the_log_of_a_killed_task_says_what_no_event_says(api: AirflowApi, client: AirflowClient) -> None:
    run_id = await api.failed("killed_job")
    answer = await tail(client, "killed_job", run_id, "killed", 1)
    assert "CRITICAL Process terminated by signal. Likely out of memory" in answer.text


async def test_airflow_3_has_no_api_v1(api: AirflowApi) -> None:
    """Nor a word of a missing row in what it says: a client that spoke v1 before the upgrade finds out again."""
    answer = await api.http.get("/api/v1/dags/crm_sync/dagRuns/r")
    assert (answer.status_code, error_text(answer.content)) == (404, "")


def now() -> Instant:
    return time.time_ns() // 1000


async def survey(client: AirflowClient) -> list[Finding]:
    action = Action("s", "lane", "world", DEPLOYMENT, Survey(), 0, 0)
    (answer,) = await answered(SurveyExecutor({DEPLOYMENT: client}, mask), [action], now)
    assert isinstance(answer, Surveyed)
    return list(answer.findings)


async def tail(client: AirflowClient, dag_id: str, run_id: str, task_id: str, try_number: int) -> Tailed:
    action = Action("t", "lane", "key", DEPLOYMENT, LogTail(dag_id, run_id, task_id, try_number), 0, 0)
    (answer,) = await LogTailExecutor({DEPLOYMENT: client}, mask).ask([action], now())
    assert isinstance(answer, Tailed)
    return answer


async def patch(api: AirflowApi, path: str, body: dict[str, Any]) -> None:
    answer = await api.http.patch(path, json=body)
    assert answer.status_code == 200, answer.text
