"""Killed at the worst moments of one retry: before and after its intent, after its call, before its outcome is kept."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from remediator.model.incident import Phase
from remediator.store.factory import open_store
from remediator.testing.crash import POINTS
from tests.acceptance.harness import DaemonProcess, Site, clock, eventually

pytestmark = [pytest.mark.subprocesses, pytest.mark.broker]

CRASH = "remediator.testing.crash"


def config(place: Site) -> Path:
    """What a dead process had in hand is taken up after four seconds instead of ninety."""
    own = place.settings()
    api = own["deployment"][0]["api"]
    return place.config(
        feed=[{**own["feed"][0], "session": "1s"}],
        deployment=[place.deployment(api={**api, "timeout": "1s"})],
        receiver=[{**receiver, "timeout": "1s"} for receiver in own["receiver"]],
        dispatcher={**own["dispatcher"], "claim": "4s"},
        http={"enabled": False},
    )


@pytest.mark.parametrize("point", POINTS)
async def test_one_retry_has_one_effect(place: Site, tmp_path: Path, point: str) -> None:
    settings, flag = config(place), tmp_path / "crashed"
    place.world.run_dag("resets", "run-1", clock())
    crashing = DaemonProcess(settings, {"REMEDIATOR_CRASH_AT": point, "REMEDIATOR_CRASH_FLAG": str(flag)}, CRASH)
    async with crashing:
        assert await crashing.wait() == -signal.SIGKILL, crashing.text
    assert flag.exists()
    assert place.clears == (1 if point in ("call:after", "outcome:before") else 0)
    assert place.state.runs["resets", "run-1"].state in ("failed", "running", "success")
    async with DaemonProcess(settings) as daemon:
        await eventually(lambda: place.state.runs["resets", "run-1"].state == "success", "the task has healed")
        await eventually(lambda: story(tmp_path), "the retry is known to be done, and to have helped")
        assert await daemon.stop() == 0
    assert (place.clears, place.state.duplicate_clears) == (1, 0)
    assert (place.pages, place.receiver.slack.posts) == (0, 0)


async def story(folder: Path) -> bool:
    """One incident, resolved because the retry helped; one retry, delivered."""
    store = open_store(f"sqlite:///{folder}/remediator.db")
    await store.open()
    try:
        (incident,) = await store.incidents(open_only=False, limit=10)
        retries = [row.state for row in await store.actions(incident.id, 100) if row.action.kind == "airflow.retry"]
    finally:
        await store.close()
    assert (incident.phase, incident.resolution, incident.helped) == (Phase.RESOLVED, "helped", True)
    assert retries == ["delivered"]
    return True
