"""A stand-in with DAGs of every shape, and an action of every kind with what it does to its target."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.port import Preview
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import BackfillRecord, DagRun, FleetState, PoolSize, TaskInstance
from remediator.model.action import (
    Action,
    Backfill,
    CancelBackfill,
    Change,
    Mark,
    Pause,
    Pool,
    Reprocess,
    Rerun,
    Retry,
    RetryTarget,
    Trigger,
)
from remediator.model.outcome import Outcome
from remediator.model.secret import Secret
from remediator.model.time import DAY, HOUR, MINUTE, Instant, parse_instant

NOW: Instant = parse_instant("2027-01-15T08:00:00Z")
RUN = "scheduled__2027-01-15T08:00:00+00:00"
ME = "a1b2c3d4e5f6a7b8c9d0e1f2"
PERSON = "anna: vendor informed"
JOB = DagSpec(
    "job",
    (
        TaskSpec("start", ("part.load", "part.clean")),
        TaskSpec("part.load", ("part.check",)),
        TaskSpec("part.clean", ("part.check",)),
        TaskSpec("part.check", ("end",)),
        TaskSpec("end"),
    ),
)
"""start -> group 'part' (load, clean -> check) -> end"""
POINTS = DagSpec("points", (TaskSpec("one", ("two",)), TaskSpec("two")), every=DAY)
INTERVALS = DagSpec("intervals", (TaskSpec("one"),), every=DAY, has_intervals=True)
FIRST = parse_instant("2027-01-04T00:00:00Z")


@dataclass
class Place:
    """One stand-in and one client of it, or another where something is to be different."""

    api: FleetApi
    url: str
    clients: list[AirflowClient] = field(default_factory=list)

    @property
    def state(self) -> FleetState:
        return self.api.state

    def client(self, **changes: object) -> AirflowClient:
        if self.clients and not changes:
            return self.clients[0]
        given: dict[str, object] = {"username": "admin", "password": Secret("admin"), "read_timeout_s": 2.0}
        settings = AirflowSettings(deployment="prod", base_url=self.url, **(given | changes))  # type: ignore[arg-type]
        made = AirflowClient(settings)
        self.clients = [*self.clients, made] if changes else [made, *self.clients]
        return made

    async def perform(self, action: Action, *, uncertain: bool = False, **changes: object) -> Outcome:
        return await executors({"prod": self.client(**changes)})[action.kind].perform(action, uncertain=uncertain)

    async def preview(self, action: Action) -> Preview:
        return await executors({"prod": self.client()})[action.kind].preview(action)

    def fails_with(self, kind: Kind, route: str, **more: object) -> None:
        self.api.faults.add(Fault(kind, route, **more))  # type: ignore[arg-type]

    def asked(self, event: str) -> int:
        return sum(entry.event == event for entry in self.state.log)

    async def begun(self, action: Action, *, until: Callable[[], bool]) -> asyncio.Task[Outcome]:
        """The action on its way, at the moment at which `until` holds or it is over."""
        task = asyncio.ensure_future(self.perform(action))
        async with asyncio.timeout(10):
            while not until() and not task.done():  # noqa: ASYNC110  (the stand-in counts, it raises no event)
                await asyncio.sleep(0)
        return task


def fresh() -> FleetState:
    state = FleetState()
    for dag in (JOB, POINTS, INTERVALS):
        state.add_dag(dag)
    state.pools["crm pool"] = PoolSize("crm pool", 4, include_deferred=True)
    return state


@asynccontextmanager
async def standing(version: str = "v2") -> AsyncIterator[Place]:
    api = FleetApi(fresh(), clock=lambda: NOW + MINUTE, clear_takes_s=0.0, api=version)
    async with serving(api) as url:
        place = Place(api, url)
        yield place
        for client in place.clients:
            await client.close()


def failed_job(state: FleetState, run_id: str = RUN) -> DagRun:
    """job: part.load failed at its first try, part.check and end never started."""
    run = state.add_run("job", run_id, NOW - HOUR)
    states = {"start": "success", "part.clean": "success", "part.load": "failed"}
    for task in run.tasks.values():
        task.state = states.get(task.task_id, "upstream_failed")
        task.try_number = 1 if task.task_id in states else 0
    state.set_run_state(run, "failed", NOW - HOUR)
    return run


def dated(state: FleetState, dag_id: str, day: int, end: str, run_type: str = "scheduled") -> DagRun:
    """The finished dagrun of the day, counted from FIRST."""
    date = FIRST + day * DAY
    run = state.add_run(dag_id, f"{run_type}__{day}", NOW - DAY, run_type=run_type, logical_date=date)
    for task in run.tasks.values():
        task.state, task.try_number = end, 1
    state.set_run_state(run, end, NOW - DAY)
    return run


def open_backfill(state: FleetState) -> BackfillRecord:
    """Number 1, of points, with one dagrun running and one queued."""
    made = BackfillRecord(1, "points", FIRST, FIRST + 2 * DAY, "failed", 1, None, NOW - HOUR, NOW - HOUR)
    state.backfills[1] = made
    for day, begun in enumerate(("running", "queued")):
        run = state.add_run(
            "points", f"backfill__{day}", NOW - HOUR, run_type="backfill", logical_date=FIRST + day * DAY
        )
        run.state, run.backfill = begun, 1
    return made


def target(task: TaskInstance) -> RetryTarget:
    group = "part" if task.task_id.startswith("part.") else ""
    return RetryTarget(task.task_id, task.try_number, task.map_index, task.id, group)


def action(params: Change, action_id: str = ME) -> Action:
    return Action(action_id, "lane", "key", "prod", params, NOW, NOW + DAY)


def retry(run: DagRun, scope: str = "task", max_affected: int = 0, task_id: str = "part.load") -> Action:
    task = run.tasks[task_id, -1]
    return action(Retry(run.dag_id, run.run_id, (target(task),), "lost connection", scope, max_affected))


@dataclass(frozen=True)
class Case:
    """prepare: makes the situation, gives the action. effects: what the target saw, each number must end as 1."""

    prepare: Callable[[FleetState], Action]
    effects: Callable[[Place], dict[str, int]]
    before: str = ""


def _clears(place: Place) -> dict[str, int]:
    return dict(Counter(f"clear of {record.dag_id} {record.run_id}" for record in place.state.clear_records))


def _reprocess(state: FleetState) -> Action:
    dated(state, "intervals", 0, "success")
    dated(state, "intervals", 2, "failed")
    return action(Reprocess("intervals", FIRST, FIRST + 4 * DAY, "bad data"))


def _reprocessed(place: Place) -> dict[str, int]:
    created = Counter(run.run_id for run in place.state.runs.values() if run.run_type == "manual")
    return {**_clears(place), **created}


def _marked(place: Place) -> dict[str, int]:
    return {"mark": place.asked("patch_task_instance")}


CASES: dict[str, Case] = {
    "retry": Case(lambda state: retry(failed_job(state)), _clears),
    "retry-bounded": Case(lambda state: retry(failed_job(state), max_affected=9), _clears),
    "retry-group": Case(lambda state: retry(failed_job(state), "group"), _clears),
    "retry-dagrun": Case(lambda state: retry(failed_job(state), "dagrun"), _clears),
    "rerun": Case(lambda state: action(Rerun("job", failed_job(state).run_id, "bad data", 9)), _clears),
    "trigger": Case(
        lambda state: action(Trigger("job", "remediator__1", {"day": 1})),
        lambda place: dict(Counter(run.run_id for run in place.state.runs.values())),
    ),
    "reprocess": Case(_reprocess, _reprocessed),
    "backfill": Case(
        lambda state: action(Backfill("points", FIRST, FIRST + DAY)),
        lambda place: {"backfill": len(place.state.backfills), "call": place.asked("create_backfill")},
    ),
    "cancel_backfill": Case(
        lambda state: action(CancelBackfill("points", open_backfill(state).id)),
        lambda place: {"cancel": place.asked("cancel_backfill")},
    ),
    "pause": Case(
        lambda state: action(Pause("job")), lambda place: {"pause": place.asked("patch_dag")}, before="unpaused"
    ),
    "pool": Case(
        lambda state: action(Pool("crm pool", 8, only_if=4)),
        lambda place: {"resize": place.asked("patch_pool"), "size": place.state.pools["crm pool"].slots // 8},
        before="4",
    ),
    "mark": Case(
        lambda state: action(Mark("job", RUN, target(failed_job(state).tasks["part.load", -1]), "success", "by hand")),
        _marked,
        before="failed",
    ),
}
