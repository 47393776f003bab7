"""The whole daemon in a storm on a virtual clock: real matcher, controller, dispatcher, executors and SQLite store.

Owns the wiring and the course of time. Calls take no virtual time; people are told at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.storm_airflow import Size, StormAirflow
from remediator.actions.airflow.changes import Changes
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.codecs.deployments import DeploymentBinding, DeploymentMap
from remediator.model.action import QUESTIONS, Action, Guarantee, Message, Page
from remediator.model.event import Event
from remediator.model.inputs import Activated, Pressed
from remediator.model.outcome import Delivered, Outcome
from remediator.model.record import DeadLetter, Record
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher
from remediator.runtime.intake import Intake
from remediator.runtime.matcher import Matcher
from remediator.sources.memory import MemorySource, MemoryTopic
from remediator.store.factory import open_store

BEGAN: Instant = 1_790_000_000 * SECOND
WARM_UP: Duration = 30 * SECOND
FAULT: Duration = 5 * MINUTE
STEP: Duration = SECOND
FEED = "feed"
DEPLOYMENT = "prod"
PARTITIONS = 4
MOST = 100_000
CLAIM = 100
"""As many as the daemon's loop claims at once."""


class People:
    """Whoever is paged or told: what reached them, and when."""

    guarantee = Guarantee.KEYED

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self.paged: dict[str, Instant] = {}
        """dedup key -> when it was first triggered."""
        self.posts = 0
        self.edits = 0
        self._clock = clock

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Take it."""
        params = action.params
        if isinstance(params, Page):
            if params.event_action == "trigger":
                self.paged.setdefault(params.dedup_key, self._clock())
            return Delivered(params.dedup_key)
        assert isinstance(params, Message)
        self.edits += bool(params.ref)
        self.posts += not params.ref
        return Delivered(params.ref or f"C1:{action.id}")


class Asked(msgspec.Struct):
    """How many questions of a kind were wanted, and in how many goes they were asked."""

    wanted: int = 0
    goes: int = 0


class Plant:
    """One daemon and one Airflow. spec None: there is no daemon. approve_at: when a person says yes to all.

    per_minute: changes that the dispatcher lets through.
    """

    def __init__(
        self, size: Size, spec: RuleSetSpec | None, folder: Path, per_minute: int, approve_at: Duration = 0
    ) -> None:
        self._approve_at = BEGAN + approve_at if approve_at else 0
        self.now = BEGAN - WARM_UP
        self.outbreak_s = 0.0
        """Wall time that the first two minutes took."""
        self.topic = MemoryTopic("events", PARTITIONS)
        self.airflow = StormAirflow(size, BEGAN, FAULT, self._append)
        self.people = People(self._clock)
        self.asked: dict[str, Asked] = {}
        self.done: Counter[tuple[str, str]] = Counter()
        self.spec = spec
        if spec is not None:
            self.rules = RuleSet(spec)
            self.store = open_store(f"sqlite:///{folder}/storm.db", durability="NORMAL")
            self._wire(per_minute)

    def _clock(self) -> Instant:
        return self.now

    def _append(self, event: Event) -> None:
        partition = sum((event.dag_id or "").encode()) % PARTITIONS
        self.topic.append(msgspec.json.encode(event), partition=partition, timestamp=event.time)

    def _wire(self, per_minute: int) -> None:
        async def positions(topic: str) -> dict[int, int]:
            return await self.store.progress(FEED, topic)

        async def no_pause(point: str) -> None:
            """Go on at once."""

        source = MemorySource(FEED, [self.topic], positions, self._clock, no_pause)
        assign = DeploymentMap([DeploymentBinding(DEPLOYMENT, (DEPLOYMENT,), ())]).assign
        intake = Intake(FEED, _decode, assign, _dead_letter)
        self.matcher = Matcher(intake, source, self.store, self._clock, lambda: self.rules)
        self.controller = Controller("storm", self.store, self._clock)
        client = AirflowClient(AirflowSettings(deployment=DEPLOYMENT, base_url="http://storm"))
        client.session, client.changes = self.airflow, Changes(self.airflow)
        clients = {DEPLOYMENT: client}
        self.dispatcher = Dispatcher(
            "storm",
            self.store,
            self._clock,
            {**executors(clients), "pagerduty.page": self.people, "slack.message": self.people},
            {
                "airflow.look": LookExecutor(clients),
                "airflow.sweep": SweepExecutor(clients),
                "airflow.survey": SurveyExecutor(clients, lambda text: text),
                "airflow.log": LogTailExecutor(clients, lambda text: text),
            },
            per_minute,
            lambda kind, state: self.done.update([(kind, state)]),
        )

    async def run(self, until: Duration) -> None:
        """Let time pass until so long after the storm broke out."""
        if self.spec is not None:
            await self.store.open()
            body = encode_rule_set(self.spec)
            await self.store.put_rule_set(self.rules.hash, body)
            await self.store.append([Activated(self.rules.hash)], self.now)
        began = time.perf_counter()
        while self.now < BEGAN + until:
            if self.now == BEGAN + 2 * MINUTE:
                self.outbreak_s = time.perf_counter() - began
            self.airflow.advance(self.now)
            if self.now == self._approve_at:
                await self._approve()
            if self.spec is not None:
                await self._settle()
            self.now += STEP
        if self.spec is not None:
            await self.store.close()

    async def _approve(self) -> None:
        """As the API does it for each proposal."""
        asked = [
            one for incident in await self.store.incidents(open_only=True, limit=MOST) for one in incident.proposals
        ]
        inputs = [Pressed("somebody", "approve", subject=one.id, key=one.key) for one in asked]
        await self.store.append(inputs, self.now)

    async def _settle(self) -> None:
        """Until nobody has anything to do at this moment."""
        worked = True
        while worked:
            worked = bool(await self.matcher.run_once())
            while await self.controller.run_once():
                worked = True
            for job in await self.dispatcher.claim(CLAIM):
                worked = True
                if job.kind in QUESTIONS:
                    asked = self.asked.setdefault(job.kind, Asked())
                    asked.wanted += len(job.claims)
                    asked.goes += 1
                await self.dispatcher.work(job)


_decoder = msgspec.json.Decoder(Event)


def _decode(record: Record) -> list[Event] | str:
    return [_decoder.decode(record.value or b"")]


def _dead_letter(feed: str, record: Record, reason: str) -> DeadLetter:
    raise AssertionError(f"{feed}: {record.offset}: {reason}")
