"""What the event log of a real Airflow 2 tells of a person who marks something on its web pages."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from remediator.actions.airflow import marked
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.secret import Secret
from tests.airflow.eventually import eventually
from tests.airflow.patient import connected, found
from tests.airflow2.real_airflow2 import PASSWORD, USERNAME, RealAirflow2

pytestmark = pytest.mark.airflow2

LONG, MAPPED = "long_job", "partitions_load"
REACH = dict.fromkeys(("past", "future", "upstream", "downstream"), "false")
TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')


@pytest.fixture
async def http(real_airflow2: RealAirflow2) -> AsyncIterator[httpx.AsyncClient]:
    """The suite's own way to ask, past remediator's client."""
    async with connected(real_airflow2.url, auth=(USERNAME, PASSWORD)) as made:
        yield made


@pytest.fixture
async def client(real_airflow2: RealAirflow2) -> AsyncIterator[AirflowClient]:
    settings = AirflowSettings(
        deployment="one", base_url=real_airflow2.url, api_version="v1", username=USERNAME, password=Secret(PASSWORD)
    )
    made = AirflowClient(settings)
    yield made
    await made.close()


@pytest.fixture
async def browser(real_airflow2: RealAirflow2) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has logged in to the pages, and sends what their buttons send."""
    async with connected(real_airflow2.url) as made:
        page = await made.get("/login/")
        token = TOKEN.search(page.text)
        assert token, page.text[:2000]
        form = {"username": USERNAME, "password": PASSWORD, "csrf_token": token[1]}
        answer = await made.post("/login/", data=form)
        assert answer.status_code == 302, answer.text[:2000]
        made.headers["X-CSRFToken"] = token[1]
        yield made


async def test_a_running_task_that_was_marked(
    http: httpx.AsyncClient, browser: httpx.AsyncClient, client: AirflowClient
) -> None:
    run_id = await running(http)
    await press(browser, "failed", LONG, run_id, task_id="work", confirmed="true", **REACH)
    assert (await wish(client, LONG, run_id, "work")).startswith(f"{USERNAME} marked work failed at ")


async def test_a_mapped_index_that_was_marked_alone(
    http: httpx.AsyncClient, browser: httpx.AsyncClient, client: AirflowClient
) -> None:
    run_id = await begun(http, MAPPED)
    await reaches(http, f"dags/{MAPPED}/dagRuns/{run_id}", "failed")
    await press(browser, "failed", MAPPED, run_id, task_id="load", map_index="0", confirmed="true", **REACH)
    assert (await wish(client, MAPPED, run_id, "load", 0)).startswith(f"{USERNAME} marked load failed at ")
    assert await wish(client, MAPPED, run_id, "load", 1) == ""


@pytest.mark.parametrize("way", ["pages", "API"])
async def test_a_dagrun_that_was_marked(
    way: str, http: httpx.AsyncClient, browser: httpx.AsyncClient, client: AirflowClient
) -> None:
    run_id = await running(http)
    if way == "pages":
        await press(browser, "dagrun_failed", LONG, run_id, confirmed="true")
    else:
        answer = await http.patch(f"/api/v1/dags/{LONG}/dagRuns/{run_id}", json={"state": "failed"})
        assert answer.status_code == 200, answer.text
    await reaches(http, f"dags/{LONG}/dagRuns/{run_id}", "failed")
    assert (await wish(client, LONG, run_id, "work")).startswith(f"{USERNAME} marked the dagrun failed at ")
    run = await found(lambda: client.dagrun(LONG, run_id), run_id)
    assert run is not None
    assert marked.of_dagrun(run, await client.logged(marked.EVENTS, LONG, 0)) is not None


async def press(browser: httpx.AsyncClient, page: str, dag_id: str, run_id: str, **form: Any) -> None:
    answer = await browser.post(f"/{page}", data={"dag_id": dag_id, "dag_run_id": run_id, **form})
    assert answer.status_code in (200, 302), answer.text[:2000]


async def begun(http: httpx.AsyncClient, dag_id: str) -> str:
    run_id = f"marks-{time.time_ns()}"
    answer = await http.post(f"/api/v1/dags/{dag_id}/dagRuns", json={"dag_run_id": run_id, "conf": {}})
    assert answer.status_code in (200, 409), answer.text
    return run_id


async def running(http: httpx.AsyncClient) -> str:
    """A dagrun whose task is running. It is written to be so once more with its process id: a mark before is lost."""
    run_id = await begun(http, LONG)
    await reaches(http, f"dags/{LONG}/dagRuns/{run_id}/taskInstances/work", "running", "pid")
    return run_id


async def reaches(http: httpx.AsyncClient, path: str, state: str, member: str = "state") -> None:
    """member: what else it has to have by then."""

    async def now() -> dict[str, Any]:
        answer = await http.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    await eventually(now, lambda row: row["state"] == state and bool(row[member]), what=f"{path} {state}")


async def wish(client: AirflowClient, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Whose, in the client's words; '' if it knows of none."""
    row = await found(lambda: client.task_instance(dag_id, run_id, task_id, map_index), task_id)
    assert row is not None
    lines = await found(lambda: client.logged(marked.EVENTS, dag_id, marked.begun(row)), "the event log")
    return str(marked.of_task(row, lines) or "")
