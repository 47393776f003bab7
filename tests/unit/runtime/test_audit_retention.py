"""Housekeeping and the audit: kept for ever, unless it is configured."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from remediator.config.settings import StoreSettings
from remediator.model.policy import Policy
from remediator.model.time import DAY, Duration
from remediator.runtime.controller import Controller
from remediator.runtime.housekeeping import Housekeeper
from remediator.runtime.loops import Wakes
from remediator.runtime.metrics import Metrics
from remediator.store.audit import AuditEntry
from remediator.store.memory import MemoryStore

NOW = 1_800_000_000_000_000


class Log:
    """Sets `snapshot` with the line that comes right before pruning, and `pruned` with the one after it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, name: str, **fields: Any) -> None:
        self.lines.append(name)

    warning = error = info


@pytest.mark.parametrize(("retention", "left"), [(None, [1, 2]), (400 * DAY, [1, 2]), (30 * DAY, [2, 3])])
async def test_the_audit_goes_only_when_it_is_configured(retention: Duration | None, left: list[int]) -> None:
    pruning = asyncio.Event()

    async def note(point: str) -> None:
        if point == "prune:after":
            pruning.set()

    store = MemoryStore(clock=lambda: NOW, pause=note)
    for at in (NOW - 31 * DAY, NOW):
        await store.append([], at, audit=[AuditEntry(event="command", actor="ada", what="freeze")])
    controller = Controller("one", store, lambda: NOW)
    await controller.run_once()
    wakes = Wakes()
    settings = StoreSettings(audit_retention=retention)
    keeper = Housekeeper(store, settings, controller, {}, Policy, Metrics("9"), lambda: NOW, Log())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run(wakes))
    async with asyncio.timeout(10):
        await pruning.wait()
        await _until_paused(task)
        wakes.stop()
        await task
    assert [row.seq for row in store.data.audit] == left


async def _until_paused(task: asyncio.Task[None]) -> None:
    """The store in memory answers at once: a few turns of the loop later the keeper waits for its next turn."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
