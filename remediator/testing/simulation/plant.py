"""One simulated plant: two daemons on one store, two partitions, three deployments, people, and a seed's faults.

Owns the wiring and the course of time. What must hold is in checks.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from remediator.model.action import QUESTIONS, Guarantee, Retry
from remediator.model.event import Event
from remediator.model.inputs import Activated, Input, Pressed
from remediator.model.policy import Mode
from remediator.model.time import SECOND, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher, Job
from remediator.runtime.matcher import Matcher
from remediator.sources.memory import MemorySource, MemoryTopic
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData, OutboxRow
from remediator.store.port import StoreError
from remediator.testing.simulation.changing import SimulatedChanges, SimulatedDagruns
from remediator.testing.simulation.crowd import Crowd, at_once, meddle
from remediator.testing.simulation.driver import BUSY, IDLE, BrokenStore, Clock, Driver, Process, switch
from remediator.testing.simulation.features import NEVER_TAG, choose, policy_of, rules_of
from remediator.testing.simulation.layout import (
    DETECTING,
    FEED,
    FOR_EVER,
    NO_STALL,
    OFFERS,
    REST,
    REST_STEP,
    START,
    STEP,
    TOPIC,
    TROUBLE,
    WATCHED,
    Parts,
    detectors,
    hash_of,
    observing_rule,
    plant_intake,
    plant_policy,
)
from remediator.testing.simulation.odds import choose_odds
from remediator.testing.simulation.outside import Network, People, SimulatedLooks
from remediator.testing.simulation.scheduler import Scheduler
from remediator.testing.simulation.trouble import plan_trouble
from remediator.testing.simulation.watch import LaneWatch


class Plant:
    """Everything of one seed. `run` lets it happen; `violations` holds what was seen to go wrong on the way."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.features = choose(seed)
        self.random = Random(seed)  # noqa: S311  (repeatable, not secret)
        self.meddling = Random(seed + 1)  # noqa: S311  (its own, so that it changes no other choice)
        self.clock = Clock(START)
        self.data = MemoryData()
        self.topic = MemoryTopic(TOPIC, 2)
        self.violations: list[str] = []
        self.happened: list[tuple[Instant, str]] = []
        """Faults and what people did, for the story."""
        self.flying: dict[str, dict[int, tuple[str, Instant]]] = {}
        """Lane -> flight -> (action id, end of its claim)."""
        self.flights = 0
        self.sent: dict[tuple[int, int], Event | None] = {}
        """(partition, offset) -> the event that reached the topic; None for garbage."""
        self.sent_at: dict[tuple[int, int], Instant] = {}
        self.dropped: set[tuple[int, int]] = set()
        """What retention took before it was certainly read."""
        self.froze: list[tuple[Instant, Instant]] = []
        """[from, to) of every freeze, as the person saw it."""
        self.ceilings = {"alpha": Mode.ACT, "beta": self.random.choice([Mode.ACT, Mode.OBSERVE]), WATCHED: Mode.ACT}
        if self.features.approves == "beta":
            self.ceilings["beta"] = Mode.APPROVE
        policy = plant_policy(self.ceilings)
        over_time = detectors() if seed % DETECTING == 0 else ()
        self.spec = RuleSetSpec(
            (*rules_of(self.features), observing_rule(), *over_time), policy_of(self.features, policy)
        )
        self.rules = RuleSet(self.spec)
        self.network = Network(self.random, self.random.choice([0.0, 0.02, 0.15]))
        self.schedulers = {name: self._scheduler(name) for name in self.ceilings}
        self.pager = People(self.network, self.clock, Guarantee.KEYED)
        self.chat = People(self.network, self.clock, Guarantee.PROVABLE)
        self.odds = choose_odds(self.random)
        self.troubled = True
        self.reachable = True
        self.driver = Driver(self.random, self.clock, self._fault)
        self.owners: dict[int, set[str]] = {0: {"one"}, 1: {"two"}}
        self.sources: dict[str, MemorySource] = {}
        self.agenda: list[tuple[Instant, Callable[[], None]]] = []
        self.looks: Counter[tuple[str, str, str, int]] = Counter()
        self.crowd = Crowd(self)
        self.offers = 0
        """Grows whenever a lane may have become free; the outbox's own sequence tells of new rows."""

    # -- building -------------------------------------------------------------------------------------------------

    def _scheduler(self, name: str) -> Scheduler:
        scheduler = Scheduler(name, self.random, self.clock)
        scheduler.emit = self._emit
        scheduler.on_failed_again = lambda *place: meddle(self, scheduler, *place)
        if self.features.never:
            scheduler.tags[self.features.never] = (NEVER_TAG,)
        return scheduler

    def _store(self) -> MemoryStore:
        return self.parts.store(self.data, clock=self.clock, pause=self._pause)

    async def _pause(self, point: str) -> None:
        if point in OFFERS:
            self.offers += 1
        elif point == "commit_step:before":
            self.crowd.step_begins()
        elif point == "commit_step:after":
            self.crowd.step_ends()
            if self.troubled:
                self._perhaps_freeze()
        if self.random.random() < self.odds.pause:
            await switch(point)
        if self.troubled and ":" in point and self.random.random() < self.odds.store_fault:
            raise BrokenStore(f"injected at {point}")

    def _boot(self, process: Process) -> None:
        store, name = self._store(), process.name
        mine = [(TOPIC, partition) for partition, owners in self.owners.items() if name in owners]

        async def positions(topic: str) -> dict[int, int]:
            return await store.progress(FEED, topic)

        source = MemorySource(FEED, [self.topic], positions, self.clock, self._pause, assigned=mine, max_records=7)
        source.reachable = self.reachable
        self.sources[name] = source
        matcher = Matcher(plant_intake(list(self.ceilings)), source, store, self.clock, lambda: self.rules)
        controller = self.parts.controller(name, store, self.clock)
        reachable = {name: one for name, one in self.schedulers.items() if name != WATCHED}
        looks = SimulatedLooks(reachable, self.network, self.looks)
        changes = LaneWatch(SimulatedChanges(reachable, self.network, self.clock), self)
        dagruns = LaneWatch(SimulatedDagruns(reachable, self.network, self.clock), self)
        dispatcher = Dispatcher(
            name,
            store,
            self.clock,
            {
                "airflow.retry": LaneWatch(self.parts.retries(reachable, self.network, self.clock), self),
                "airflow.pause": changes,
                "airflow.pool": changes,
                "airflow.rerun": dagruns,
                "airflow.trigger": dagruns,
                "pagerduty.page": LaneWatch(self.pager, self),
                "slack.message": LaneWatch(self.chat, self),
            },
            {"airflow.look": looks, "airflow.sweep": looks, "airflow.log": looks, "preview": looks},
        )
        process.spawn("matcher", self._loop(matcher.run_once))
        process.spawn("controller", self._controller_loop(store, controller), lambda: self._journalled(controller))
        process.spawn("dispatcher", self._loop(lambda: self._dispatch(process, dispatcher)), self._offered)

    def _journalled(self, controller: Controller) -> int:
        return self.data.head if controller.is_leader else self.data.epoch

    def _offered(self) -> int:
        return self.offers + self.data.sequence

    async def _loop(self, once: Callable[[], object]) -> None:
        while True:
            try:
                worked = await once()  # type: ignore[misc]
            except StoreError:
                worked = False
            await switch(BUSY if worked else IDLE)

    async def _controller_loop(self, store: MemoryStore, controller: Controller) -> None:
        while True:
            try:
                await store.put_rule_set(self.rules.hash, encode_rule_set(self.spec))
                await store.append([Activated(self.rules.hash)], self.clock())
                break
            except StoreError:
                await switch(BUSY)
        await self._loop(controller.run_once)

    async def _dispatch(self, process: Process, dispatcher: Dispatcher) -> bool:
        jobs = await dispatcher.claim(8)
        for job in jobs:
            process.spawn("job", self._work(dispatcher, job))
        return bool(jobs)

    async def _work(self, dispatcher: Dispatcher, job: Job) -> None:
        try:
            await dispatcher.work(job)
        except StoreError:
            return
        await switch(BUSY)

    @property
    def is_frozen(self) -> bool:
        """Has somebody pressed the freeze and nobody the thaw since?"""
        return bool(self.froze) and self.froze[-1][1] == FOR_EVER

    def _perhaps_freeze(self) -> None:
        """Somebody sees a retry coming and presses the freeze: the moment in which it must hold."""
        if self.odds.freeze == 0 or self.is_frozen or self.random.random() >= self.odds.freeze:
            return
        rows = (row for lane in self.data.lanes.values() for row in lane.values())
        if any(row.state == "pending" and isinstance(row.action.params, Retry) for row in rows):
            self.press("freeze")
            self.at(self.clock.now + self.random.randrange(SECOND, 60 * SECOND), lambda: self.press("thaw"))

    def note(self, text: str) -> None:
        """For the story."""
        self.happened.append((self.clock.now, f"    {text}"))

    # -- faults ---------------------------------------------------------------------------------------------------

    def _fault(self, process: Process, point: str) -> None:
        if not self.troubled or point in (IDLE, BUSY):
            return
        if self.random.random() < self.odds.crash:
            self.note(f"{process.name} is killed at {point}")
            process.kill(self.clock.now + self.random.randrange(0, 40 * SECOND))
        elif self.random.random() < self.odds.stall and all(each.point != NO_STALL for each in process.threads):
            self.note(f"{process.name} stands still at {point}")
            process.stalled_until = self.clock.now + self.random.randrange(SECOND, 200 * SECOND)

    def _emit(self, event: Event) -> None:
        if self.troubled and self.random.random() < self.odds.loss:
            return
        copies = 2 if self.troubled and self.random.random() < 0.05 else 1
        for _ in range(copies):
            wait = self.random.randrange(0, 40 * SECOND) if self.random.random() < 0.1 else 0
            self.at(self.clock.now + wait, lambda: self._append(event))

    def _append(self, event: Event) -> None:
        partition = hash_of(event.dag_id or "") if self.random.random() < 0.9 else self.random.randrange(2)
        self._put(partition, msgspec.json.encode(event), event)
        if self.random.random() < 0.02:
            self._put(partition, b"{garbage", None)

    def _put(self, partition: int, value: bytes, event: Event | None) -> None:
        place = partition, self.topic.append(value, partition=partition, timestamp=self.clock.now)
        self.sent[place], self.sent_at[place] = event, self.clock.now

    def drop(self) -> None:
        """Retention takes what a partition has, read or not."""
        partition = self.random.randrange(2)
        begin = self.topic.end(partition) - self.random.randrange(3)
        read = self.data.progress.get((FEED, TOPIC, partition))
        if read is None:
            return  # what was never begun has no gap
        self.dropped |= {(partition, offset) for offset in range(max(read, self.topic.beginning(partition)), begin)}
        self.topic.drop_before(begin, partition=partition)
        self.note(f"retention drops partition {partition} before {begin}; {read} was committed")

    def at(self, at: Instant, happen: Callable[[], None]) -> None:
        if at <= self.clock.now:
            happen()
        else:
            self.agenda.append((at, happen))

    def person(self) -> None:
        """Somebody clears, or marks, one of the failed tasks by hand."""
        failed = (scheduler := self.schedulers[self.random.choice(sorted(self.schedulers))]).left()
        if not failed:
            return
        dag_id, run_id, task_id, _ = failed[self.random.randrange(len(failed))]
        if self.random.random() < 0.6:
            scheduler.clear(dag_id, run_id, [task_id], "by hand", "person")
        else:
            scheduler.mark_success(dag_id, run_id, task_id)

    def press(self, command: str) -> None:
        """The freeze, as the HTTP API presses it: journalled and set in one transaction."""
        self.note(f"somebody presses {command}")
        inputs: list[Input] = [Pressed("somebody", command)]
        if command == "freeze" and not self.is_frozen:
            self.froze.append((self.clock.now, FOR_EVER))
        elif command == "thaw" and self.is_frozen:
            self.froze[-1] = (self.froze[-1][0], self.clock.now)
        at_once(self.store_of_people().append(inputs, self.clock(), frozen=command == "freeze"))

    def store_of_people(self) -> MemoryStore:
        """What people's commands go through; it never fails."""
        return self.parts.restoring(self.data, clock=self.clock)

    def is_question(self, row: OutboxRow) -> bool:
        """Does it change nothing and tell nobody?"""
        return row.action.kind in QUESTIONS

    def rebalance(self) -> None:
        """A partition gets another owner; the old one may not notice for a while."""
        partition, name = self.random.randrange(2), self.random.choice(["one", "two"])
        old = set(self.owners[partition]) - {name}
        self.owners[partition] = {name}
        self.sources[name].assign(TOPIC, partition)
        notice = self.clock.now + self.random.randrange(0, 60 * SECOND)
        for other in old:
            self.at(notice, lambda other=other: self._revoke(other, partition))  # type: ignore[misc]

    def _revoke(self, name: str, partition: int) -> None:
        if name not in self.owners[partition]:
            self.sources[name].revoke(TOPIC, partition)

    def reach(self, reachable: bool) -> None:
        self.reachable = reachable
        for source in self.sources.values():
            source.reachable = reachable

    # -- running --------------------------------------------------------------------------------------------------

    def run(self, is_settled: Callable[[], bool] = lambda: False) -> None:
        """Let the seed's story happen, then give everything time to settle: all of REST, or its half if it `is_settled`
        by then and nothing is under way any more."""
        plan_trouble(self)
        self.crowd.plan()
        for name in ("one", "two"):
            self.driver.add(Process(name, self._boot))
        while self.clock.now < START + TROUBLE + REST:
            if self.troubled and self.clock.now >= START + TROUBLE:
                self._end_trouble()
            self._let_happen()
            self.driver.settle(50_000)
            self.crowd.look()
            if self.clock.now >= START + TROUBLE + REST // 2 and self._is_quiet() and is_settled():
                break
            self.clock.now = self._next_moment()
        self._wind_down()

    def _is_quiet(self) -> bool:
        waiting = (row.action.kind for lane in self.data.lanes.values() for row in lane.values())
        return QUESTIONS.issuperset(waiting) and all(one.next_at() is None for one in self.schedulers.values())

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.driver.processes:
            process.kill(FOR_EVER)

    def _wind_down(self) -> None:
        """Nothing new comes; the controller reads to the end."""
        for process in self.driver.processes:
            process.threads = [thread for thread in process.threads if thread.name == "controller"]
        self.driver.settle(50_000)

    def _end_trouble(self) -> None:
        self.troubled = False
        self.network.rate = 0.0
        self.network.down.clear()
        self.reach(True)
        if self.is_frozen:
            self.press("thaw")
        for process in self.driver.processes:
            process.stalled_until = 0

    def _let_happen(self) -> None:
        now = self.clock.now
        due = [happen for at, happen in self.agenda if at <= now]
        self.agenda = [(at, happen) for at, happen in self.agenda if at > now]
        for happen in due:
            happen()
        for scheduler in self.schedulers.values():
            scheduler.run_due()
        for process in self.driver.processes:
            if process.down_until is not None and process.down_until <= now:
                process.start()

    def _next_moment(self) -> Instant:
        moments = [self.clock.now + (STEP if self.troubled else REST_STEP)]
        moments += [at for at, _ in self.agenda]
        moments += [at for each in self.schedulers.values() if (at := each.next_at()) is not None]
        moments += [process.down_until for process in self.driver.processes if process.down_until is not None]
        moments += [at for timers in self.data.timers.values() for clock, at in timers if clock == "now"]
        later = [at for at in moments if at > self.clock.now]
        return max(min(later), self.clock.now + SECOND // 5)
