"""The stand-in itself: it must be as strict as what it plays, or tests against it prove nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from remediator.demo.cluster.app import MERGE_PATCH, Cluster
from remediator.web.server import serving
from tests.support.loopback import loopback_client

PATH = "/apis/apps/v1/namespaces/airflow/deployments/worker"
LATEST = "1001"


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster("token")
    made.state.add("airflow", "deployments", "worker", 2)
    return made


@pytest.fixture
async def http(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Bearer token"}
    async with serving(cluster.app()) as running, loopback_client(running.url, headers=headers) as client:
        yield client


async def patch(http: httpx.AsyncClient, body: Any, kind: str = MERGE_PATCH, manager: str = "me") -> httpx.Response:
    return await http.patch(
        f"{PATH}/scale", json=body, headers={"Content-Type": kind}, params={"fieldManager": manager}
    )


def scaled(replicas: Any, version: str = LATEST) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}


async def test_a_patch_of_the_latest_version_is_taken_and_remembered(http: httpx.AsyncClient) -> None:
    answer = await patch(http, scaled(0))
    assert (answer.status_code, answer.json()["spec"]) == (200, {})
    assert answer.json()["metadata"]["resourceVersion"] != LATEST
    managed = (await http.get(PATH)).json()["metadata"]["managedFields"]
    assert [one["manager"] for one in managed if one.get("subresource") == "scale"] == ["me"]


async def test_an_older_version_conflicts_and_changes_nothing(http: httpx.AsyncClient, cluster: Cluster) -> None:
    assert (await patch(http, scaled(3))).status_code == 200
    stale = await patch(http, scaled(9))
    assert (stale.status_code, stale.json()["kind"], stale.json()["reason"]) == (409, "Status", "Conflict")
    assert cluster.state.scalings == 1


async def test_without_a_version_there_is_no_conflict(http: httpx.AsyncClient) -> None:
    for replicas in (3, 4):
        assert (await patch(http, {"spec": {"replicas": replicas}})).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "manager", "status"),
    [
        (scaled(-1), MERGE_PATCH, "me", 422),
        (scaled("3"), MERGE_PATCH, "me", 422),
        ([1], MERGE_PATCH, "me", 422),
        (scaled(3), "application/json", "me", 415),
        (scaled(3), MERGE_PATCH, "m" * 129, 422),
    ],
)
async def test_what_the_api_server_refuses(
    http: httpx.AsyncClient, cluster: Cluster, body: Any, kind: str, manager: str, status: int
) -> None:
    assert (await patch(http, body, kind, manager)).status_code == status
    assert cluster.state.scalings == 0


async def test_who_may_not_and_what_is_not_there(http: httpx.AsyncClient, cluster: Cluster) -> None:
    assert (await http.get(PATH.replace("worker", "gone"))).status_code == 404
    assert (await http.get(PATH, headers={"Authorization": "Bearer other"})).status_code == 401
    cluster.forbidden.add("patch scale")
    assert (await patch(http, scaled(3))).status_code == 403
