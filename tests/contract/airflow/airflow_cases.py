"""What the Airflow contract runs over: the stand-in in real time, or a real Airflow that the environment names."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.settings import AirflowSettings
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.plan import DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.running import driving
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.demo.fleet.world import World
from remediator.model.secret import Secret
from remediator.model.time import DAY, MILLISECOND, SECOND, Instant
from tests.airflow.patient import admitted, connected, found

DAG_ID = os.environ.get("AIRFLOW_DAG", "crm_sync")
"""pull (one retry, always fails with a lost connection) -> merge -> publish."""
LONG_DAG_ID = os.environ.get("AIRFLOW_LONG_DAG", "long_job")
"""work: runs for at least ten seconds."""
DAILY_DAG_ID = os.environ.get("AIRFLOW_DAILY_DAG", "")
"""work: succeeds at once; scheduled daily, so that a backfill has dates. '' if the real Airflow has none."""
REAL_API = os.environ.get("AIRFLOW_API", "v2")
"""The version of its API that the real one speaks."""
REAL = ("real",) if "AIRFLOW_URL" in os.environ else ()
PREPARED = os.environ.get("AIRFLOW_FAILED", "").split()
"""Dagruns of DAG_ID that were begun already, each good for one test: a real one takes its time to fail."""
BACKENDS = ("stand-in", *(REAL if REAL_API == "v2" else ()))
DAILY_BACKENDS = BACKENDS if DAILY_DAG_ID else ("stand-in",)
STAND_IN_DAILY = "daily"
ENDING = 150 * MILLISECOND
LOG_PAGE, LOG_PAGES = 100, 50
_FAILS = Failure("ConnectionError", "connection reset by peer")
_DAGS = (
    DagSpec(
        DAG_ID,
        (
            TaskSpec("pull", ("merge",), 1, 10 * MILLISECOND),
            TaskSpec("merge", ("publish",), 1),
            TaskSpec("publish", (), 1),
        ),
    ),
    DagSpec(LONG_DAG_ID, (TaskSpec("work"),)),
    DagSpec(DAILY_DAG_ID or STAND_IN_DAILY, (TaskSpec("load"),), every=DAY),
)


@dataclass
class Airflow:
    """One Airflow: its URL, an admin's credentials, a patient HTTP client with a token, and ours.

    api: the version that it speaks. state: of a stand-in.
    """

    url: str
    username: str
    password: str
    http: httpx.AsyncClient
    client: AirflowClient
    patience_s: float
    api: str = "v2"
    state: FleetState | None = None

    async def trigger(self, dag_id: str, logical_date: str | None = None) -> str:
        run_id = f"contract-{time.time_ns()}"
        undated = self.api == "v1" and logical_date is None
        body = {"dag_run_id": run_id, **({} if undated else {"logical_date": logical_date})}
        answer = await self.http.post(self.at(f"dags/{dag_id}/dagRuns"), json=body)
        # 409: an earlier call went through after all; its answer was lost, or was a 500.
        assert answer.status_code in (200, 409), answer.text
        return run_id

    def at(self, route: str) -> str:
        """Where a route is that both versions have."""
        return f"/api/{self.api}/{route}"

    async def dagrun(self, dag_id: str, run_id: str) -> dict[str, Any]:
        answer = await self.http.get(self.at(f"dags/{dag_id}/dagRuns/{run_id}"))
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    async def pause(self, dag_id: str, *, paused: bool) -> None:
        """As somebody else than remediator."""
        answer = await self.http.patch(self.at(f"dags/{dag_id}"), json={"is_paused": paused})
        assert answer.status_code == 200, answer.text

    async def asked(self, event: str, dag_id: str = "", run_id: str = "") -> int:
        """How often this change was asked for, dry runs left out. event: as v2 names it."""
        names = {"trigger_dag_run": "post_dag_run"} if self.api == "v1" else {}
        name = f"{'api.' * (self.api == 'v1')}{names.get(event, event)}"
        rows = await self._logged({"event": name, **({"dag_id": dag_id} if dag_id else {})})
        lines = [(row, json.loads(row["extra"] or "{}")) for row in rows]
        return sum(
            run_id in ("", row["run_id"], extra.get("dag_run_id")) and extra.get("dry_run") is not True
            for row, extra in lines
        )

    async def _logged(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """The oldest first: what is added meanwhile moves none to another page."""
        rows: list[dict[str, Any]] = []
        for _ in range(LOG_PAGES):
            params = {"limit": LOG_PAGE, "offset": len(rows), "order_by": "event_log_id", **wanted}
            answer = await self.http.get(self.at("eventLogs"), params=params)
            assert answer.status_code == 200, answer.text
            page = answer.json()["event_logs"]
            rows += page
            if len(page) < LOG_PAGE:
                return rows
        raise AssertionError(f"{len(rows)} lines are logged of {wanted}, and more")

    async def failed_run(self, logical_date: str | None = None) -> str:
        """A dagrun of DAG_ID that has failed; a new one unless the real one has begun some that nobody has touched."""
        prepared = self.state is None and PREPARED and logical_date is None
        run_id = PREPARED.pop(0) if prepared else await self.trigger(DAG_ID, logical_date)
        await self.eventually(lambda: self.is_run(DAG_ID, run_id, "failed"))
        return run_id

    async def running_task(self) -> str:
        """A new dagrun of LONG_DAG_ID whose task is running."""
        if (await self.http.get(self.at(f"dags/{LONG_DAG_ID}"))).status_code == 404:
            pytest.skip(f"this Airflow has no DAG {LONG_DAG_ID}: name a long one in AIRFLOW_LONG_DAG")
        run_id = await self.trigger(LONG_DAG_ID)
        await self.eventually(lambda: self._is_task(LONG_DAG_ID, run_id, "work", "running"))
        return run_id

    async def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        answer = await self.http.get(self.at(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"))
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    async def clear(self, dag_id: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json={"dry_run": False, **body})

    async def eventually(self, holds: Any) -> None:
        async with asyncio.timeout(self.patience_s):
            while not await holds():  # noqa: ASYNC110  (a real scheduler raises no event here)
                await asyncio.sleep(0.05)

    async def is_run(self, dag_id: str, run_id: str, state: str) -> bool:
        run = await found(lambda: self.client.dagrun(dag_id, run_id), f"{dag_id} {run_id}")
        return run is not None and run.state == state

    async def _is_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> bool:
        task = await found(lambda: self.client.task_instance(dag_id, run_id, task_id, -1), task_id)
        return task is not None and task.state == state


@asynccontextmanager
async def stand_in(api: str = "v2") -> AsyncIterator[Airflow]:
    state = FleetState()
    for dag in _DAGS:
        state.add_dag(dag)
    world = World(state, _plan, ending=ENDING)
    async with (
        serving(FleetApi(state, clock, api=api)) as url,
        driving([world], clock),
        _connected(url, "admin", "admin", patience_s=20, api=api) as airflow,
    ):
        airflow.state = state
        yield airflow


@asynccontextmanager
async def real() -> AsyncIterator[Airflow]:
    user, password = os.environ.get("AIRFLOW_USER", "admin"), os.environ.get("AIRFLOW_PASSWORD", "admin")
    async with _connected(os.environ["AIRFLOW_URL"], user, password, patience_s=120, api=REAL_API) as airflow:
        yield airflow


def clock() -> Instant:
    return time.time_ns() // 1000


@asynccontextmanager
async def _connected(
    url: str, username: str, password: str, patience_s: float, api: str = "v2"
) -> AsyncIterator[Airflow]:
    settings = AirflowSettings(
        deployment="one", base_url=url, api_version=api, username=username, password=Secret(password)
    )
    client = AirflowClient(settings)
    basic = connected(url, auth=(username, password)) if api == "v1" else None
    async with basic or await admitted(url, username, password) as http:
        try:
            yield Airflow(url, username, password, http, client, patience_s, api)
        finally:
            await client.close()


def _plan(run: DagRun, instance: TaskInstance) -> Plan:
    if instance.task_id == "pull":
        return Plan(_FAILS, duration=10 * MILLISECOND, announce=10 * MILLISECOND)
    return Plan(duration=60 * SECOND if run.dag_id == LONG_DAG_ID else 10 * MILLISECOND)
