"""The virtual scheduler: moves dagruns and task instances through their plans and tells about it in events.

Knows no clock and no network: `advance(now)` does everything that was due, in order, at its own time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from remediator.demo.fleet import backfills, lineage
from remediator.demo.fleet.clearing import ClearBody, apply, choose, mark
from remediator.demo.fleet.plan import SUCCEEDS, Failure, Plan
from remediator.demo.fleet.state import FINISHED, DagRun, FleetState, TaskInstance
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import MILLISECOND, SECOND, Duration, Instant

Emit = Callable[[bytes, bytes], None]
"""(record key, record value)"""
PlanFor = Callable[[DagRun, TaskInstance], Plan]
Happening = Callable[[Instant], None]

QUEUED_FOR: Duration = 200 * MILLISECOND
RESTART_TAKES: Duration = 10 * SECOND
"""How long the process of a cleared running task lives on."""
_UPSTREAM_BAD = frozenset({"failed", "upstream_failed"})
_KILLED = (
    "Executor LocalExecutor(parallelism=8) reported that the task instance <TaskInstance: {name}> finished with state "
    "success, but the task instance's state attribute is running."
)


@dataclass(order=True, slots=True)
class _Due:
    at: Instant
    serial: int
    what: Happening = field(compare=False)


class World:
    """Drives one FleetState. plan_for: the life of each task instance; emit: where events go.

    loses: is the event of this number lost on the way? Airflow sends each at most once.
    ending: how long the scheduler takes to end a dagrun. What is cleared meanwhile stays cleared, and nobody runs it.
    """

    def __init__(
        self,
        state: FleetState,
        plan_for: PlanFor = lambda run, task: SUCCEEDS,
        emit: Emit = lambda key, value: None,
        loses: Callable[[int], bool] = lambda number: False,
        ending: Duration = 0,
    ) -> None:
        self.state = state
        self._plan_for = plan_for
        self._emit = emit
        self._loses = loses
        self._ending = ending
        self._in_pass: set[tuple[str, str]] = set()
        self._due: list[_Due] = []
        self._serial = 0
        self._now: Instant = 0
        self.emitted = 0

    def at(self, moment: Instant, what: Happening) -> None:
        """Let something happen then: a person's clear, a new dagrun."""
        self._serial += 1
        heapq.heappush(self._due, _Due(moment, self._serial, what))

    def run_dag(self, dag_id: str, run_id: str, moment: Instant) -> None:
        """Let a scheduled dagrun begin then."""
        self.at(moment, lambda now: self._new_run(dag_id, run_id, now))

    def person_clears(self, dag_id: str, run_id: str, moment: Instant, note: str | None = None) -> None:
        """Let a person clear what has failed in a dagrun then."""
        body = ClearBody(dry_run=False, dag_run_id=run_id, note=note)
        self.at(moment, lambda now: apply(self.state, choose(self.state, dag_id, body), body, "person", now))

    def person_marks(self, dag_id: str, run_id: str, task_id: str, new_state: str, moment: Instant) -> None:
        """Let a person set the state of a task that is not mapped then. Raises KeyError then if it is unknown."""
        self.at(moment, lambda now: self._mark(dag_id, run_id, task_id, new_state, now))

    def advance(self, now: Instant) -> None:
        """What the API's callers have asked for since the last call, then everything that is due until `now`."""
        for run in self._open_runs():
            self._schedule(run, min(now, max(self._now, run.updated_at)))
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            due.what(due.at)
            for run in self._open_runs():
                self._schedule(run, due.at)
        backfills.complete(self.state, now)
        self._now = now

    @property
    def next_at(self) -> Instant | None:
        """When something is due next, None if nothing is."""
        return self._due[0].at if self._due else None

    def _mark(self, dag_id: str, run_id: str, task_id: str, new_state: str, now: Instant) -> None:
        run = self.state.runs[dag_id, run_id]
        mark(self.state, run, run.tasks[task_id, UNMAPPED_INDEX], new_state, now)

    def _new_run(self, dag_id: str, run_id: str, now: Instant) -> None:
        self.state.add_run(dag_id, run_id, now, logical_date=now)

    def _open_runs(self) -> list[DagRun]:
        """What the scheduler works on: nothing of a paused DAG, no more of a backfill than it allows."""
        state = self.state
        return [run for run in state.runs.values() if run.state not in FINISHED and self._is_free(run)]

    def _is_free(self, run: DagRun) -> bool:
        return run.dag_id not in self.state.paused and (run.dag_id, run.run_id) not in self._in_pass

    def _schedule(self, run: DagRun, now: Instant) -> None:
        if not backfills.may_begin(self.state, run):
            return
        if run.state == "queued":
            self.state.set_run_state(run, "running", now)
            self._tell_dag(run, "START", now)
        for instance in run.tasks.values():
            self._schedule_one(run, instance, now)
        if all(instance.state in FINISHED for instance in run.tasks.values()):
            self._begin_end(run, now)
        else:
            run.examined_at = now

    def _schedule_one(self, run: DagRun, instance: TaskInstance, now: Instant) -> None:
        if instance.state == "restarting" and instance.not_before <= now:
            instance.not_before = now + RESTART_TAKES
            seen = instance.id
            self.at(instance.not_before, lambda then: self._restart(instance, seen, then))
        if instance.state is None:
            self._unblock(run, instance, now)

    def _unblock(self, run: DagRun, instance: TaskInstance, now: Instant) -> None:
        above = self.state.dags[run.dag_id].upstream(instance.task_id)
        states = {other.state for other in run.tasks.values() if other.task_id in above}
        if states & _UPSTREAM_BAD:
            self._settle(instance, "upstream_failed", now)
        elif "skipped" in states:
            self._settle(instance, "skipped", now)
        elif states <= {"success"}:
            instance.state, instance.queued_at, instance.updated_at = "queued", now, now
            seen = instance.id
            self.at(now + QUEUED_FOR, lambda then: self._start(run, instance, seen, then))

    def _settle(self, instance: TaskInstance, state: str, now: Instant) -> None:
        instance.state, instance.start_date, instance.end_date, instance.updated_at = state, now, now, now

    def _start(self, run: DagRun, instance: TaskInstance, seen: str, now: Instant) -> None:
        if instance.id != seen or instance.state != "queued":
            return
        self.state.begin_try(instance, now)
        self._tell_task(run, instance, "START", now)
        plan = self._plan_for(run, instance)
        self.at(now + plan.duration, lambda then: self._finish(run, instance, seen, plan, then))

    def _finish(self, run: DagRun, instance: TaskInstance, seen: str, plan: Plan, now: Instant) -> None:
        if instance.id != seen or instance.state != "running":
            return
        if plan.fails(instance.try_number, instance.clears):
            self._fail(run, instance, seen, plan, now)
            return
        self._tell_task(run, instance, "COMPLETE", now)
        self.state.end_try(instance, "success", now)

    def _fail(self, run: DagRun, instance: TaskInstance, seen: str, plan: Plan, now: Instant) -> None:
        """The event is announced first and recorded later, as in Airflow: a clear on receipt finds nothing failed."""
        again = instance.try_number <= instance.max_tries and not plan.final
        told = _told(run, instance, plan.failure, again=again)
        if told is not None:
            self._tell_task(run, instance, "FAIL", now, told)
        state = "up_for_retry" if again else "failed"
        self.at(now + plan.announce, lambda then: self._record(run, instance, seen, state, then))

    def _record(self, run: DagRun, instance: TaskInstance, seen: str, state: str, now: Instant) -> None:
        if instance.id != seen or instance.state != "running":
            return
        self.state.end_try(instance, state, now)
        if state == "up_for_retry":
            delay = self.state.dags[run.dag_id].by_id[instance.task_id].retry_delay
            new = instance.id
            self.at(now + delay, lambda then: self._retry(instance, new, then))

    def _retry(self, instance: TaskInstance, seen: str, now: Instant) -> None:
        if instance.id == seen and instance.state == "up_for_retry":
            instance.state, instance.updated_at = None, now

    def _restart(self, instance: TaskInstance, seen: str, now: Instant) -> None:
        if instance.id == seen and instance.state == "restarting":
            instance.state, instance.updated_at, instance.not_before = None, now, 0

    def _begin_end(self, run: DagRun, now: Instant) -> None:
        """A pass decides by what it has read, and writes it down at its end, whatever has become of it meanwhile."""
        bad = any(instance.state in _UPSTREAM_BAD for instance in run.tasks.values())
        if not self._ending:
            self._end_run(run, now, bad=bad)
            return
        self._in_pass.add((run.dag_id, run.run_id))
        self.at(now + self._ending, lambda then: self._end_run(run, then, bad=bad))

    def _end_run(self, run: DagRun, now: Instant, *, bad: bool) -> None:
        self._in_pass.discard((run.dag_id, run.run_id))
        run.examined_at = now
        self.state.set_run_state(run, "failed" if bad else "success", now)
        self._tell_dag(run, "FAIL" if bad else "COMPLETE", now)

    def _tell_task(
        self, run: DagRun, instance: TaskInstance, kind: str, now: Instant, failure: Failure | None = None
    ) -> None:
        self._tell(run, lineage.task_event(self.state, run, instance, kind, now, failure))

    def _tell_dag(self, run: DagRun, kind: str, now: Instant) -> None:
        self._tell(run, lineage.dag_event(self.state, run, kind, now))

    def _tell(self, run: DagRun, value: bytes) -> None:
        self.emitted += 1
        if not self._loses(self.emitted):
            self._emit(lineage.key(self.state, run.dag_id), value)


def _told(run: DagRun, instance: TaskInstance, failure: Failure | None, *, again: bool) -> Failure | None:
    """What the FAIL event says: a killed task's comes from the scheduler, and on the last try there is none."""
    if failure is None or not failure.silent:
        return failure
    name = f"{run.dag_id}.{instance.task_id} {run.run_id} [running]"
    return Failure("", _KILLED.format(name=name), silent=True) if again else None
