"""Clearing and marking, as API v2 does them: chosen first, written later, refused if somebody was faster. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from remediator.demo.fleet.state import FINISHED, ClearRecord, DagRun, FleetState, TaskInstance
from remediator.model.time import Instant

RUNNING_TEXT = (
    "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed, or wait until the task is not "
    "running, queued, or scheduled state."
)
_FAILED = frozenset({"failed", "upstream_failed"})


@dataclass(frozen=True, slots=True)
class ClearBody:
    """The body of clearTaskInstances with its defaults. task_ids: None for all, else (task_id, index or None)."""

    dry_run: bool = True
    dag_run_id: str | None = None
    task_ids: tuple[tuple[str, int | None], ...] | None = None
    only_failed: bool = True
    only_running: bool = False
    reset_dag_runs: bool = True
    include_downstream: bool = False
    include_upstream: bool = False
    include_future: bool = False
    include_past: bool = False
    prevent_running_task: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a clear will touch, with the ids that it saw: the write is refused if one of them has changed."""

    targets: tuple[tuple[DagRun, TaskInstance, str], ...]


class Collision(Exception):  # noqa: N818
    """Another clear was first; nothing was written."""


class StillRunning(Exception):  # noqa: N818
    """`prevent_running_task` and one of them is running; nothing was written."""


def choose(state: FleetState, dag_id: str, body: ClearBody) -> Chosen:
    """The task instances that the body names, in the states that it asks for."""
    runs = [run for run in state.runs.values() if run.dag_id == dag_id and body.dag_run_id in (None, run.run_id)]
    return Chosen(
        tuple(
            (run, instance, instance.id)
            for run in runs
            for instance in run.tasks.values()
            if _is_named(state, dag_id, instance, body) and _is_wanted(instance, body)
        )
    )


def apply(state: FleetState, chosen: Chosen, body: ClearBody, user: str, now: Instant) -> None:
    """Clear them all or none. Raises Collision or StillRunning, having changed nothing."""
    if any(instance.id != seen for _, instance, seen in chosen.targets):
        raise Collision
    if body.prevent_running_task and any(instance.state == "running" for _, instance, _ in chosen.targets):
        raise StillRunning
    for run in {id(run): run for run, _, _ in chosen.targets}.values():
        mine = [instance for owner, instance, _ in chosen.targets if owner is run]
        _clear_in_run(state, run, mine, body, user, now)


def mark(state: FleetState, run: DagRun, instance: TaskInstance, new_state: str, now: Instant) -> None:
    """A person sets a state by hand; the id stays. In a failed dagrun it re-queues that and what failed below."""
    instance.state, instance.end_date, instance.updated_at = new_state, now, now
    if new_state == "failed" or run.state != "failed":
        return
    below = state.dags[run.dag_id].below(frozenset({instance.task_id}))
    for other in run.tasks.values():
        if other.task_id in below and other.state in _FAILED:
            other.state, other.updated_at = None, now
    state.set_run_state(run, "queued", now)


def _is_named(state: FleetState, dag_id: str, instance: TaskInstance, body: ClearBody) -> bool:
    if body.task_ids is None:
        return True
    if any(instance.task_id == task and index in (None, instance.map_index) for task, index in body.task_ids):
        return True
    dag = state.dags[dag_id]
    named = frozenset(task for task, _ in body.task_ids)
    below = body.include_downstream and instance.task_id in dag.below(named)
    above = body.include_upstream and bool(dag.below(frozenset({instance.task_id})) & named)
    return below or above


def _is_wanted(instance: TaskInstance, body: ClearBody) -> bool:
    if body.only_failed:
        return instance.state in _FAILED
    return instance.state == "running" if body.only_running else True


def _clear_in_run(
    state: FleetState, run: DagRun, instances: list[TaskInstance], body: ClearBody, user: str, now: Instant
) -> None:
    failures = tuple(
        (each.task_id, each.map_index, each.try_number) for each in instances if _is_failure(state, run, each)
    )
    for each in instances:
        _clear_one(state, run, each, body.note, now)
    for task_id, index, try_number in failures:
        state.cleared_attempts[run.dag_id, run.run_id, task_id, index, try_number] += 1
    state.clear_records.append(
        ClearRecord(now, run.dag_id, run.run_id, user, body.note, failures, len(instances) - len(failures))
    )
    if body.reset_dag_runs:
        run.clear_number += 1
        run.queued_at = run.updated_at = now
        if run.state in FINISHED:
            run.state, run.start_date = "queued", None


def _is_failure(state: FleetState, run: DagRun, instance: TaskInstance) -> bool:
    """A failed attempt, or one that was cleared before and has not been tried again since."""
    again = (run.dag_id, run.run_id, *instance.key, instance.try_number) in state.cleared_attempts
    return instance.state == "failed" or (instance.state is None and again)


def _clear_one(state: FleetState, run: DagRun, instance: TaskInstance, note: str | None, now: Instant) -> None:
    was_running = instance.state == "running"
    state.shelve(instance, instance.state, now)
    instance.updated_at = now
    instance.clears += 1
    if note is not None:
        instance.note = note or None
    if was_running:
        instance.state = "restarting"
        return
    spec = state.dags[run.dag_id].by_id.get(instance.task_id)
    retries = spec.retries if spec else 0
    instance.max_tries = instance.try_number + retries
    instance.state = None
