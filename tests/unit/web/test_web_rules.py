"""What the API says about rules: bounded, authenticated, and clear about what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from remediator.model.event import ErrorInfo
from remediator.model.secret import Secret
from remediator.model.time import DAY, HOUR
from remediator.rules.unmatched import Failure
from remediator.runtime.metrics import Metrics
from remediator.web.app import EVENT_LIMIT, build_app
from remediator.web.server import serving
from tests.support.loopback import loopback_client
from tests.unit.web.surface import FakeDaemon

EVENT = {"type": "task.failed", "time": "2026-11-22T06:00:00Z", "deployment": "prod", "dag_id": "sales"}


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def api(daemon: FakeDaemon) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(build_app(daemon, Metrics("9"))) as running,
        loopback_client(running.url) as client,
    ):
        yield client


async def test_an_event_is_explained(api: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    body = {"event": {**EVENT, "error": {"message": "reset"}}, "topic": "t", "rules": ["reset"]}
    answer = await api.post("/api/v1/explain", json=body)
    assert answer.status_code == 200
    claim, final = answer.json()["events"]
    assert (claim["type"], final["responder"]) == ("task.failed", "reset")
    (event, topic, rules) = daemon.explained[0]
    assert (event.time, event.dag_id, topic, rules) == (1_795_327_200_000_000, "sales", "t", ["reset"])


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/explain"), ("GET", "/api/v1/unmatched")])
async def test_both_need_the_token(daemon: FakeDaemon, method: str, path: str) -> None:
    async with (
        serving(build_app(daemon, Metrics("9"), Secret("t0ken-hunter2"))) as running,
        loopback_client(running.url) as client,
    ):
        assert (await client.request(method, path)).status_code == 401
    assert (daemon.explained, daemon.looked_back) == ([], [])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b"{}", "event"),
        (b'{"event": {}}', "type"),
        (b'{"event": {"type": "a.b"}}', "time"),
        (b'{"event": {"type": "a.b", "time": "soon"}}', "soon"),
        (b'{"event": {"type": "a.b", "time": 9e99}}', ""),
        (b'{"event": {"type": "a.b", "time": 999999999999999999}}', "9999"),
        (b'{"event": {"type": "a.b", "time": 0, "dagid": "x"}}', "unknown field 'dagid'"),
        (b'{"event": {"type": "a.b", "time": 0}, "rule": "x"}', "rule"),
        (b'{"event": {"type": "a.b", "time": 0, "subject": "\\ud800"}}', ""),
        (b'{"event": {"type": "a.b", "time": 0}, "rules": [' + b'"x",' * 100 + b'"x"]}', "at most 100 rules"),
        (b'{"event": ' + b'{"a":' * 5_000, ""),
        (b"\xff", ""),
    ],
)
async def test_a_bad_event_is_a_clear_error(api: httpx.AsyncClient, daemon: FakeDaemon, body: bytes, text: str) -> None:
    answer = await api.post("/api/v1/explain", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert "allowed: {'event'" in answer.json()["error"]
    assert daemon.explained == []


async def test_a_megabyte_is_read_and_no_more(api: httpx.AsyncClient) -> None:
    def body(size: int) -> bytes:
        head = b'{"event": {"type": "check.failed", "time": 0, "subject": "'
        return head + b"x" * (size - len(head) - 3) + b'"}}'

    headers = {"Content-Type": "application/json"}
    assert (await api.post("/api/v1/explain", content=body(EVENT_LIMIT), headers=headers)).status_code == 200
    assert (await api.post("/api/v1/explain", content=body(EVENT_LIMIT + 1), headers=headers)).status_code == 413


async def test_a_form_of_another_site_is_refused(api: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    answer = await api.post("/api/v1/explain", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_an_unknown_rule_is_not_found(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/explain", json={"event": EVENT, "rules": ["nonsense"]})
    assert (answer.status_code, answer.json()) == (404, {"error": "no active rule has the id 'nonsense'"})


async def test_unmatched(api: httpx.AsyncClient, daemon: FakeDaemon) -> None:
    daemon.groups.add(Failure("prod", "sales", "load", "r1", ErrorInfo("KeyError", "'x'"), first=0, last=5))
    found = (await api.get("/api/v1/unmatched", params={"since": "12h"})).json()
    assert [(one["template"], one["count"]) for one in found["unmatched"]] == [("KeyError: x", 1)]
    assert found["unmatched"][0]["last"] == "1970-01-01T00:00:00.000005Z"
    await api.get("/api/v1/unmatched")
    assert daemon.looked_back == [12 * HOUR, 7 * DAY]


@pytest.mark.parametrize("since", ["", "0s", "91d", "soon", "-1d", "9" * 400 + "d", "1e9d"])
async def test_a_bad_since_is_refused(api: httpx.AsyncClient, daemon: FakeDaemon, since: str) -> None:
    answer = await api.get("/api/v1/unmatched", params={"since": since})
    assert answer.status_code == 400
    assert "7d" in answer.json()["error"]
    assert daemon.looked_back == []
