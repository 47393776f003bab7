"""Everything that the demo runs: broker, fleet, receiver, traffic, a person, and the daemon itself, in one process.

Owns the order in which they start and stop. Shows nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.demo.broker import EmbeddedBroker
from remediator.demo.files import CHANNEL, LOG, PARTITIONS, SECRETS, TOPIC, packs, write_config, write_rules
from remediator.demo.fleet.running import Running, running
from remediator.demo.fleet.scenario import Fate, Scenario
from remediator.demo.person import Person
from remediator.demo.receiver.app import Receiver
from remediator.demo.receiver.pagerduty import PagerDutyState
from remediator.demo.receiver.slack import SlackState
from remediator.demo.story import Story
from remediator.demo.traffic import Traffic
from remediator.demo.watch import Tally, watching
from remediator.engine.saved import decode_world_state
from remediator.engine.state import WorldState
from remediator.model.ids import WORLD_KEY
from remediator.model.time import SECOND, Duration, Instant
from remediator.runtime.app import Daemon, Seams
from remediator.runtime.clock import wall as now
from remediator.runtime.logs import capture_libraries, make_logger
from remediator.store.port import Counts
from remediator.web.server import serving

STARTED_WITHIN_S = 20.0
STOPPED_WITHIN_S = 15.0
POLL_S = 0.05
OPENING = (
    ("prod-eu", "crm_sync", Fate.TRANSIENT),
    ("prod-us", "payments_settle", Fate.KILLED),
    ("prod-us", "tax_report", Fate.TRANSIENT),
    ("analytics", "mart_revenue", Fate.PERMANENT),
    ("analytics", "churn_training", Fate.OOM),
    ("analytics", "kpi_board", Fate.TRANSIENT),
    ("prod-eu", "stock_levels", Fate.STUBBORN),
)
"""One of each kind of trouble in the first seconds, whatever the seed; the rest is the seed's."""


@dataclass(slots=True)
class Plant:
    """What runs, for those who show it.

    started_at: when the first dagrun could begin. daemon_task ends before the plant does only if the daemon died.
    """

    folder: Path
    broker: EmbeddedBroker
    receiver: Receiver
    traffic: Traffic
    fleet: dict[str, Running]
    person: Person
    config: Config
    daemon: Daemon
    daemon_task: asyncio.Task[None]
    story: Story
    tally: Tally
    started_at: Instant

    async def counts(self) -> Counts:
        """What the daemon's store says of itself."""
        return await self.daemon.store.counts()

    async def world(self) -> WorldState:
        """The daemon's state of feeds and freeze, as committed."""
        body = (await self.daemon.store.load_states([WORLD_KEY])).get(WORLD_KEY)
        return decode_world_state(body) if body is not None else WorldState()


@contextlib.asynccontextmanager
async def planted(
    folder: Path, story: Story, tally: Tally, *, seed: int, length: Duration, port: int
) -> AsyncIterator[Plant]:
    """Start everything; dagruns begin for `length`. On leaving all of it is stopped, in the order that loses nothing.

    Raises Faults, StoreError, BrokerFailed and OSError if something cannot start, and what killed a part that died.
    """
    traffic = Traffic(TOPIC)
    receiver = Receiver(
        SlackState((CHANNEL,), token=SECRETS["slack.token"]), PagerDutyState(SECRETS["pagerduty.key"])
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(EmbeddedBroker())
        await broker.create_topics({TOPIC: PARTITIONS})
        people = await stack.enter_async_context(serving(receiver.app()))
        stack.callback(receiver.release)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20)
        await producer.start()
        stack.push_async_callback(producer.stop)
        start = now() + SECOND
        scenario = Scenario(seed, start, length, opening=OPENING)
        fleet = await stack.enter_async_context(running(scenario, now, traffic.emit))
        config = _configured(folder, port, broker.bootstrap, people.url, fleet)
        daemon, task = await stack.enter_async_context(_daemon(config, folder, story, tally))
        person = Person([one.world for one in fleet.values()], now)
        await stack.enter_async_context(_beside("traffic", traffic.deliver(producer)))
        await stack.enter_async_context(_beside("person", person.work()))
        yield Plant(folder, broker, receiver, traffic, fleet, person, config, daemon, task, story, tally, start)


def _configured(folder: Path, port: int, bootstrap: str, receiver: str, fleet: dict[str, Running]) -> Config:
    write_rules(packs(), folder / "rules")
    apis = {name: one.url for name, one in fleet.items()}
    return load_config(write_config(folder, port=port, bootstrap=bootstrap, receiver=receiver, apis=apis))


@contextlib.asynccontextmanager
async def _daemon(
    config: Config, folder: Path, story: Story, tally: Tally
) -> AsyncIterator[tuple[Daemon, asyncio.Task[None]]]:
    """The daemon as `remediator run` has it, with its log in a file and the demo's observer."""
    with (folder / LOG).open("a", encoding="utf-8", buffering=1) as file:
        log = make_logger(config.log.level, config.log.format, file)
        undo = capture_libraries(log)
        try:
            daemon = Daemon(config, log, Seams(observer=watching(story, tally)))
            task = asyncio.create_task(daemon.run(), name="daemon")
            try:
                await _until_it_listens(daemon, task)
                yield daemon, task
            finally:
                daemon.stop()
                await asyncio.wait([task], timeout=STOPPED_WITHIN_S)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            _raise_what_killed(task)
        finally:
            undo()


async def _until_it_listens(daemon: Daemon, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(STARTED_WITHIN_S):
        while not daemon.http_url:
            if task.done():
                task.result()
            await asyncio.sleep(POLL_S)


def _raise_what_killed(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()


@contextlib.asynccontextmanager
async def _beside(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on until left; a fault in it is raised on leaving."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
