"""What goes wrong in a process shows where people and probes look: readyz, status, metrics."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from remediator.cli.status import status_lines
from remediator.config.load import load_config
from remediator.engine.saved import encode_state
from remediator.engine.state import WorldState
from remediator.model.ids import WORLD_KEY
from remediator.model.policy import Policy
from remediator.model.time import MINUTE, SECOND, Instant
from remediator.rules.faults import Faults
from remediator.runtime.beats import Beats
from remediator.runtime.health import RECENT
from remediator.runtime.logs import make_logger
from remediator.runtime.metrics import Metrics
from remediator.runtime.observe import Observer
from remediator.runtime.rulebook import RuleBook
from remediator.runtime.surface import DaemonSurface
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData
from remediator.store.port import StepCommit, StoreError

START: Instant = 1_800_000_000_000_000
CONFIG = """
[store]
url = "sqlite:///{folder}/a.db"
[rules]
paths = ["{folder}/rules.toml"]
reload = false
[[feed]]
name = "main"
bootstrap_servers = ["localhost:9092"]
topics = ["events"]
"""
RULE = '[[rule]]\nid = "a"\nowner = "o"\nsummary = "s"\non = "task.failed_finally"\n[[rule.do]]\naction = "log"\n'


class Process:
    """The parts of a daemon that know how it is, on a clock set by hand."""

    def __init__(self) -> None:
        self.now = START
        self.metrics = Metrics()
        self.log = make_logger("error", "json", io.StringIO())
        self.observer = Observer(self.log, self.metrics, self.clock)
        self.store = MemoryStore(MemoryData(), clock=self.clock)
        self.surface = DaemonSurface(
            self.store, self.clock, Policy, {}, lambda: True, Beats(), lambda: None, lambda event, topic: ("", ()),
            self.observer.health,
        )  # fmt: skip

    def clock(self) -> Instant:
        return self.now

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"remediator_{name}", labels)


@pytest.fixture
def process() -> Process:
    return Process()


async def test_a_store_that_cannot_commit_is_not_ready_until_it_can(process: Process) -> None:
    process.observer.store_failed("matcher", StoreError("database or disk is full"))
    assert await process.surface.ready() == (False, ["store: matcher: database or disk is full"])
    assert process.value("store_failures_total", part="matcher") == 1
    assert "STORE FAILING    store: matcher: database or disk is full" in status_lines(await process.surface.status())
    process.now += RECENT - SECOND
    process.observer.store_failed("matcher", StoreError("database or disk is full"))
    process.now += RECENT - SECOND
    assert not (await process.surface.ready())[0]
    process.now += MINUTE
    assert await process.surface.ready() == (True, [])


async def test_a_clock_that_was_set_ahead_and_back_is_not_ready_until_it_has_caught_up(process: Process) -> None:
    world = WorldState(now=START + 3 * MINUTE)
    lease = await process.store.acquire_lease("me", MINUTE)
    assert lease is not None
    states: dict[str, bytes | None] = {WORLD_KEY: encode_state(world)}
    await process.store.commit_step(lease, StepCommit(position=0, at=START, states=states))
    assert await process.surface.ready() == (
        False,
        ["clock: it is 3m behind what was journalled: no wait, retry or page ends before it has caught up"],
    )
    process.now += 2 * MINUTE
    assert await process.surface.ready() == (True, [])


async def test_a_rejected_reload_is_seen_and_leaves_it_ready(process: Process, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULE)
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    told, stopping = asyncio.Event(), asyncio.Event()

    def reloaded(faults: Faults | None) -> None:
        process.observer.rules_reloaded(faults)
        told.set()

    book = RuleBook(load_config(config), process.store, process.clock, process.log, reloaded)
    following = asyncio.create_task(book.follow(stopping))

    async def reload(text: str, rejected: int) -> None:
        rules.write_text(text)
        book.want_reload()
        async with asyncio.timeout(10):
            await told.wait()
        told.clear()
        assert process.value("rules_rejected") == rejected

    await reload(RULE.replace("owner", "onwer"), 1)
    ready, reasons = await process.surface.ready()
    assert ready
    assert "rejected" in reasons[0]
    assert "onwer" not in reasons[0]  # anybody may ask
    status = await process.surface.status()
    assert "onwer" in status["rules_rejected"]
    assert any(line.startswith("RULES REJECTED") and "onwer" in line for line in status_lines(status))
    await reload(RULE.replace('"s"', '"better"'), 0)
    assert await process.surface.ready() == (True, [])
    stopping.set()
    await following
