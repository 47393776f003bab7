"""One stand-in Airflow's database: DAGs, dagruns, task instances with every attempt, event log, counters. Pure.

Reads no clock: `now` is an argument. Holds what Airflow's tables hold, and the counts that tests ask for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from remediator.demo.fleet.ills import Ills
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant

FINISHED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
LOG_KEPT = 10_000
TaskKey = tuple[str, int]
"""(task_id, map_index)"""


@dataclass(slots=True)
class Attempt:
    """One finished or abandoned try, as the history table keeps it."""

    try_number: int
    max_tries: int
    state: str | None
    start_date: Instant | None
    end_date: Instant | None


@dataclass(slots=True)
class TaskInstance:
    """The current try of one task instance. `id` is new at every try and every clear."""

    id: str
    task_id: str
    map_index: int
    max_tries: int
    updated_at: Instant
    operator: str = "_PythonDecoratedOperator"
    state: str | None = None
    try_number: int = 0
    start_date: Instant | None = None
    end_date: Instant | None = None
    queued_at: Instant | None = None
    note: str | None = None
    clears: int = 0
    not_before: Instant = 0
    history: list[Attempt] = field(default_factory=list)

    @property
    def key(self) -> TaskKey:
        """(task_id, map_index)"""
        return self.task_id, self.map_index


@dataclass(slots=True)
class DagRun:
    """One dagrun. clear_number is in its events, not in the API."""

    id: int
    dag_id: str
    run_id: str
    run_after: Instant
    updated_at: Instant
    run_type: str = "scheduled"
    state: str = "queued"
    logical_date: Instant | None = None
    queued_at: Instant | None = None
    start_date: Instant | None = None
    end_date: Instant | None = None
    examined_at: Instant | None = None
    note: str | None = None
    conf: dict[str, object] = field(default_factory=dict)
    clear_number: int = 0
    interval: tuple[Instant, Instant] | None = None
    backfill: int | None = None
    tasks: dict[TaskKey, TaskInstance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClearRecord:
    """One clear that had an effect. failures: the failed attempts that it cleared, as (task_id, index, try)."""

    at: Instant
    dag_id: str
    run_id: str
    user: str
    note: str | None
    failures: tuple[tuple[str, int, int], ...]
    others: int


@dataclass(slots=True)
class PoolSize:
    """A pool. Nothing in the stand-in uses its slots."""

    name: str
    slots: int
    description: str | None = None
    include_deferred: bool = False


@dataclass(slots=True)
class BackfillRecord:
    """A backfill. completed_at: None while it is open."""

    id: int
    dag_id: str
    first: Instant
    last: Instant
    reprocess: str
    max_active_runs: int
    conf: dict[str, object] | None
    created_at: Instant
    updated_at: Instant
    is_paused: bool = False
    completed_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the event log: somebody asked for something. It does not say that it happened."""

    id: int
    at: Instant
    dag_id: str | None
    run_id: str | None
    event: str
    owner: str
    extra: str
    task_id: str | None = None


