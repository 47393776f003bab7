"""One stand-in with clients of it, for the unit tests of questions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.codecs.masking import mask
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import FleetState
from remediator.model.action import Action, LogTail, Survey
from remediator.model.inputs import Surveyed, Tailed
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Instant
from remediator.model.truth import Finding

NOW: Instant = 1_800_000_000 * SECOND
RUN = "manual__2027-01-15T08:00:00+00:00"
DAGS = (
    DagSpec("crm_sync", (TaskSpec("pull", ("merge",), 1), TaskSpec("merge", (), 1))),
    DagSpec("partition_load", (TaskSpec("load", indexes=3),)),
)


@dataclass
class StandIn:
    """A stand-in of one API version at a time that stands still, and a client of it."""

    api: FleetApi
    url: str
    stack: AsyncExitStack
    client: AirflowClient

    @property
    def state(self) -> FleetState:
        return self.api.state

    def another(self, **changes: Any) -> AirflowClient:
        given: dict[str, Any] = {
            "deployment": "prod",
            "base_url": self.url,
            "api_version": self.api.api,
            "username": "admin",
            "password": Secret("admin"),
            "read_timeout_s": 0.5,
            "read_tries": 1,
        }
        client = AirflowClient(AirflowSettings(**(given | changes)))
        self.stack.push_async_callback(client.close)
        return client

    def fails(self, route: str, status: int = 503, times: int = 100) -> None:
        self.api.faults.add(Fault(Kind.STATUS, route, times=times, status=status))

    async def survey(self, client: AirflowClient | None = None) -> Surveyed:
        action = Action("s1", "l", "world", "prod", Survey(), 0, 0)
        (answer,) = await SurveyExecutor({"prod": client or self.client}, mask).ask([action], NOW)
        assert isinstance(answer, Surveyed)
        return answer

    async def found(self, **changes: Any) -> list[Finding]:
        answer = await self.survey(self.another(**changes) if changes else None)
        assert answer.error == ""
        return list(answer.findings)

    async def tail(self, task_id: str = "pull", try_number: int = 1, **changes: Any) -> Tailed:
        params = LogTail("crm_sync", RUN, task_id, try_number)
        action = Action("t1", "l", "key", "prod", params, 0, 0)
        client = self.another(**changes) if changes else self.client
        (answer,) = await LogTailExecutor({"prod": client}, mask).ask([action], NOW)
        assert isinstance(answer, Tailed)
        return answer


@asynccontextmanager
async def stand_in(version: str, port: int = 0) -> AsyncIterator[StandIn]:
    """Of this API version, on any port unless one is given; each DAG has a dagrun that is queued now."""
    state = FleetState()
    for dag in DAGS:
        state.add_dag(dag)
        state.add_run(dag.dag_id, RUN, NOW)
    api = FleetApi(state, clock=lambda: NOW, clear_takes_s=0.0, api=version)
    async with serving(api, port) as url, AsyncExitStack() as stack:
        made = StandIn(api, url, stack, client=None)  # type: ignore[arg-type]
        made.client = made.another()
        yield made
