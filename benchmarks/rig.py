"""The daemon's own parts in this process: source, matcher, controller, dispatcher over a SQLite file of their own.

Wired as `remediator run` wires them, without the HTTP surface, the file watcher and housekeeping.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.topic import Cost, Stopwatch
from benchmarks.workload import FEED, Workload
from remediator.actions.log import LogExecutor
from remediator.actions.port import Executor, Questioner
from remediator.config.settings import Config, Feed, FetchLimits, StoreSettings
from remediator.engine.core import Changes
from remediator.model.action import Action, Look
from remediator.model.inputs import Activated, Answer, Entry, Looked, Swept
from remediator.model.time import SECOND, Instant
from remediator.model.truth import DagRunTruth
from remediator.rules.index import RuleSet
from remediator.rules.spec import encode_rule_set
from remediator.runtime import loops, wiring
from remediator.runtime.beats import Beats
from remediator.runtime.clock import wall as now
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher
from remediator.runtime.intake import Prepared
from remediator.runtime.logs import make_logger
from remediator.runtime.matcher import Matcher
from remediator.runtime.metrics import Metrics
from remediator.runtime.observe import Observer
from remediator.store.port import Store, StoreError

LIMIT_S = 300.0


class AtOnce:
    """A scheduler that answers at once: every dagrun asked about has ended well."""

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        return [_answer(action, now) for action in actions]


def _answer(action: Action, now: Instant) -> Looked | Swept:
    if isinstance(action.params, Look):
        dag_id, run_id = action.params.dag_id, action.params.run_id
        truth = DagRunTruth(action.target, dag_id, run_id, "success", ended_at=now)
        return Looked(action.id, action.key, run_id, truth)
    return Swept(action.id, action.target, now, now)


class Sink(io.StringIO):
    """A log stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def config_of(workload: Workload, bootstrap: str, topic: str, folder: Path, group: str, fetch: FetchLimits) -> Config:
    """The configuration as a user would have it: every setting not named here is the shipped one."""
    feed = Feed(FEED, (bootstrap,), topics=(topic,), group=group, start="earliest", fetch=fetch)
    return Config(
        base=folder,
        feeds=(feed,),
        decisions=workload.spec.policy,
        store=StoreSettings(url=f"sqlite:///{folder.resolve()}/{group}.db"),
        deployments=workload.deployments,
    )


class Rig:
    """`measure` reads the topic from its beginning and says what that cost until everything was decided."""

    def __init__(self, config: Config, rules: RuleSet, executors: Mapping[str, Executor] | None = None, *,
                 dispatches: bool = True) -> None:  # fmt: skip
        feed = config.feeds[0]
        log = make_logger(config.log.level, config.log.format, Sink())
        self._observer = Observer(log, Metrics(), now)
        self._wakes = loops.Wakes()
        self._rules = rules
        self._config = config
        self._dispatches = dispatches
        self.store: Store = wiring.make_store(config)
        self.source = wiring.make_source(feed, wiring.make_positions(self.store, feed.name), now)
        self.controller = Controller("bench", self.store, now, self._decided)
        self.matcher = Matcher(
            wiring.make_intake(config, feed), self.source, self.store, now, lambda: rules, self._seen
        )
        questioners: dict[str, Questioner] = {"airflow.look": AtOnce(), "airflow.sweep": AtOnce()}
        done = executors or {"log": LogExecutor(log.warning)}
        self.dispatcher = Dispatcher("bench", self.store, now, done, questioners, told=self._observer.performed)
        self._watch = Stopwatch()
        self._records = 0
        self._matches = 0
        self._wanted = 0
        self._read_all = asyncio.Event()
        self._moved = asyncio.Event()
        self.opened = asyncio.Event()
        self._position = 0

    def _seen(self, feed: str, prepared: Prepared) -> None:
        self._observer.committed(feed, prepared)
        self.opened.set()
        self._records += prepared.records
        self._matches += prepared.matches
        if self._records and not self._watch.running:
            self._watch.first(self._records)
        if self._wanted and self._records >= self._wanted:
            self._read_all.set()

    def _decided(self, changes: Changes, entries: Sequence[Entry]) -> None:
        self._observer.decided(changes, entries)
        self._position = changes.position
        self._moved.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Every part at work."""
        await self.store.open()
        await self.store.put_rule_set(self._rules.hash, encode_rule_set(self._rules.spec))
        await self.store.append([Activated(self._rules.hash)], now())
        while not self._position:  # the controller compiles the rules when it begins: not a cost of records
            await self.controller.run_once()
        await self.source.start()
        settings = self._config.dispatcher
        async with asyncio.TaskGroup() as group:
            group.create_task(loops.match(self.matcher, self._wakes, _fail))
            group.create_task(loops.decide(self.controller, self._wakes, _fail))
            if self._dispatches:
                group.create_task(
                    loops.dispatch(
                        self.dispatcher, self._wakes, _fail, settings.concurrency, settings.poll / SECOND, Beats()
                    )
                )
            try:
                yield
            finally:
                self._wakes.stop()
        await self.source.stop()
        await self.store.close()

    async def measure(self, total: int) -> Cost:
        """The cost of `total` records, from the first committed batch until the last journal entry is decided on."""
        self._wanted = total
        async with self.running():
            async with asyncio.timeout(LIMIT_S):
                await self._read_all.wait()
                while await self.store.read_journal(self._position, 1):
                    self._moved.clear()
                    await loops.wait_for(self._moved, 0.05)
            return self._watch.stop(self._records, self._matches)


def _fail(part: str, error: StoreError) -> None:
    raise RuntimeError(f"{part}: the store failed during the measurement") from error
