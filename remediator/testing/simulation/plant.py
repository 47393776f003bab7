"""One simulated plant: two daemons on one store, two partitions, three deployments, people, and a seed's faults.

Owns the wiring and the course of time. What must hold is in checks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from remediator.codecs.deployments import DeploymentBinding, DeploymentMap
from remediator.model.action import Action, Guarantee, Retry
from remediator.model.event import Event
from remediator.model.inputs import Activated, Input, Pressed
from remediator.model.outcome import Outcome
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.record import DEAD_LETTER_HEAD_BYTES, DeadLetter, Record
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step, encode_rule_set
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher, Job
from remediator.runtime.intake import Intake
from remediator.runtime.matcher import Matcher
from remediator.sources.memory import MemorySource, MemoryTopic
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData
from remediator.store.port import StoreError
from remediator.testing.simulation.driver import BUSY, IDLE, BrokenStore, Clock, Driver, Process, switch
from remediator.testing.simulation.outside import Network, People, SimulatedLooks, SimulatedRetries
from remediator.testing.simulation.scheduler import Plan, Scheduler

START: Instant = 1_790_000_000 * SECOND
TROUBLE: Duration = 7 * MINUTE
"""How long faults are injected; everything that was begun must be settled after."""
REST: Duration = 17 * MINUTE
STEP: Duration = 5 * SECOND
FOR_EVER: Instant = 2**62
REST_STEP: Duration = 10 * SECOND
TOPIC = "events"
WATCHED = "gamma"
"""The deployment without an API."""
FEED = "feed"
MAX_ATTEMPTS = 2
PER_HOUR = 3
OFFERS = frozenset({"finish:after", "postpone:after"})
NO_STALL = "tell.asked"
"""Between the last check of a claim and the call no client can be protected from standing still."""


def transient_rule() -> Rule:
    """Retries lost connections, then pages."""
    return Rule(
        id="lost-connection",
        on=("task.failed_finally",),
        mode=Mode.ACT,
        where={"error.message": {"matches": "(?i)connection reset"}},
        budget=Budget(per_hour=PER_HOUR),
        do=(Step("airflow.retry", max_attempts=MAX_ATTEMPTS, backoff=Backoff(5 * SECOND), verify=3 * MINUTE),),
        otherwise=(Step("page", to="default"),),
    )


def observing_rule() -> Rule:
    """Matches everything and must change nothing."""
    return Rule(id="observer", on=("task.failed_finally",), priority=90, do=(Step("airflow.retry"),))


def plant_policy(ceilings: dict[str, Mode]) -> Policy:
    """Short times, so that a seed is a few thousand steps."""
    both = (Destination("pagerduty.page", "pager"), Destination("slack.message", "chat", "#data"))
    return Policy(
        deployments={
            name: DeploymentPolicy(name, FEED, ceiling, has_api=name != WATCHED) for name, ceiling in ceilings.items()
        },
        routes={
            "default": Route("default", both, fallback="backup"),
            "backup": Route("backup", (Destination("pagerduty.page", "backup-pager"),)),
        },
        hold_max=3 * MINUTE,
        blind_after=2 * MINUTE,
        sweep_every=30 * SECOND,
        told_look_every=2 * MINUTE,
        sweep_overlap=30 * SECOND,
        action_expiry=6 * MINUTE,
        self_alert_every=5 * MINUTE,
    )


class Parts(msgspec.Struct, frozen=True):
    """What a deliberate fault may replace."""

    store: type[MemoryStore] = MemoryStore
    controller: type[Controller] = Controller
    retries: type[SimulatedRetries] = SimulatedRetries


class LaneWatch:
    """Wraps an executor; notes when two actions of one lane are in flight under claims that are alive."""

    def __init__(self, inner: SimulatedRetries | People, plant: Plant) -> None:
        self.guarantee = inner.guarantee
        self._inner = inner
        self._plant = plant

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        plant = self._plant
        flying = plant.flying.setdefault(action.lane, {})
        for other, until in flying.values():
            if plant.clock.now < until:
                plant.violations.append(f"P2 lane {action.lane}: {action.id} while {other} is in flight")
        flight = plant.flights = plant.flights + 1
        flying[flight] = action.id, plant.data.outbox[action.id].until
        try:
            return await self._inner.perform(action, uncertain=uncertain)
        finally:
            del flying[flight]


class Plant:
    """Everything of one seed. `run` lets it happen; `violations` holds what was seen to go wrong on the way."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.random = Random(seed)  # noqa: S311  (repeatable, not secret)
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
        policy = plant_policy(self.ceilings)
        self.spec = RuleSetSpec((transient_rule(), observing_rule()), policy)
        self.rules = RuleSet(self.spec)
        self.network = Network(self.random, self.random.choice([0.0, 0.02, 0.15]))
        self.schedulers = {name: self._scheduler(name) for name in self.ceilings}
        self.pager = People(self.network, self.clock, Guarantee.KEYED)
        self.chat = People(self.network, self.clock, Guarantee.PROVABLE)
        self.grain = self.random.choice([0.25, 0.5, 1.0])
        """How often a pause is one: coarse schedules find other faults than fine ones, and sooner."""
        self.crash_rate = self.random.choice([0.0, 0.002, 0.01]) / self.grain
        self.stall_rate = self.random.choice([0.0, 0.0005, 0.003]) / self.grain
        self.store_fault_rate = self.random.choice([0.0, 0.0, 0.01])
        self.freeze_rate = self.random.choice([0.0, 0.0, 0.3])
        self.loss_rate = self.random.choice([0.0, 0.1])
        self.troubled = True
        self.reachable = True
        self.driver = Driver(self.random, self.clock, self._fault)
        self.owners: dict[int, set[str]] = {0: {"one"}, 1: {"two"}}
        self.sources: dict[str, MemorySource] = {}
        self.agenda: list[tuple[Instant, Callable[[], None]]] = []
        self.offers = 0
        """Grows whenever a lane may have become free; the outbox's own sequence tells of new rows."""

    # -- building -------------------------------------------------------------------------------------------------

    def _scheduler(self, name: str) -> Scheduler:
        scheduler = Scheduler(name, self.random, self.clock)
        scheduler.emit = self._emit
        return scheduler

    def _store(self) -> MemoryStore:
        return self.parts.store(self.data, clock=self.clock, pause=self._pause)

    async def _pause(self, point: str) -> None:
        if point in OFFERS:
            self.offers += 1
        elif point == "commit_step:after" and self.troubled:
            self._perhaps_freeze()
        if self.random.random() < self.grain:
            await switch(point)
        if self.troubled and ":" in point and self.random.random() < self.store_fault_rate:
            raise BrokenStore(f"injected at {point}")

    def _boot(self, process: Process) -> None:
        store, name = self._store(), process.name
        mine = [(TOPIC, partition) for partition, owners in self.owners.items() if name in owners]

        async def positions(topic: str) -> dict[int, int]:
            return await store.progress(FEED, topic)

        source = MemorySource(FEED, [self.topic], positions, self.clock, self._pause, assigned=mine, max_records=7)
        source.reachable = self.reachable
        self.sources[name] = source
        matcher = Matcher(self._intake(), source, store, self.clock, lambda: self.rules)
        controller = self.parts.controller(name, store, self.clock)
        reachable = {name: one for name, one in self.schedulers.items() if name != WATCHED}
        looks = SimulatedLooks(reachable, self.network)
        dispatcher = Dispatcher(
            name,
            store,
            self.clock,
            {
                "airflow.retry": LaneWatch(self.parts.retries(reachable, self.network, self.clock), self),
                "pagerduty.page": LaneWatch(self.pager, self),
                "slack.message": LaneWatch(self.chat, self),
            },
            {"airflow.look": looks, "airflow.sweep": looks},
        )
        process.spawn("matcher", self._loop(matcher.run_once))
        process.spawn("controller", self._controller_loop(store, controller), lambda: self._journalled(controller))
        process.spawn("dispatcher", self._loop(lambda: self._dispatch(process, dispatcher)), self._offered)

    def _journalled(self, controller: Controller) -> int:
        return self.data.head if controller.is_leader else self.data.epoch

    def _offered(self) -> int:
        return self.offers + self.data.sequence

    def _intake(self) -> Intake:
        bindings = [DeploymentBinding(name, (name,), ()) for name in self.ceilings]
        return Intake(FEED, _decode, DeploymentMap(bindings).assign, _dead_letter)

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
        if self.freeze_rate == 0 or self.is_frozen or self.random.random() >= self.freeze_rate:
            return
        rows = (row for lane in self.data.lanes.values() for row in lane.values())
        if any(row.state == "pending" and isinstance(row.action.params, Retry) for row in rows):
            self._press("freeze")
            self._at(self.clock.now + self.random.randrange(SECOND, 60 * SECOND), lambda: self._press("thaw"))

    def _note(self, text: str) -> None:
        self.happened.append((self.clock.now, f"    {text}"))

    # -- faults ---------------------------------------------------------------------------------------------------

    def _fault(self, process: Process, point: str) -> None:
        if not self.troubled or point in (IDLE, BUSY):
            return
        if self.random.random() < self.crash_rate:
            self._note(f"{process.name} is killed at {point}")
            process.kill(self.clock.now + self.random.randrange(0, 40 * SECOND))
        elif self.random.random() < self.stall_rate and all(each.point != NO_STALL for each in process.threads):
            self._note(f"{process.name} stands still at {point}")
            process.stalled_until = self.clock.now + self.random.randrange(SECOND, 200 * SECOND)

    def _emit(self, event: Event) -> None:
        if self.troubled and self.random.random() < self.loss_rate:
            return
        copies = 2 if self.troubled and self.random.random() < 0.05 else 1
        for _ in range(copies):
            wait = self.random.randrange(0, 40 * SECOND) if self.random.random() < 0.1 else 0
            self._at(self.clock.now + wait, lambda: self._append(event))

    def _append(self, event: Event) -> None:
        partition = hash_of(event.dag_id or "") if self.random.random() < 0.9 else self.random.randrange(2)
        self._put(partition, msgspec.json.encode(event), event)
        if self.random.random() < 0.02:
            self._put(partition, b"{garbage", None)

    def _put(self, partition: int, value: bytes, event: Event | None) -> None:
        place = partition, self.topic.append(value, partition=partition, timestamp=self.clock.now)
        self.sent[place], self.sent_at[place] = event, self.clock.now

    def _drop(self) -> None:
        """Retention takes what a partition has, read or not."""
        partition = self.random.randrange(2)
        begin = self.topic.end(partition) - self.random.randrange(3)
        read = self.data.progress.get((FEED, TOPIC, partition))
        if read is None:
            return  # what was never begun has no gap
        self.dropped |= {(partition, offset) for offset in range(max(read, self.topic.beginning(partition)), begin)}
        self.topic.drop_before(begin, partition=partition)
        self._note(f"retention drops partition {partition} before {begin}; {read} was committed")

    def _at(self, at: Instant, happen: Callable[[], None]) -> None:
        if at <= self.clock.now:
            happen()
        else:
            self.agenda.append((at, happen))

    def _plan_trouble(self) -> None:
        """What will happen, by the seed."""
        random = self.random
        for number in range(random.randrange(3, 9)):
            scheduler = self.schedulers[random.choice(sorted(self.schedulers))]
            plans = [self._plan() for _ in range(random.randrange(1, 4))]
            dag_id = f"dag{random.randrange(3)}"
            wait = random.randrange(0, 4 * MINUTE)
            scheduler.trigger(dag_id, f"run{number}", plans, wait)
        for number in range(random.choice([0, 0, 0, 3])):
            plans = [Plan(99), *(self._plan() for _ in range(random.randrange(2)))]
            self.schedulers["alpha"].trigger("storm", f"storm{number}", plans, random.randrange(0, 4 * MINUTE))
        for _ in range(random.randrange(0, 3)):
            self._plan_outage(random.choice(["alpha", "beta", "pager", "chat", "people"]))
        for _ in range(random.randrange(0, 4)):
            self._at(START + random.randrange(TROUBLE), self._person)
        if random.random() < 0.25:
            self._plan_freezes()
        for _ in range(random.randrange(0, 3)):
            self._at(START + random.randrange(TROUBLE), self._rebalance)
        if random.random() < 0.35:
            self._plan_dead_broker()

    def _plan_freezes(self) -> None:
        at = self.random.randrange(TROUBLE // 2)
        for _ in range(self.random.randrange(1, 4)):
            if at >= TROUBLE:
                return
            self._at(START + at, lambda: self._press("freeze"))
            at += self.random.randrange(SECOND, TROUBLE // 2)
            self._at(min(START + at, START + TROUBLE), lambda: self._press("thaw"))
            at += self.random.randrange(SECOND, TROUBLE // 8)

    def _plan_dead_broker(self) -> None:
        begin = self.random.randrange(TROUBLE // 2)
        end = begin + self.random.randrange(TROUBLE // 2)
        self._at(START + begin, lambda: self._reach(False))
        if self.random.random() < 0.5:
            self._at(START + end, self._drop)
        self._at(START + end, lambda: self._reach(True))

    def _plan(self) -> Plan:
        shape = self.random.randrange(7)
        if shape <= 1:
            return Plan(0)
        if shape == 2:
            return Plan(1, retries=1)
        if shape == 3:
            return Plan(self.random.randrange(1, 4))
        if shape == 4:
            return Plan(99, error="KeyError: 'customer_id'")
        if shape == 5:
            return Plan(self.random.choice([1, 99]), silent=True)
        return Plan(self.random.choice([2, 3, 99]), retries=1)

    def _plan_outage(self, target: str) -> None:
        begin = self.random.randrange(TROUBLE)
        length = self.random.randrange(10 * SECOND, 4 * MINUTE)
        self._at(START + begin, lambda: self.network.down.add(target))
        self._at(min(START + begin + length, START + TROUBLE), lambda: self.network.down.discard(target))

    def _person(self) -> None:
        """Somebody clears, or marks, one of the failed tasks by hand."""
        failed = (scheduler := self.schedulers[self.random.choice(sorted(self.schedulers))]).left()
        if not failed:
            return
        dag_id, run_id, task_id, _ = failed[self.random.randrange(len(failed))]
        if self.random.random() < 0.6:
            scheduler.clear(dag_id, run_id, [task_id], "by hand", "person")
        else:
            scheduler.mark_success(dag_id, run_id, task_id)

    def _press(self, command: str) -> None:
        """The freeze, as the HTTP API presses it: journalled and set in one transaction."""
        self._note(f"somebody presses {command}")
        inputs: list[Input] = [Pressed("somebody", command)]
        if command == "freeze" and not self.is_frozen:
            self.froze.append((self.clock.now, FOR_EVER))
        elif command == "thaw" and self.is_frozen:
            self.froze[-1] = (self.froze[-1][0], self.clock.now)
        coroutine = MemoryStore(self.data, clock=self.clock).append(inputs, self.clock(), frozen=command == "freeze")
        try:
            coroutine.send(None)
        except StopIteration:
            return

    def _rebalance(self) -> None:
        """A partition gets another owner; the old one may not notice for a while."""
        partition, name = self.random.randrange(2), self.random.choice(["one", "two"])
        old = set(self.owners[partition]) - {name}
        self.owners[partition] = {name}
        self.sources[name].assign(TOPIC, partition)
        notice = self.clock.now + self.random.randrange(0, 60 * SECOND)
        for other in old:
            self._at(notice, lambda other=other: self._revoke(other, partition))  # type: ignore[misc]

    def _revoke(self, name: str, partition: int) -> None:
        if name not in self.owners[partition]:
            self.sources[name].revoke(TOPIC, partition)

    def _reach(self, reachable: bool) -> None:
        self.reachable = reachable
        for source in self.sources.values():
            source.reachable = reachable

    # -- running --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let the seed's story happen, then give everything time to settle."""
        self._plan_trouble()
        for name in ("one", "two"):
            self.driver.add(Process(name, self._boot))
        while self.clock.now < START + TROUBLE + REST:
            if self.troubled and self.clock.now >= START + TROUBLE:
                self._end_trouble()
            self._let_happen()
            self.driver.settle(50_000)
            self.clock.now = self._next_moment()
        self._wind_down()

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
        self._reach(True)
        if self.is_frozen:
            self._press("thaw")
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


def hash_of(text: str) -> int:
    """A DAG's usual partition."""
    return sum(text.encode()) % 2


_decoder = msgspec.json.Decoder(Event)


def _decode(record: Record) -> list[Event] | str:
    try:
        return [_decoder.decode(record.value or b"")]
    except msgspec.DecodeError as error:
        return str(error)


def _dead_letter(feed: str, record: Record, reason: str) -> DeadLetter:
    value = record.value or b""
    return DeadLetter(
        feed, record.topic, record.partition, record.offset, record.timestamp, reason, len(value),
        value[:DEAD_LETTER_HEAD_BYTES],
    )  # fmt: skip
