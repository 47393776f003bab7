"""The suite's own view of Airflow's REST API: what happened, asked past remediator's client."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from tests.airflow.eventually import eventually

Row = dict[str, Any]
NOT_OVER = ("queued", "running")
FORGETTING_ROUNDS = 20
"""Of a hundred dagruns each."""


def new_run_id() -> str:
    return f"suite-{time.time_ns()}"


def run_path(dag_id: str, run_id: str) -> str:
    """Airflow's own run ids hold colons and plus signs."""
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


class AirflowApi:
    """One Airflow, as its admin. http: a patient client, see `patient`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def trigger(self, dag_id: str, run_id: str = "", conf: Row | None = None) -> str:
        """A new dagrun; its run_id, which is a new one unless given. 409: an earlier call went through after all."""
        run_id = run_id or new_run_id()
        body = {"logical_date": None, "dag_run_id": run_id, "conf": conf or {}}
        answer = await self.http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        assert answer.status_code in (200, 409), answer.text
        return run_id

    async def failed(self, dag_id: str) -> str:
        """A new dagrun, waited for until Airflow gave it up."""
        run_id = await self.trigger(dag_id)
        await self.ends(dag_id, run_id, "failed")
        return run_id

    async def ends(self, dag_id: str, run_id: str, state: str) -> Row:
        """The dagrun, once it has this state."""
        what = f"{dag_id} {run_id} {state}"
        return await eventually(lambda: self.dagrun(dag_id, run_id), lambda row: row["state"] == state, what=what)

    async def backfill(self, body: Row) -> None:
        """One of a DAG that has none open. 409: an earlier call went through after all."""
        answer = await self.http.post("/api/v2/backfills", json=body)
        assert answer.status_code in (200, 409), answer.text

    async def pause(self, dag_id: str, *, paused: bool) -> None:
        answer = await self.http.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": paused})
        assert answer.status_code == 200, answer.text

    async def clear(self, dag_id: str, run_id: str, task_id: str, note: str) -> httpx.Response:
        """As a person does it in the UI. 409: somebody else did at that moment."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "include_downstream": True, "note": note}
        answer = await self.http.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)
        assert answer.status_code in (200, 409), answer.text
        return answer

    async def dagruns(self, dag_id: str = "~") -> list[Row]:
        """The latest hundred, latest first."""
        answer = await self._row(f"/api/v2/dags/{dag_id}/dagRuns", {"limit": 100, "order_by": "-id"})
        return list(answer["dag_runs"])

    async def dagrun(self, dag_id: str, run_id: str) -> Row:
        return await self._row(run_path(dag_id, run_id))

    async def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Row:
        path = f"{run_path(dag_id, run_id)}/taskInstances/{task_id}"
        return await self._row(path if map_index < 0 else f"{path}/{map_index}")

    async def deadlines(self, dag_id: str, run_id: str) -> list[Row]:
        """Those of a dagrun, as the browser is shown them: the public API has none. 'missed' is true or false."""
        path = run_path(dag_id, run_id).replace("/api/v2/", "/ui/", 1)
        return list((await self._row(f"{path}/deadlines"))["deadlines"])

    async def tries(self, dag_id: str, run_id: str, task_id: str) -> list[int]:
        """The numbers of all tries that there were."""
        row = await self._row(f"{run_path(dag_id, run_id)}/taskInstances/{task_id}/tries")
        return sorted(one["try_number"] for one in row["task_instances"])

    async def clears(self, dag_id: str, run_id: str) -> list[Row]:
        """Every clear of this dagrun that Airflow was asked for, no dry runs: {'owner', 'note', 'task_ids', …}."""
        asked = await self._asked("post_clear_task_instances", dag_id, run_id)
        return [one for one in asked if one.get("dry_run") is not True]

    async def all_clears(self, dag_id: str, run_id: str) -> list[Row]:
        """The same, and clears of the dagrun as a whole."""
        whole = await self._asked("clear_dag_run", dag_id, run_id)
        return [*await self.clears(dag_id, run_id), *(one for one in whole if one.get("dry_run") is not True)]

    async def _asked(self, event: str, dag_id: str, run_id: str) -> list[Row]:
        params = {"dag_id": dag_id, "run_id": run_id, "event": event, "limit": 100}
        answer = await self._row("/api/v2/eventLogs", params)
        return [{"owner": row["owner"], **json.loads(row["extra"])} for row in answer["event_logs"]]

    async def logged(self, dag_id: str, run_id: str) -> list[Row]:
        """All that the event log has of this dagrun, oldest first."""
        params = {"dag_id": dag_id, "run_id": run_id, "order_by": "event_log_id", "limit": 100}
        return list((await self._row("/api/v2/eventLogs", params))["event_logs"])

    async def only_clear(self, dag_id: str, run_id: str) -> Row:
        """The clear of this dagrun, which must have been one, and asked for once."""
        asked = await self.clears(dag_id, run_id)
        assert len(asked) == 1, asked
        return asked[0]

    async def forget(self) -> None:
        """Delete every dagrun there is: a later test's daemon must find nothing of an earlier one.

        Airflow's scheduler dies of a dagrun that is deleted while it is at it: it gets a pass to let go of them all.
        """
        for _ in range(FORGETTING_ROUNDS):
            runs = await self.dagruns()
            if not runs:
                return
            paths = {run_path(run["dag_id"], run["dag_run_id"]): run["state"] for run in runs}
            for path in [path for path, state in paths.items() if state in NOT_OVER]:
                answer = await self.http.patch(path, json={"state": "failed"})
                assert answer.status_code in (200, 404, 409), answer.text
            await self._scheduler_passed()
            for path in paths:
                answer = await self.http.delete(path)
                assert answer.status_code in (204, 404, 409), answer.text
        raise AssertionError(f"there are still dagruns: {await self.dagruns()}")

    async def _scheduler_passed(self) -> None:
        """Wait for the scheduler's next heartbeat: it beats at the end of a pass over the dagruns that are not over."""
        since = datetime.now(UTC)

        async def has_beaten() -> bool:
            beat = (await self._row("/api/v2/monitor/health"))["scheduler"]["latest_scheduler_heartbeat"]
            return beat is not None and datetime.fromisoformat(beat) > since

        await eventually(has_beaten, what=f"a heartbeat of the scheduler after {since}")

    async def _row(self, path: str, params: Row | None = None) -> Row:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, f"GET {path}: {answer.text}"
        row: Row = answer.json()
        return row
