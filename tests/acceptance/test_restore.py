"""The store is lost and a backup put back: nothing is done twice, what was missed is looked at, and told once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import DaemonProcess, Site, clock, command, eventually

pytestmark = [pytest.mark.subprocesses, pytest.mark.broker, pytest.mark.slow]

CRASH = "remediator.testing.crash"


def heal(place: Site, run_id: str) -> None:
    place.world.run_dag("resets", run_id, clock())


def state(place: Site, run_id: str) -> str:
    run = place.state.runs.get(("resets", run_id))
    return run.state if run is not None else ""


async def healed(place: Site, run_id: str) -> None:
    await eventually(lambda: state(place, run_id) == "success", f"{run_id} has healed")


async def found(daemon: DaemonProcess) -> dict[str, Any]:
    """What the status tells once everything was looked at."""

    async def told() -> Any:
        restored = (await daemon.status()).get("restored")  # the daemon has yet to read that it was
        return restored if restored is not None and not restored["looking"] else None

    return dict(await eventually(told, "what was found is told"))


def settings(place: Site) -> Path:
    """What a dead process had in hand is taken up after four seconds instead of ninety."""
    own = place.settings()
    api = own["deployment"][0]["api"]
    return place.config(
        deployment=[place.deployment(api={**api, "timeout": "1s"})],
        receiver=[{**receiver, "timeout": "1s"} for receiver in own["receiver"]],
        dispatcher={**own["dispatcher"], "claim": "4s"},
        policy={**own["policy"], "self_route": "default"},
    )


async def test_a_backup_that_is_put_back_repeats_nothing_and_says_what_it_found(place: Site, tmp_path: Path) -> None:
    config, backup = settings(place), tmp_path / "backup.db"
    async with DaemonProcess(config) as daemon:
        place.world.run_dag("breaks", "run-1", clock())
        await eventually(lambda: place.pages == 1, "what cannot be healed is paged")
        assert await daemon.stop() == 0
    heal(place, "run-1")
    async with DaemonProcess(config, {"REMEDIATOR_CRASH_AT": "intent:after"}, CRASH) as crashing:
        assert await crashing.wait() == -signal.SIGKILL, crashing.text
    assert (await command("backup", str(backup), "--config", str(config)))[0] == 0
    assert place.clears == 0, "the backup holds a clear that was not made yet"

    async with DaemonProcess(config) as daemon:
        await healed(place, "run-1")
        heal(place, "run-2")
        await healed(place, "run-2")
        code, _, error = await command("restore", "--config", str(config), "--from", str(backup), "--confirm")
        assert (code, "stop" in error) == (2, True)
        assert await daemon.stop() == 0
    posts, pages = place.receiver.slack.posts, place.pages
    assert place.clears == 2

    code, out, _ = await command("restore", "--config", str(config), "--from", str(backup))
    assert (code, "1 unfinished" in out) == (2, False), "the store that is there has nothing unfinished"
    code, out, error = await command(
        "restore", "--config", str(config), "--from", str(backup), "--confirm", "--as", "ann"
    )
    assert (code, "1 unfinished actions" in out) == (0, True), out + error

    async with DaemonProcess(config) as daemon:
        restored = await found(daemon)
        counts = {name: restored[name] for name in ("actions", "done", "not_done", "unknown", "cases", "healed")}
        assert counts == {"actions": 1, "done": 1, "not_done": 0, "unknown": 0, "cases": 2, "healed": 1}, restored
        await daemon.settled(0)
        heal(place, "run-3")
        await eventually(lambda: state(place, "run-3") == "failed", "it fails")
        await daemon.settled(0)
        assert (await daemon.status())["frozen"]
        assert (place.clears, place.state.duplicate_clears) == (2, 0)
        assert (place.pages, place.receiver.slack.posts) == (pages, posts + 1), "told once, and nobody is woken"
        assert (await command("freeze", "off", "--config", str(config)))[0] == 0
        await healed(place, "run-3")
        assert "restored" not in await daemon.status()
        assert (place.clears, place.state.duplicate_clears) == (3, 0)
        assert await daemon.stop() == 0
