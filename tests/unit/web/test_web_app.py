"""The HTTP surface over real HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from remediator.model.secret import Secret
from remediator.runtime.metrics import Metrics
from remediator.web import requests as web_requests
from remediator.web.app import build_app
from remediator.web.requests import BODY_LIMIT
from remediator.web.server import serving
from tests.contract.people.told import OPEN
from tests.support.loopback import loopback_client
from tests.unit.web.surface import FakeDaemon

TOKEN = "t0ken-hunter2"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def guarded(daemon: FakeDaemon) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(build_app(daemon, Metrics("9"), Secret(TOKEN))) as running,
        loopback_client(running.url) as client,
    ):
        yield client


@pytest.fixture
async def local(daemon: FakeDaemon) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(build_app(daemon, Metrics("9"))) as running,
        loopback_client(running.url) as client,
    ):
        yield client


async def test_probes_need_no_token(guarded: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    assert (await guarded.get("/livez")).text == "ok\n"
    assert (await guarded.get("/readyz")).json() == {"ready": True, "reasons": []}
    daemon.stands_still, daemon.reasons = ["controller for 5m", "clock for 2m"], ["feed main is blind"]
    answer = await guarded.get("/livez")
    assert (answer.status_code, answer.text) == (503, "stuck: controller for 5m, clock for 2m\n")
    answer = await guarded.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["feed main is blind"]


async def test_not_ready_when_the_store_cannot_answer(local: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    daemon.store_error = "disk full"
    assert (await local.get("/readyz")).json() == {"ready": False, "reasons": ["store: disk full"]}


async def test_metrics_need_no_token(guarded: httpx.AsyncClient) -> None:
    answer = await guarded.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'remediator_build_info{version="9"} 1.0' in answer.text


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/incidents", "/api/v1/incidents/x/explain"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic dDo=", TOKEN, "Bearer t\u00f6ken"])
async def test_the_api_needs_the_token(guarded: httpx.AsyncClient, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = await guarded.get(path, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.json() == {"error": "a valid bearer token is needed"}


async def test_a_freeze_without_the_token_does_nothing(guarded: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    assert (await guarded.post("/api/v1/freeze", json={"on": False})).status_code == 401
    assert daemon.pressed == []


async def test_status(guarded: httpx.AsyncClient) -> None:
    status = (await guarded.get("/api/v1/status", headers=BEARER)).json()
    assert status["journal"] == {"head": 12, "decided": 11, "rows": 12, "lag_entries": 1, "lag_s": 2.0}
    assert status["feeds"]["main"]["problem"] == ""
    assert status["version"] == "0.1"


async def test_freeze_names_who_and_why(guarded: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    body = {"on": True, "reason": "migration", "actor": "anna"}
    answer = await guarded.post("/api/v1/freeze", json=body, headers=BEARER)
    assert answer.json() == {"frozen": True, "position": 13}
    assert daemon.pressed == [(True, "anna (api token)", "migration")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"on": "yes"}',
        b'{"on": true, "of": 1}',
        b'{"on": 1}',
        b"\xff",
        b'{"on": true, "reason": "\xff"}',
    ],
)
async def test_a_bad_freeze_is_a_clear_error(local: httpx.AsyncClient, daemon: FakeDaemon, body: bytes) -> None:
    answer = await local.post("/api/v1/freeze", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "allowed:" in answer.json()["error"]
    assert daemon.pressed == []


async def test_a_long_body_is_refused(local: httpx.AsyncClient) -> None:
    body = b'{"on": true, "reason": "' + b"x" * BODY_LIMIT + b'"}'
    answer = await local.post("/api/v1/freeze", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_a_form_of_another_site_is_refused(local: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    headers = {"Content-Type": "text/plain"}
    assert (await local.post("/api/v1/freeze", content=b'{"on": false}', headers=headers)).status_code == 415
    assert daemon.pressed == []


async def test_without_a_token_only_localhost_is_answered(local: httpx.AsyncClient) -> None:
    assert (await local.get("/api/v1/status")).status_code == 200
    assert (await local.get("/api/v1/status", headers={"Host": "rebound.example.com"})).status_code == 403


async def test_incidents(local: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    found = (await local.get("/api/v1/incidents")).json()["incidents"]
    assert found[0]["id"] == OPEN.id
    assert found[0]["opened_at"].endswith("Z")
    await local.get("/api/v1/incidents?all=true&limit=7")
    assert daemon.asked == [(True, 50), (False, 7)]


@pytest.mark.parametrize(
    "limit", ["0", "501", "-1", "x", "1e3", "²", "9999999999999", "0000019999", "000001" + "9" * 5000]
)
async def test_a_bad_limit_is_refused(local: httpx.AsyncClient, limit: str) -> None:
    assert (await local.get("/api/v1/incidents", params={"limit": limit})).status_code == 400


async def test_explain_tells_the_story(local: httpx.AsyncClient) -> None:
    story = (await local.get(f"/api/v1/incidents/{OPEN.id[:6]}/explain")).json()
    assert story["incident"]["title"] == OPEN.title
    assert [one["reason"] for one in story["decisions"]] == ["suspected", "failed_finally", "retry_planned"]
    assert story["actions"][0]["kind"] == "airflow.retry"
    assert story["actions"][0]["state"] == "delivered"


async def test_an_unknown_incident_is_not_found(local: httpx.AsyncClient) -> None:
    answer = await local.get("/api/v1/incidents/nope/explain")
    assert answer.status_code == 404
    assert "nope" in answer.json()["error"]


async def test_an_id_that_names_several_is_answered_with_a_list(local: httpx.AsyncClient) -> None:
    answer = await local.get("/api/v1/incidents/5/explain")
    assert answer.status_code == 409
    assert answer.json()["found"][0] == f"{OPEN.id}  {OPEN.title}"


async def test_explain_tells_of_one_action(local: httpx.AsyncClient) -> None:
    story = (await local.get("/api/v1/actions/act1/explain")).json()
    assert story["action"]["kind"] == "airflow.retry"
    assert story["story"]["head"]["wrong"].startswith(OPEN.title)
    assert (await local.get("/api/v1/actions/nope/explain")).status_code == 404


async def test_store_trouble_is_503_and_a_bug_tells_nothing(local: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    daemon.store_error = "locked"
    answer = await local.get("/api/v1/status")
    assert (answer.status_code, answer.json()) == (503, {"error": "the store cannot answer: locked"})
    daemon.store_error, daemon.bug = "", True
    answer = await local.get("/api/v1/status")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text


async def test_a_daemon_that_does_not_answer_is_503(
    local: httpx.AsyncClient, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_requests, "WAIT_S", 0.05)
    daemon.hang = asyncio.Event()
    assert (await local.get("/api/v1/status")).status_code == 503


async def test_unknown_paths_and_methods_are_json(local: httpx.AsyncClient) -> None:
    assert (await local.get("/nowhere")).json() == {"error": "Not Found"}
    assert (await local.get("/api/v1/freeze")).status_code == 405


async def test_the_server_gives_its_port_back() -> None:
    async with serving(build_app(FakeDaemon(), Metrics())) as running:
        port = running.port
    async with serving(build_app(FakeDaemon(), Metrics()), port=port) as again:
        assert again.port == port
        with pytest.raises(OSError):
            async with serving(build_app(FakeDaemon(), Metrics()), port=port):
                pass
