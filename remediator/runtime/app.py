"""The daemon: every part wired, started in order, stopped in order.

Owns signals and the process's end. A part that dies unexpectedly ends the process with one clear line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from remediator import __version__
from remediator.codecs.deployments import DeploymentMap
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.model.time import SECOND
from remediator.rules.faults import Faults
from remediator.runtime import loops, wiring
from remediator.runtime.beats import LONG_WORK, SEVERAL_WAITS, Beats
from remediator.runtime.clock import DaemonClock
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher
from remediator.runtime.housekeeping import Housekeeper
from remediator.runtime.logs import Name, capture_libraries, make_logger
from remediator.runtime.loops import Wakes
from remediator.runtime.matcher import Matcher
from remediator.runtime.metrics import Metrics
from remediator.runtime.observe import Observer
from remediator.runtime.reporter import Reporter
from remediator.runtime.rulebook import RuleBook
from remediator.runtime.surface import DaemonSurface
from remediator.runtime.wiring import Outside
from remediator.sources.kafka import KafkaSource
from remediator.store.port import Store, StoreError
from remediator.web.app import build_app
from remediator.web.server import serving

Part = tuple[str, Coroutine[Any, Any, None]]
MATCHERS_STOP_S = 3.0
"""A poll ends within a second, a commit soon after."""


class AddressError(Exception):
    """The address of [http] cannot be had. Its text says which, why, and what to do."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(
            f"[http] host, port: cannot listen at {host} port {port}: {why}; give it an address of this machine that "
            "is free, or stop what has it, such as another remediator"
        )


class Seams(msgspec.Struct, frozen=True):
    """Where tests and the demo may look in or step between; the daemon itself uses the defaults."""

    store: Callable[[Store], Store] = lambda store: store
    outside: Callable[[Outside], Outside] = lambda outside: outside
    observer: type[Observer] = Observer


