"""Every kind of change with the target it is made to: what is wanted, and how often the target has seen a change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from remediator.actions.airflow.executors import executors
from remediator.actions.http.executor import RequestExecutor
from remediator.actions.http.settings import EndpointAccount
from remediator.actions.kubernetes.client import ClusterClient
from remediator.actions.kubernetes.executor import ScaleExecutor
from remediator.actions.kubernetes.settings import ClusterAccount
from remediator.actions.port import Executor
from remediator.codecs.masking import mask
from remediator.demo.cluster.app import GET_SCALE, Cluster
from remediator.demo.endpoint.app import Endpoint
from remediator.demo.fleet.faults import Kind
from remediator.demo.receiver.faults import Fault
from remediator.model.action import Action, Request, Scale
from remediator.model.secret import Secret
from remediator.model.time import SECOND
from remediator.web.server import serving
from tests.unit.actions.airflow_changes import CASES, Case, action, standing

TOKEN = "hunter2-token"
BODY = {"title": "load failed", "password": "hunter2-body", "echo": TOKEN}


@dataclass
class Target:
    """changes: how often it was changed, as it counts itself. fails: it answers nothing but faults from now on."""

    executor: Executor
    wanted: Action
    changes: Callable[[], int]
    fails: Callable[[], None]


Opening = Callable[[], AbstractAsyncContextManager[Target]]


@asynccontextmanager
async def airflow(case: Case) -> AsyncIterator[Target]:
    async with standing() as place:
        wanted = case.prepare(place.state)
        executor = executors({"prod": place.client()})[wanted.kind]

        def changes() -> int:
            return len(place.state.log) + len(place.state.clear_records) + len(place.state.runs)

        def fails() -> None:
            for route in place.api.state.calls:
                place.fails_with(Kind.STATUS, route, status=503, times=99, detail="no")

        yield Target(executor, wanted, changes, fails)


@asynccontextmanager
async def kubernetes() -> AsyncIterator[Target]:
    cluster = Cluster(TOKEN)
    cluster.state.add("airflow", "deployments", "worker", 2)
    async with serving(cluster.app()) as running:
        client = ClusterClient(ClusterAccount(url=running.url, token=Secret(TOKEN), timeout=2 * SECOND))
        wanted = action(Scale("airflow", "Deployment", "worker", 5))

        def fails() -> None:
            cluster.trouble.faults.add(GET_SCALE, Fault(status=503), 99)

        yield Target(ScaleExecutor({"prod": client}), wanted, lambda: cluster.state.scalings, fails)
        await client.close()
        cluster.trouble.release()


@asynccontextmanager
async def endpoint() -> AsyncIterator[Target]:
    target = Endpoint("", TOKEN)
    async with serving(target.app()) as running:
        account = EndpointAccount(url=Secret(f"{running.url}/hook/hunter2-path"), token=Secret(TOKEN))
        executor = RequestExecutor({"tickets": account}, mask)
        yield Target(executor, action(Request("tickets", BODY)), lambda: target.effects, lambda: None)
        await executor.close()
        target.trouble.release()


TARGETS: dict[str, Opening] = {
    **{name: partial(airflow, case) for name, case in CASES.items()},
    "scale": kubernetes,
    "request": endpoint,
}
ASKED = [name for name in TARGETS if name != "request"]
"""Whose preview asks the target."""