class FleetState:
    """One deployment. clears: effective ones. duplicate_clears: failed attempts that were cleared more than once.

    paused, broken: DAGs that are not scheduled, and those whose files have import errors.
    """

    def __init__(self, namespace: str = "fleet") -> None:
        self.namespace = namespace
        self.dags: dict[str, DagSpec] = {}
        self.runs: dict[tuple[str, str], DagRun] = {}
        self.log: deque[LogEntry] = deque(maxlen=LOG_KEPT)
        self.clear_records: list[ClearRecord] = []
        self.cleared_attempts: Counter[tuple[str, str, str, int, int]] = Counter()
        self.calls: Counter[str] = Counter()
        self.paused: set[str] = set()
        self.broken: set[str] = set()
        self.pools = {"default_pool": PoolSize("default_pool", 128, "Default pool")}
        self.backfills: dict[int, BackfillRecord] = {}
        self.ills = Ills()
        self._serial = 0
        self._run_serial = 0
        self._log_serial = 0

    @property
    def clears(self) -> int:
        """Clears that had an effect."""
        return len(self.clear_records)

    @property
    def duplicate_clears(self) -> int:
        """Clears of an attempt that had already been cleared."""
        return sum(count - 1 for count in self.cleared_attempts.values())

    def next_id(self, now: Instant) -> str:
        """A UUID of version 7: ordered by time, unique, and the same in every replay."""
        self._serial += 1
        stamp = (now // 1000) & ((1 << 48) - 1)
        return str(UUID(int=(stamp << 80) | (0x7 << 76) | (0x2 << 62) | (self._serial & ((1 << 62) - 1))))

    def add_dag(self, dag: DagSpec) -> None:
        """Make a DAG known, or replace it."""
        self.dags[dag.dag_id] = dag

    def add_run(
        self,
        dag_id: str,
        run_id: str,
        now: Instant,
        *,
        run_type: str = "scheduled",
        logical_date: Instant | None = None,
        interval: tuple[Instant, Instant] | None = None,
    ) -> DagRun:
        """A new queued dagrun with all its task instances. Raises KeyError for an unknown DAG."""
        dag = self.dags[dag_id]
        self._run_serial += 1
        run = DagRun(self._run_serial, dag_id, run_id, now, now, run_type, "queued", logical_date, queued_at=now)
        if logical_date is not None:
            run.interval = interval or dag.interval(logical_date)
        for task in dag.tasks:
            for index in _indexes(task):
                instance = TaskInstance(self.next_id(now), task.task_id, index, task.retries, now, task.operator)
                run.tasks[instance.key] = instance
        self.runs[dag_id, run_id] = run
        return run

    def dated(self, dag_id: str, date: Instant) -> DagRun | None:
        """The DAG's dagrun of this logical date: there is one at most."""
        found = (run for run in self.runs.values() if run.dag_id == dag_id and run.logical_date == date)
        return next(found, None)

    def run(self, dag_id: str, run_id: str) -> DagRun | None:
        """None if it is not known."""
        return self.runs.get((dag_id, run_id))

    def instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED_INDEX) -> TaskInstance | None:
        """None if it is not known."""
        run = self.run(dag_id, run_id)
        return run.tasks.get((task_id, map_index)) if run else None

    def instances(self) -> Iterator[tuple[DagRun, TaskInstance]]:
        """Every task instance with its dagrun."""
        return ((run, instance) for run in self.runs.values() for instance in run.tasks.values())

    def begin_try(self, instance: TaskInstance, now: Instant) -> None:
        """Queued -> running, with the next try number."""
        instance.try_number += 1
        instance.state, instance.start_date, instance.end_date = "running", now, None
        instance.queued_at = instance.queued_at or now
        instance.updated_at = now

    def end_try(self, instance: TaskInstance, state: str, now: Instant) -> None:
        """Record the end of a try. 'up_for_retry' moves the try to the history and gives a new id, as Airflow does."""
        instance.end_date, instance.updated_at = now, now
        if state == "up_for_retry":
            self.shelve(instance, "failed", now)
        instance.state = state

    def shelve(self, instance: TaskInstance, state: str | None, now: Instant) -> None:
        """Keep the current try in the history and take a new id for what comes."""
        instance.history.append(
            Attempt(instance.try_number, instance.max_tries, state, instance.start_date, instance.end_date)
        )
        instance.id = self.next_id(now)
        instance.queued_at = None

    def prune(self, keep: int) -> None:
        """Forget the oldest finished dagruns beyond `keep` of all."""
        surplus = len(self.runs) - keep
        old = [key for key, run in self.runs.items() if run.state in FINISHED][: max(0, surplus)]
        for key in old:
            del self.runs[key]

    def set_run_state(self, run: DagRun, state: str, now: Instant) -> None:
        """Move a dagrun to a state, with the times that belong to it."""
        run.state, run.updated_at = state, now
        if state == "running":
            run.start_date, run.end_date = now, None
        elif state in FINISHED:
            run.end_date = now

    def record(
        self,
        now: Instant,
        event: str,
        owner: str,
        dag_id: str | None,
        run_id: str | None,
        extra: str,
        task_id: str | None = None,
    ) -> None:
        """Append to the event log."""
        self._log_serial += 1
        self.log.append(LogEntry(self._log_serial, now, dag_id, run_id, event, owner, extra, task_id))


def _indexes(task: TaskSpec) -> range | tuple[int]:
    return range(task.indexes) if task.indexes else (UNMAPPED_INDEX,)
