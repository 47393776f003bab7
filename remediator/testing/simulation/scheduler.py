"""A stand-in for Airflow: dagruns of chained task instances with per-attempt state, on the virtual clock.

Owns the scheduler's truth and checks what is done to it. Knows nothing of remediator but the API's row types.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from itertools import pairwise
from random import Random

import msgspec

from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.rows import NO_STATE, TaskInstanceRow
from remediator.model.event import UNMAPPED_INDEX, ErrorInfo, Event
from remediator.model.time import MILLISECOND, SECOND, Duration, Instant, format_instant
from remediator.model.truth import DagRunRef, DagRunTruth, TaskTruth
from remediator.testing.simulation.runs import DONE, POOL, POOL_SLOTS, Changed, DagRun, Instance, Plan

PERSON = "person"


class Scheduler:
    """All dagruns of one deployment. `emit` is called with each event, as the provider would."""

    def __init__(self, deployment: str, random: Random, clock: Callable[[], Instant]) -> None:
        self.deployment = deployment
        self.dagruns: dict[tuple[str, str], DagRun] = {}
        self.clears: list[tuple[Instant, str, str, str, int, str]] = []
        """(at, dag_id, run_id, task instance, try, who) of every effective clear of a failed attempt."""
        self.changes: list[Changed] = []
        self.event_log: list[LogRow] = []
        self.pools = {POOL: POOL_SLOTS}
        self.paused: set[str] = set()
        self.tags: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        """What goes on when the DAG is resumed."""
        self.failed_finally: set[tuple[str, str, str, int]] = set()
        self.emit: Callable[[Event], None] = lambda event: None
        self._random = random
        self._clock = clock
        self.on_failed_again: Callable[[str, str, str], None] = lambda dag_id, run_id, task_id: None
        """Told of a task instance that failed for good after it was cleared."""
        self._queue: list[tuple[Instant, int, Callable[[], None]]] = []
        self._sequence = 0

    # -- time -----------------------------------------------------------------------------------------------------

    def next_at(self) -> Instant | None:
        """When something happens next."""
        return self._queue[0][0] if self._queue else None

    def run_due(self) -> None:
        """Let happen what is due."""
        while self._queue and self._queue[0][0] <= self._clock():
            heapq.heappop(self._queue)[2]()

    def _later(self, wait: Duration, happen: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self._clock() + wait, self._sequence, happen))

    def _between(self, low: Duration, high: Duration) -> Duration:
        return self._random.randrange(low, high)

    # -- running --------------------------------------------------------------------------------------------------

    def trigger(self, dag_id: str, run_id: str, plans: list[Plan], wait: Duration) -> None:
        """Start a dagrun after `wait`."""
        instances = [
            Instance(f"t{number}", plan, index, max_tries=plan.retries)
            for number, plan in enumerate(plans)
            for index in (range(plan.indexes) if plan.indexes else (UNMAPPED_INDEX,))
        ]
        run = DagRun(self.deployment, dag_id, run_id, instances)
        self.dagruns[dag_id, run_id] = run
        self._later(wait, lambda: self._start_next(run))

    def _unless_paused(self, run: DagRun, happen: Callable[[], None]) -> None:
        """The scheduler does nothing for the dagruns of a paused DAG; what runs ends."""
        if run.dag_id in self.paused:
            self._waiting.setdefault(run.dag_id, []).append(happen)
        else:
            happen()

    def _start_next(self, run: DagRun) -> None:
        self._unless_paused(run, lambda: self._start_stage(run))

    def _start_stage(self, run: DagRun) -> None:
        """What may run of the first task that is not done."""
        left = [one for one in run.instances if one.state not in DONE]
        stage = [one for one in left if one.task_id == left[0].task_id]
        for instance in stage:
            if instance.state == NO_STATE:
                self._start(run, instance)
        if all(one.state in ("failed", "upstream_failed") for one in stage):
            self._later(self._between(50 * MILLISECOND, SECOND), lambda: self._end(run))

    def _start(self, run: DagRun, instance: Instance) -> None:
        instance.try_number += 1
        instance.number += 1
        self._set(instance, "running")
        number = instance.number
        self._emit_task(run, instance, "task.started")
        self._later(self._between(SECOND, 8 * SECOND), lambda: self._finish(run, instance, number))

    def _finish(self, run: DagRun, instance: Instance, number: int) -> None:
        if instance.number != number or instance.state != "running":
            return
        if instance.try_number > instance.plan.fails:
            self._set(instance, "success")
            self._emit_task(run, instance, "task.success")
            self._later(self._between(100 * MILLISECOND, 2 * SECOND), lambda: self._start_next(run))
            return
        last = instance.try_number > instance.max_tries
        if not (last and instance.plan.silent):
            self._emit_task(run, instance, "task.failed")
        self._later(self._between(100 * MILLISECOND, 5 * SECOND), lambda: self._record(run, instance, number))

    def _record(self, run: DagRun, instance: Instance, number: int) -> None:
        if instance.number != number or instance.state != "running":
            return
        if instance.try_number <= instance.max_tries:
            self._set(instance, "up_for_retry")
            self._later(self._between(SECOND, 10 * SECOND), lambda: self._retry(run, instance, number))
            return
        self._set(instance, "failed")
        self.failed_finally.add((run.dag_id, run.run_id, instance.task_id, instance.try_number))
        for other in self._after(run, instance):
            if other.state == NO_STATE:
                self._set(other, "upstream_failed")
        if instance.cleared:
            self.on_failed_again(run.dag_id, run.run_id, instance.name)
        self._later(self._between(30 * MILLISECOND, 3 * SECOND), lambda: self._end(run))

    def _after(self, run: DagRun, instance: Instance) -> list[Instance]:
        """What comes after it in the chain."""
        last = max(n for n, one in enumerate(run.instances) if one.task_id == instance.task_id)
        return run.instances[last + 1 :]

    def _retry(self, run: DagRun, instance: Instance, number: int) -> None:
        if instance.number == number and instance.state == "up_for_retry":
            if run.dag_id in self.paused:
                self._unless_paused(run, lambda: self._retry(run, instance, number))
            else:
                self._start(run, instance)

    def _set(self, instance: Instance, state: str) -> None:
        instance.state = state
        instance.story.append((self._clock(), state, instance.try_number))
        instance.updated_at = self._clock()
        instance.ended_at = self._clock() if state in ("failed", "success") else None

    def _end(self, run: DagRun) -> None:
        self._unless_paused(run, lambda: self._finish_dagrun(run))

    def _finish_dagrun(self, run: DagRun) -> None:
        states = {instance.state for instance in run.instances}
        over = states <= DONE | {"failed", "upstream_failed"}
        if run.state != "running" or not over:
            return
        run.state = "failed" if states - DONE else "success"
        run.ended_at = run.updated_at = self._clock()
        self._emit(run, f"dagrun.{run.state}", ended_at=run.ended_at, clear_number=run.clears)

    # -- events ---------------------------------------------------------------------------------------------------

    def _emit_task(self, run: DagRun, instance: Instance, kind: str) -> None:
        failed = kind == "task.failed"
        kind_of_error, _, message = instance.plan.error.partition(": ")
        self._emit(
            run,
            kind,
            task_id=instance.task_id,
            map_index=instance.map_index,
            try_number=instance.try_number,
            retries=instance.plan.retries,
            error=ErrorInfo(type=kind_of_error, message=message) if failed else None,
        )

    def _emit(self, run: DagRun, kind: str, **fields: object) -> None:
        base = Event(kind, self._clock(), source="simulation", namespace=self.deployment)
        self.emit(
            msgspec.structs.replace(
                base, dag_id=run.dag_id, run_id=run.run_id, tags=self.tags.get(run.dag_id, ()), **fields
            )
        )

    # -- for the checks ---------------------------------------------------------------------------------------------

    def instances(self, dag_id: str, task_id: str) -> list[Instance]:
        """The instances of a task in every dagrun."""
        runs = (run for run in self.dagruns.values() if run.dag_id == dag_id)
        return [one for run in runs for one in run.instances if one.task_id == task_id]

    def last_failed(self, dag_id: str, task_id: str, at: Instant) -> Instant | None:
        """The last moment up to `at` in which any instance of the task was failed; None if there was none."""
        ends = [end for one in self.instances(dag_id, task_id) for begin, end in failed_spans(one) if begin <= at]
        return min(max(ends), at) if ends else None

    # -- the API --------------------------------------------------------------------------------------------------

    def truth(self, dag_id: str, run_id: str, proving: Collection[str] = ()) -> DagRunTruth:
        """What a look answers."""
        run = self.dagruns.get((dag_id, run_id))
        if run is None:
            return DagRunTruth(self.deployment, dag_id, run_id, "")
        tasks = tuple(_task_truth(instance) for instance in run.instances if instance.state not in DONE)
        done = (one for one in run.instances if one.name in proving and one.state in ("success", "skipped"))
        proved = tuple(_task_truth(instance) for instance in done)
        paused = dag_id in self.paused
        return DagRunTruth(
            self.deployment,
            dag_id,
            run_id,
            run.state,
            tasks,
            run.ended_at,
            paused=paused,
            proved=proved,
            tags=self.tags.get(dag_id, ()),
        )

    def row(self, dag_id: str, run_id: str, name: str) -> TaskInstanceRow | None:
        """What GET of a task instance answers."""
        instance = self.instance(dag_id, run_id, name)
        return None if instance is None else _row(dag_id, run_id, instance)

    def changed_since(self, since: Instant) -> tuple[DagRunRef, ...]:
        """What a sweep answers."""
        found = []
        for run in self.dagruns.values():
            failed = any(one.state == "failed" and one.updated_at >= since for one in run.instances)
            if failed or (run.state == "failed" and run.updated_at >= since):
                found.append(DagRunRef(run.dag_id, run.run_id, run.ended_at))
        return tuple(found)

    def clear(self, dag_id: str, run_id: str, names: list[str], note: str, who: str) -> list[TaskInstanceRow]:
        """Clear failed instances and what failed downstream; returns the rows that changed."""
        run = self.dagruns[dag_id, run_id]
        meant = [one for one in run.instances if one.name in names]
        after = self._after(run, meant[0]) if meant else []
        changed = [one for one in (*meant, *after) if one.state in ("failed", "upstream_failed")]
        return self._clear(run, changed, note, who)

    def rerun(self, dag_id: str, run_id: str, note: str, who: str) -> list[TaskInstanceRow]:
        """Clear a whole finished dagrun; its own note tells who did."""
        run = self.dagruns[dag_id, run_id]
        run.note = note
        return self._clear(run, run.instances, "", who)

    def _clear(self, run: DagRun, changed: list[Instance], note: str, who: str) -> list[TaskInstanceRow]:
        for instance in changed:
            if instance.state == "failed":
                instance.cleared.setdefault(instance.try_number, set()).add(who)
                self.clears.append((self._clock(), run.dag_id, run.run_id, instance.name, instance.try_number, who))
            instance.number += 1
            instance.max_tries = instance.try_number + instance.plan.retries
            instance.note = note or instance.note
            self._set(instance, NO_STATE)
        if changed:
            run.state, run.ended_at, run.clears = "running", None, run.clears + 1
            self._later(self._between(500 * MILLISECOND, 4 * SECOND), lambda: self._start_next(run))
        return [_row(run.dag_id, run.run_id, instance) for instance in changed]

    def pause(self, dag_id: str, who: str, *, paused: bool) -> None:
        """Stop the DAG from being scheduled, or let it go on."""
        self.changes.append(Changed(self._clock(), dag_id, dag_id in self.paused, paused, who))
        if who == PERSON:  # whoever comes over the API is logged as a user of it
            extra = msgspec.json.encode({"is_paused": paused}).decode()
            self.event_log.append(LogRow(format_instant(self._clock()), "patch_dag", dag_id, owner=who, extra=extra))
        if paused:
            self.paused.add(dag_id)
            return
        self.paused.discard(dag_id)
        for happen in self._waiting.pop(dag_id, []):
            self._later(self._between(100 * MILLISECOND, 3 * SECOND), happen)

    def resize(self, pool: str, slots: int, who: str) -> None:
        """Give the pool so many slots."""
        self.changes.append(Changed(self._clock(), f"pool {pool}", self.pools[pool], slots, who))
        self.pools[pool] = slots

    def mark_success(self, dag_id: str, run_id: str, name: str) -> None:
        """A person marks a failed task instance as success; its dagrun goes on."""
        instance = self.instance(dag_id, run_id, name)
        run = self.dagruns[dag_id, run_id]
        if instance is None or instance.state != "failed":
            return
        instance.marked.add(instance.try_number)  # which leaves the identity of the try as it was
        self._set(instance, "success")
        if any(one.state == "failed" for one in run.instances if one.task_id == instance.task_id):
            return
        for other in run.instances:
            if other.state == "upstream_failed":
                self._set(other, NO_STATE)
        run.state, run.ended_at = "running", None
        self._later(SECOND, lambda: self._start_next(run))

    def instance(self, dag_id: str, run_id: str, name: str) -> Instance | None:
        """One task instance by its name, if there is such a dagrun."""
        run = self.dagruns.get((dag_id, run_id))
        return next((one for one in run.instances if one.name == name), None) if run is not None else None

    def succeeded_later(self, dag_id: str, run_id: str, name: str) -> bool:
        """Did the same task succeed in another dagrun after it failed in this one?"""
        failed = self.instance(dag_id, run_id, name)
        since = failed.ended_at if failed is not None else None
        others = (self.instance(dag_id, run.run_id, name) for run in self.dagruns.values() if run.dag_id == dag_id)
        return since is not None and any(
            one is not None and one.state == "success" and (one.ended_at or 0) > since - 10 * SECOND for one in others
        )

    def left(self) -> list[tuple[str, str, str, int]]:
        """(dag_id, run_id, task instance, try) of what is failed now."""
        return [
            (run.dag_id, run.run_id, instance.name, instance.try_number)
            for run in self.dagruns.values()
            for instance in run.instances
            if instance.state == "failed"
        ]


def failed_spans(instance: Instance) -> list[tuple[Instant, Instant]]:
    """[from, to] of every time it was failed."""
    changes = [*((at, state) for at, state, _ in instance.story), (2**62, "")]
    return [(at, end) for (at, state), (end, _) in pairwise(changes) if state == "failed"]


def _task_truth(instance: Instance) -> TaskTruth:
    return TaskTruth(
        instance.task_id,
        instance.state,
        instance.try_number,
        instance.map_index,
        instance_id=str(instance.number),
        max_tries=instance.max_tries,
        ended_at=instance.ended_at,
        note=instance.note,
    )


def _row(dag_id: str, run_id: str, instance: Instance) -> TaskInstanceRow:
    return TaskInstanceRow(
        id=str(instance.number),
        task_id=instance.task_id,
        dag_id=dag_id,
        dag_run_id=run_id,
        map_index=instance.map_index,
        state=None if instance.state == NO_STATE else instance.state,
        try_number=instance.try_number,
        max_tries=instance.max_tries,
        end_date=format_instant(instance.ended_at) if instance.ended_at is not None else None,
        note=instance.note or None,
    )
