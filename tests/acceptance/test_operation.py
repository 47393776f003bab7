"""Running the daemon: stopping it, asking it, freezing it, and what happens when a part of it dies."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from remediator.config.load import load_config
from remediator.runtime.app import Seams, serve
from remediator.runtime.wiring import Outside
from tests.acceptance.harness import SECRETS, DaemonProcess, Site, clock, command, eventually

pytestmark = [pytest.mark.broker, pytest.mark.subprocesses]

TOKEN = "t0ken-of-the-operators"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
METRICS = (
    "remediator_records_total", "remediator_facts_total", "remediator_actions_total", "remediator_helped_total",
    "remediator_journal_entries", "remediator_journal_lag_entries", "remediator_controller_lag_seconds",
    "remediator_feed_watermark_age_seconds", "remediator_feed_healthy", "remediator_feed_blind",
    "remediator_incidents_open", "remediator_outbox", "remediator_frozen", "remediator_lease_held",
    "remediator_decision_latency_seconds_bucket", "remediator_build_info",
)  # fmt: skip


# -- stopping -----------------------------------------------------------------------------------------------------


async def test_sigterm_ends_it_in_time_under_load(place: Site) -> None:
    for number in range(300):
        place.world.run_dag(("resets", "breaks", "works")[number % 3], f"r{number}", clock())
    async with DaemonProcess(place.config()) as daemon:
        await eventually(lambda: place.clears, "it is at work")
        assert await daemon.stop(seconds=10) == 0
        assert daemon.lines("daemon.stopping")
        assert daemon.lines()[-1]["event"] == "daemon.stopped"
    assert place.state.duplicate_clears == 0


# -- asking -------------------------------------------------------------------------------------------------------


async def test_the_api_answers_and_asks_for_the_token(place: Site) -> None:
    http = {**place.settings()["http"], "token": {"env": "API_TOKEN"}}
    async with DaemonProcess(place.config(http=http), env={"API_TOKEN": TOKEN}) as daemon:
        place.world.run_dag("resets", "r1", clock())
        await eventually(lambda: place.clears, "it works")
        assert (await daemon.get("/livez")).text == "ok\n"
        assert (await daemon.get("/readyz")).json() == {"ready": True, "reasons": []}
        await eventually(lambda: _has_metrics(daemon), "every metric is there")
        assert (await daemon.get("/api/v1/status")).status_code == 401
        assert (await daemon.get("/api/v1/status", headers={"Authorization": "Bearer guess"})).status_code == 401
        assert (await daemon.get("/api/v1/status", headers=WITH_TOKEN)).status_code == 200
        refused = await daemon.request("POST", "/api/v1/freeze", json={"on": True})
        assert refused.status_code == 401
        assert not (await daemon.get("/api/v1/status", headers=WITH_TOKEN)).json()["frozen"]
        code, out, error = await command("status", "--config", str(daemon.config), env={"API_TOKEN": TOKEN})
        assert (code, error) == (0, "")
        assert out.startswith("running\n")
        assert "incidents open" in out
        code, _, error = await command("status", "--url", daemon.url)
        assert code == 2
        assert "asks for a token" in error
        assert TOKEN not in daemon.text


async def _has_metrics(daemon: DaemonProcess) -> bool:
    text = (await daemon.get("/metrics")).text
    assert [name for name in METRICS if f"\n{name}" not in text] == []
    return True


async def test_explain_tells_the_story_of_an_incident(place: Site) -> None:
    async with DaemonProcess(place.config()) as daemon:
        place.world.run_dag("resets", "r1", clock())
        await eventually(lambda: _resolved(daemon, "resets"), "it is mended")
        incident = await _incident(daemon, "resets")
        code, out, _ = await command("explain", "--incident", incident["id"][:12], "--config", str(daemon.config))
        assert code == 0
        wrong, done, left = out.splitlines()[:3]
        assert wrong.startswith("WRONG  prod: resets.")
        assert done.endswith("it helped. Nobody was told.")
        assert left == "LEFT   Nothing; what was done has helped."
        code, out, _ = await command("explain", "--incident", incident["id"], "--config", str(daemon.config), "--json")
        found = json.loads(out)
        assert [line["reason"] for line in found["story"]["lines"]] == [
            "suspected", "failed_finally", "rule_responds", "incident_opened", "retry_planned", "retry_issued",
            "delivered", "helped", "incident_resolved",
        ]  # fmt: skip
        assert found["incident"]["resolution"].startswith("helped")
        (retry,) = (one["id"] for one in found["actions"] if one["kind"] == "airflow.retry")
        code, out, _ = await command("explain", "--action", retry[:12], "--config", str(daemon.config))
        assert code == 0
        assert f"action       {retry}, retry (airflow.retry)" in out
        assert "rule set " in out
        assert "which still decides" in out
        assert "Proved: it helped." in out
        code, _, error = await command("explain", "--incident", "nothing", "--config", str(daemon.config))
        assert code == 1
        assert "no incident has the id" in error


async def _incident(daemon: DaemonProcess, dag: str) -> dict[str, Any]:
    [found] = [one for one in await daemon.incidents() if one["dag_id"] == dag]
    return found


async def _resolved(daemon: DaemonProcess, dag: str) -> bool:
    assert [one for one in await daemon.incidents() if one["dag_id"] == dag]
    return bool((await _incident(daemon, dag))["phase"] == "resolved")


# -- the freeze ---------------------------------------------------------------------------------------------------


async def test_a_freeze_stops_changes_and_a_thaw_decides_anew(place: Site) -> None:
    async with DaemonProcess(place.config()) as daemon:
        code, out, _ = await command(
            "freeze", "on", "--as", "ada", "--reason", "release", "--config", str(daemon.config)
        )
        assert code == 0
        assert out.startswith("frozen")
        place.world.run_dag("resets", "r1", clock())
        place.world.run_dag("resets", "r2", clock())
        await eventually(lambda: _reasons(daemon).count("frozen") == 3, "it holds both")
        # People are told all the same, and after what is told here the held retries were decided on.
        place.world.run_dag("breaks", "r1", clock())
        await eventually(lambda: place.pages_about("breaks.load"), "people are told all the same")
        assert place.state.calls["clear"] == 0
        code, out, _ = await command("status", "--config", str(daemon.config))
        assert re.match(r"FROZEN by ada \(cli\).* at 20\S+Z \(release\): no change is made until", out)
        await eventually(lambda: daemon.metric("remediator_frozen"), "the metric says so")
        await _heals_by_itself(place, "r2")
        code, out, _ = await command("freeze", "off", "--config", str(daemon.config))
        assert code == 0
        await eventually(lambda: place.clears == 2, "what still fails is cleared")
        await eventually(lambda: _resolved(daemon, "resets"), "and proven")
        assert sorted(record.run_id for record in place.state.clear_records if record.user != "person") == ["r1"]
        assert place.state.duplicate_clears == 0


async def _heals_by_itself(place: Site, run_id: str) -> None:
    """A person clears it during the freeze."""
    place.world.person_clears("resets", run_id, clock())
    await eventually(lambda: place.state.runs["resets", run_id].state == "success", "a person mended it")


def _reasons(daemon: DaemonProcess) -> list[str]:
    return [line["reason"] for line in daemon.lines("decision")]


# -- a part that dies ---------------------------------------------------------------------------------------------


class Poisoned:
    """An executor, or a store, with a bug."""

    def __init__(self, inner: Any, *broken: str) -> None:
        self._inner = inner
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        return self._fail if name in self._broken else getattr(self._inner, name)

    async def _fail(self, *given: Any, **more: Any) -> Any:
        raise ZeroDivisionError("a bug in here")


def poisoned_outside(outside: Outside) -> Outside:
    looks = {**outside.questioners, "airflow.look": Poisoned(outside.questioners["airflow.look"], "ask")}
    return msgspec.structs.replace(outside, questioners=looks)


@pytest.mark.parametrize(
    "seams",
    [
        pytest.param(Seams(store=lambda store: Poisoned(store, "commit_batch")), id="the matcher"),
        pytest.param(Seams(store=lambda store: Poisoned(store, "commit_step")), id="the controller"),
        pytest.param(Seams(outside=poisoned_outside), id="the dispatcher"),
    ],
)
async def test_a_part_that_dies_ends_the_daemon_with_one_clear_line(
    place: Site, seams: Seams, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    place.world.run_dag("breaks", "r1", clock())
    with pytest.raises(ZeroDivisionError, match="a bug in here"):
        await serve(load_config(place.config()), seams)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    [failed] = [line for line in lines if line["level"] == "error"]
    assert failed["event"] == "daemon.failed"
    assert failed["problem"] == "ZeroDivisionError: a bug in here"
