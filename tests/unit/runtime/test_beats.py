"""A part that stands still turns /livez red, by its name; one that waits, works or tries again does not."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.actions.port import Executor
from remediator.config.load import load_config
from remediator.model.action import Action, Guarantee, LogLine
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.outcome import Outcome
from remediator.model.time import HOUR, MINUTE, SECOND, Duration, Instant
from remediator.runtime import clock, housekeeping, loops, rulebook
from remediator.runtime.app import Daemon, Seams
from remediator.runtime.beats import LONG_CALL, LONG_WORK, SEVERAL_WAITS, STUCK_AFTER, Beat, Beats
from remediator.runtime.dispatcher import Dispatcher
from remediator.runtime.logs import make_logger
from remediator.sources.memory import MemorySource, MemoryTopic
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData
from remediator.store.port import StepCommit, StoreError
from tests.support.loopback import loopback_client

START: Instant = 1_800_000_000_000_000
LIMIT_S = 20.0
PARTS = {"matcher main", "controller", "dispatcher", "rules", "clock", "housekeeping"}
CONFIG = """
[store]
url = "sqlite:///{folder}/a.db"
[http]
port = 0
[rules]
paths = ["{folder}/rules.toml"]
reload = false
[[feed]]
name = "main"
bootstrap_servers = ["localhost:9092"]
topics = ["events"]
"""
RULE = '[[rule]]\nid = "a"\nowner = "o"\nsummary = "{}"\non = "task.failed_finally"\n[[rule.do]]\naction = "log"\n'


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> Instant:
        return self.now


def test_a_part_is_stuck_once_it_has_not_gone_round_for_so_long() -> None:
    steady = Clock()
    beats = Beats(steady)
    beat = beats.part("clock")
    beats.part("housekeeping", LONG_WORK)
    steady.now += STUCK_AFTER - SECOND
    assert beats.stuck() == []
    steady.now += SECOND
    assert beats.stuck() == ["clock for 2m"]
    beat()
    assert beats.stuck() == []
    steady.now += LONG_WORK
    assert beats.stuck() == ["clock for 10m", "housekeeping for 12m"]


def test_a_call_is_stuck_until_it_ends_however_many_others_go_on() -> None:
    steady = Clock()
    beats = Beats(steady)
    with beats.during("log", MINUTE):
        steady.now += MINUTE
        with beats.during("log", MINUTE):
            assert beats.stuck() == ["log for 1m"]
    assert beats.stuck() == []


class Rounds(Beats):
    """Tells which parts have gone round since it was asked."""

    def __init__(self, steady: Clock) -> None:
        super().__init__(steady)
        self._gone: set[str] = set()
        self._moved = asyncio.Event()

    def part(self, name: str, stuck_after: Duration = STUCK_AFTER) -> Beat:
        beat = super().part(name, stuck_after)

        def told() -> None:
            beat()
            self._gone.add(name)
            self._moved.set()

        return told

    async def round(self, parts: set[str]) -> None:
        """Until each has gone round anew."""
        self._gone.clear()
        async with asyncio.timeout(LIMIT_S):
            while not parts <= self._gone:
                await self._moved.wait()
                self._moved.clear()


class Outside:
    """What the parts wait for: it answers, fails, or does not answer before the test is over."""

    def __init__(self) -> None:
        self.hangs = ""
        self.fails = False
        self.hanging = asyncio.Event()
        self.over = asyncio.Event()

    async def answer(self, point: str) -> None:
        if point == f"{self.hangs}:before" or point == self.hangs:
            self.hanging.set()
            await self.over.wait()
        if self.fails and point.endswith(":before"):
            raise StoreError("away")

    async def poll(self, point: str) -> None:
        await self.answer(point)
        await loops.wait_for(asyncio.Event(), 0.01)


class Store(MemoryStore):
    """A store that can be asked for the time, which may take its time."""

    async def now(self) -> Instant | None:
        await self._pause("now:before")
        return None


class Running:
    """A daemon of real parts over a store and a source in memory."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules.toml"
        self.rules.write_text(RULE.format("s"))
        config = folder / "config.toml"
        config.write_text(CONFIG.format(folder=folder))
        self.outside = Outside()
        self.steady = Clock()
        self.beats = Rounds(self.steady)
        store = Store(MemoryData(), clock=clock.wall, pause=self.outside.answer)
        log = make_logger("error", "json", io.StringIO())
        self.daemon = Daemon(load_config(config), log, Seams(store=lambda _: store))
        self.daemon.beats = self.beats

        async def positions(topic: str) -> dict[int, int]:
            return await store.progress("main", topic)

        source = MemorySource("main", [MemoryTopic("events")], positions, clock.wall, self.outside.poll)
        source.problem = ""  # type: ignore[attr-defined]
        self.daemon.sources["main"] = source  # type: ignore[assignment]

    async def livez(self) -> tuple[int, str]:
        async with loopback_client(self.daemon.http_url) as client:
            answer = await client.get("/livez")
        return answer.status_code, answer.text


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for module, name in (
        (clock, "FOLLOW_EVERY_S"),
        (housekeeping, "EVERY_S"),
        (rulebook, "BEAT_EVERY_S"),
        (loops, "STORE_RETRY_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    found = Running(tmp_path)
    task = asyncio.create_task(found.daemon.run())
    await found.beats.round(PARTS)
    yield found
    found.outside.fails = False
    found.outside.over.set()
    found.daemon.stop()
    async with asyncio.timeout(LIMIT_S):
        await task


async def test_idle_parts_are_live_however_long_it_lasts(running: Running) -> None:
    for _ in range(3):
        running.steady.now += STUCK_AFTER - SECOND
        await running.beats.round(PARTS)
    assert await running.livez() == (200, "ok\n")


async def test_parts_whose_store_is_away_are_live_and_try_again(running: Running) -> None:
    running.outside.fails = True
    for _ in range(3):
        running.steady.now += STUCK_AFTER - SECOND
        await running.beats.round(PARTS)
    assert await running.livez() == (200, "ok\n")


@pytest.mark.parametrize(
    ("hangs", "part", "after"),
    [
        ("source.poll", "matcher main", SEVERAL_WAITS),
        ("commit_batch", "matcher main", SEVERAL_WAITS),
        ("read_journal", "controller", SEVERAL_WAITS),
        ("claim", "dispatcher", STUCK_AFTER),
        ("put_rule_set", "rules", SEVERAL_WAITS),
        ("now", "clock", STUCK_AFTER),
        ("counts", "housekeeping", LONG_WORK),
    ],
)
async def test_a_part_that_never_goes_on_is_named(running: Running, hangs: str, part: str, after: Duration) -> None:
    running.outside.hangs = hangs
    if hangs == "put_rule_set":
        running.rules.write_text(RULE.format("another"))
        running.daemon.rules.want_reload()
    async with asyncio.timeout(LIMIT_S):
        await running.outside.hanging.wait()
    running.steady.now += after - SECOND
    await running.beats.round(PARTS - {part})
    assert await running.livez() == (200, "ok\n")
    running.steady.now += SECOND
    status, text = await running.livez()
    assert (status, text) == (503, f"stuck: {part} for {after // MINUTE}m\n")


class Silent:
    """Never answers."""

    guarantee = Guarantee.KEYED

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        self.asked.set()
        await asyncio.Future()
        raise AssertionError


@pytest.mark.parametrize(("claim", "after"), [(90 * SECOND, LONG_CALL), (HOUR, 2 * HOUR)])
async def test_a_call_that_never_ends_is_named_though_others_are_claimed(claim: Duration, after: Duration) -> None:
    now, steady, silent = Clock(), Clock(), Silent()
    beats, wakes = Rounds(steady), loops.Wakes()
    store = MemoryStore(MemoryData(), clock=now)
    incident = Incident("i", 1, "t", "warning", "a", Phase.FIRING, Handling.NONE, START, START)
    lease = await store.acquire_lease("one", MINUTE)
    assert lease is not None
    action = Action("x", "l", "dag:a/d", "log", LogLine(incident, "t"), START, START + HOUR)
    await store.commit_step(lease, StepCommit(position=0, at=START, actions=[action]))
    executors: dict[str, Executor] = {"log": silent}
    dispatcher = Dispatcher("d", store, now, executors, {}, claim_duration=claim)
    task = asyncio.create_task(loops.dispatch(dispatcher, wakes, lambda part, error: None, 2, 0.01, beats))
    async with asyncio.timeout(LIMIT_S):
        await silent.asked.wait()
    steady.now += after - SECOND
    await beats.round({"dispatcher"})
    assert beats.stuck() == []
    steady.now += SECOND
    await beats.round({"dispatcher"})
    assert beats.stuck() == [f"dispatcher: log for {'30m' if after == LONG_CALL else '2h'}"]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