class Daemon:
    """One process's parts. `run` starts them and returns when `stop` was called; a dead part raises."""

    def __init__(self, config: Config, log: FilteringBoundLogger, seams: Seams | None = None) -> None:
        seams = seams or Seams()
        self.config = config
        self.log = log
        self.metrics = Metrics(__version__)
        self.wakes = Wakes()
        self.now = DaemonClock()
        self.store = seams.store(wiring.make_store(config))
        self.outside = seams.outside(wiring.make_outside(config, log.warning))
        self.observer = seams.observer(log, self.metrics, self.now)
        self.rules = RuleBook(config, self.store, self.now, log, self.observer.rules_reloaded)
        name = f"{config.daemon.name}-{os.getpid()}-{secrets.token_hex(4)}"  # in containers all have the same pid
        self.controller = Controller(name, self.store, self.now, self.observer.decided, config.daemon.lease)
        self.dispatcher = Dispatcher(
            name, self.store, self.now, self.outside.executors,
            {**self.outside.questioners, "report": Reporter(self.store, self.now, config.policy)},
            config.dispatcher.changes_per_minute, self.observer.performed, config.dispatcher.claim,
        )  # fmt: skip
        self.sources: dict[str, KafkaSource] = {
            feed.name: wiring.make_source(feed, wiring.make_positions(self.store, feed.name), self.now)
            for feed in config.feeds
        }
        self.beats = Beats()
        self.http_url = ""

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self.wakes.stop()

    async def run(self) -> None:
        """Until the stop. Raises StoreError if the store cannot be opened, and whatever killed a part."""
        await self.store.open()
        self.log.info(Name.STORE_OPENED, store=wiring.store_name(self.config))
        try:
            await self.now.follow(self.store)
            await self.rules.activate()
            async with self._http():
                self.log.info(Name.DAEMON_STARTED, version=__version__, pid=os.getpid(), http=self.http_url)
                await self._run_parts()
        finally:
            await self.outside.close()
            await self.store.close()

    async def _run_parts(self) -> None:
        for source in self.sources.values():
            await source.start()
        tasks = {asyncio.create_task(part, name=name) for name, part in self._parts()}
        tasks.add(asyncio.create_task(self.wakes.stopping.wait(), name="stop"))  # type: ignore[arg-type]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not self.wakes.stopping.is_set():
                _raise_dead(done)
            self.log.info(Name.DAEMON_STOPPING)
        finally:
            self.wakes.stop()
            await asyncio.gather(asyncio.wait(tasks, timeout=loops.DRAIN_S + 1), self._stop_sources(tasks))
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        _raise_first(results)

    async def _stop_sources(self, tasks: set[asyncio.Task[None]]) -> None:
        """Beside the actions that end, once no matcher polls: together they must stay below ten seconds."""
        matchers = [task for task in tasks if task.get_name().startswith("matcher ")]
        if matchers:
            await asyncio.wait(matchers, timeout=MATCHERS_STOP_S)
        await asyncio.gather(*(source.stop() for source in self.sources.values()))

    def _parts(self) -> list[Part]:
        settings, wakes, watch = self.config.dispatcher, self.wakes, self.beats.part
        report = self.observer.store_failed
        names = [(f"matcher {feed.name}", feed.name) for feed in self.config.feeds]
        parts: list[Part] = [
            (part, loops.match(self._matcher(name), wakes, report, watch(part, SEVERAL_WAITS))) for part, name in names
        ]
        return [
            *parts,
            ("controller", loops.decide(self.controller, wakes, report, watch("controller", SEVERAL_WAITS))),
            ("dispatcher", loops.dispatch(self.dispatcher, wakes, report, settings.concurrency,
                                          settings.poll / SECOND, self.beats)),
            ("rules", self.rules.follow(wakes.stopping, watch("rules", SEVERAL_WAITS))),
            ("clock", self.now.run(self.store, wakes, self.log, watch("clock"))),
            ("housekeeping", self._housekeeper().run(wakes)),
        ]  # fmt: skip

    def _matcher(self, feed_name: str) -> Matcher:
        feed = next(feed for feed in self.config.feeds if feed.name == feed_name)
        intake = wiring.make_intake(self.config, feed)
        source = self.sources[feed_name]
        return Matcher(intake, source, self.store, self.now, lambda: self.rules.current, self.observer.committed)

    def _housekeeper(self) -> Housekeeper:
        return Housekeeper(
            self.store,
            self.config.store,
            self.controller,
            self.sources,
            self.config.policy,
            self.metrics,
            self.now,
            self.log,
            self.beats.part("housekeeping", LONG_WORK),
        )

    @contextlib.asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        settings = self.config.http
        if not settings.enabled:
            yield
            return
        surface = DaemonSurface(
            self.store, self.now, self.config.policy, self.sources, lambda: self.controller.is_leader, self.beats,
            self.wakes.journal.set, DeploymentMap(self.config.bindings()).assign, self.observer.health,
            self.observer.delays, self.outside.executors,
        )  # fmt: skip
        app = build_app(surface, self.metrics, settings.token)
        async with contextlib.AsyncExitStack() as stack:
            try:
                running = await stack.enter_async_context(serving(app, settings.host, settings.port))
            except OSError as error:
                raise AddressError(settings.host, settings.port, _why(error)) from error
            self.http_url = running.url
            self.log.info(Name.HTTP_LISTENING, url=running.url)
            yield


def _why(error: OSError) -> str:
    """asyncio's and socket's own repeat the address."""
    return (error.strerror or str(error)).partition(" (while")[0]


def _raise_dead(done: set[asyncio.Task[None]]) -> None:
    for task in done:
        task.result()
        raise RuntimeError(f"{task.get_name()} ended by itself")


def _raise_first(results: list[BaseException | None]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


async def serve(config: Config, seams: Seams | None = None) -> None:
    """Run the daemon in this event loop until SIGTERM or SIGINT; SIGHUP reloads the rules."""
    log = make_logger(config.log.level, config.log.format)
    undo = capture_libraries(log)
    try:
        daemon = Daemon(config, log, seams)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.rules.want_reload)
        await daemon.run()
        log.info(Name.DAEMON_STOPPED)
    except (Faults, StoreError, AddressError):
        raise  # what the user wrote wrong, a store or an address that cannot be had: told by the caller, once
    except Exception as error:
        log.error(Name.DAEMON_FAILED, problem=f"{type(error).__name__}: {error}")
        raise
    finally:
        undo()


def run(config_path: Path, seams: Seams | None = None) -> None:
    """`remediator run`. Raises Faults for what the user wrote wrong, StoreError and AddressError."""
    config = load_config(config_path)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, seams))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
