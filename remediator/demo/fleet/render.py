"""Rows as API v2 answers them, field by field (recorded from Airflow 3.3.2). Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from remediator.demo.fleet.ills import PoolUse
from remediator.demo.fleet.plan import DagSpec
from remediator.demo.fleet.state import Attempt, BackfillRecord, DagRun, FleetState, LogEntry, PoolSize, TaskInstance
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, format_instant

Json = dict[str, Any]
_NAMESPACE = UUID("5f0f6f0e-3c53-4d3b-9d53-3a3b1f6a7c11")
_TRIGGERED_BY = {"scheduled": "timetable", "backfill": "backfill"}
_CREATED = "2026-01-01T00:00:00Z"
_UNUSED = PoolUse()


def at(moment: Instant | None) -> str | None:
    """Instant -> the API's timestamp."""
    return None if moment is None else format_instant(moment)


def dag_version(dag: DagSpec) -> Json:
    """The version that a dagrun or task instance ran with."""
    return {
        "id": str(uuid5(_NAMESPACE, f"{dag.dag_id}/{dag.version}")),
        "version_number": dag.version,
        "dag_id": dag.dag_id,
        "bundle_name": "dags-folder",
        "bundle_version": None,
        "created_at": _CREATED,
        "dag_display_name": dag.dag_id,
        "bundle_url": None,
    }


def dag(state: FleetState, spec: DagSpec, now: Instant) -> Json:
    """A DAGResponse."""
    due = None if not spec.every else -(-now // spec.every) * spec.every
    start, end = (None, None) if due is None else spec.interval(due - (spec.every if spec.has_intervals else 0))
    return {
        "dag_id": spec.dag_id,
        "dag_display_name": spec.dag_id,
        "is_paused": spec.dag_id in state.paused,
        "is_stale": False,
        "last_parsed_time": at(now),
        "last_parse_duration": 0.05,
        "last_expired": None,
        "bundle_name": "dags-folder",
        "bundle_version": None,
        "relative_fileloc": f"{spec.dag_id}.py",
        "fileloc": f"/opt/airflow/dags/{spec.dag_id}.py",
        "description": None,
        "timetable_summary": "0 0 * * *" if spec.every else None,
        "timetable_description": "",
        "timetable_partitioned": False,
        "timetable_periodic": bool(spec.every),
        "tags": [{"name": tag, "dag_id": spec.dag_id, "dag_display_name": spec.dag_id} for tag in spec.tags],
        "max_active_tasks": 16,
        "max_active_runs": 16,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "has_import_errors": spec.dag_id in state.broken,
        "next_dagrun_logical_date": at(start),
        "next_dagrun_data_interval_start": at(start),
        "next_dagrun_data_interval_end": at(end),
        "next_dagrun_run_after": at(end),
        "allowed_run_types": None,
        "owners": [spec.owner],
        "is_backfillable": bool(spec.every),
        "file_token": "",
    }


def pool(known: PoolSize, use: PoolUse = _UNUSED) -> Json:
    """A PoolResponse."""
    occupied = use.running + use.queued
    return {
        "name": known.name,
        "slots": known.slots,
        "description": known.description,
        "include_deferred": known.include_deferred,
        "occupied_slots": occupied,
        "running_slots": use.running,
        "queued_slots": use.queued,
        "scheduled_slots": use.scheduled,
        "open_slots": -1 if known.slots < 0 else known.slots - occupied,
        "deferred_slots": 0,
        "team_name": None,
    }


def backfill(known: BackfillRecord) -> Json:
    """A BackfillResponse."""
    return {
        "id": known.id,
        "dag_id": known.dag_id,
        "from_date": at(known.first),
        "to_date": at(known.last),
        "dag_run_conf": known.conf,
        "is_paused": known.is_paused,
        "reprocess_behavior": known.reprocess,
        "max_active_runs": known.max_active_runs,
        "created_at": at(known.created_at),
        "completed_at": at(known.completed_at),
        "updated_at": at(known.updated_at),
        "dag_display_name": known.dag_id,
    }


def task_instance(state: FleetState, run: DagRun, instance: TaskInstance) -> Json:
    """A TaskInstanceResponse."""
    current = Attempt(instance.try_number, instance.max_tries, instance.state, instance.start_date, instance.end_date)
    row = {"id": instance.id, **_common(state, run, instance, current)}
    row |= {"logical_date": at(run.logical_date), "run_after": at(run.run_after), "note": instance.note}
    row |= {
        "rendered_map_index": None if instance.map_index == UNMAPPED_INDEX else str(instance.map_index),
        "rendered_fields": {},
        "trigger": None,
        "triggerer_job": None,
    }
    return row


def task_instance_try(state: FleetState, run: DagRun, instance: TaskInstance, attempt: Attempt) -> Json:
    """A TaskInstanceHistoryResponse: without id and note."""
    return _common(state, run, instance, attempt)


def tries(state: FleetState, run: DagRun, instance: TaskInstance) -> list[Json]:
    """Every try of it, the current one last unless it is already in the history."""
    attempts = list(instance.history)
    if instance.state != "up_for_retry":
        attempts.append(
            Attempt(instance.try_number, instance.max_tries, instance.state, instance.start_date, instance.end_date)
        )
    return [task_instance_try(state, run, instance, attempt) for attempt in attempts]


def dag_run(state: FleetState, run: DagRun) -> Json:
    """A DAGRunResponse."""
    start, end = run.interval or (None, None)
    return {
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "logical_date": at(run.logical_date),
        "queued_at": at(run.queued_at),
        "start_date": at(run.start_date),
        "end_date": at(run.end_date),
        "duration": _duration(run.start_date, run.end_date),
        "data_interval_start": at(start),
        "data_interval_end": at(end),
        "run_after": at(run.run_after),
        "last_scheduling_decision": at(run.examined_at or run.start_date),
        "run_type": run.run_type,
        "state": run.state,
        "triggered_by": _TRIGGERED_BY.get(run.run_type, "rest_api"),
        "triggering_user_name": None if run.run_type == "scheduled" else "admin",
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [dag_version(state.dags[run.dag_id])],
        "bundle_version": None,
        "dag_display_name": run.dag_id,
        "partition_key": None,
        "partition_date": None,
    }


def page(name: str, rows: list[Json], total: int, *, cursors: tuple[str | None, str | None, int | None]) -> Json:
    """A collection: rows under `name`; cursors: (next, previous, total_entries_limit)."""
    following, previous, limit = cursors
    return {
        name: rows,
        "total_entries": total,
        "total_entries_limit": limit,
        "next_cursor": following,
        "previous_cursor": previous,
    }


NO_CURSORS: tuple[None, None, None] = (None, None, None)


def log_entry(entry: LogEntry) -> Json:
    """An EventLogResponse."""
    return {
        "event_log_id": entry.id,
        "when": at(entry.at),
        "dag_id": entry.dag_id,
        "task_id": entry.task_id,
        "run_id": entry.run_id,
        "map_index": None,
        "try_number": None,
        "event": entry.event,
        "logical_date": None,
        "owner": entry.owner,
        "extra": entry.extra,
        "dag_display_name": entry.dag_id,
        "task_display_name": entry.task_id,
    }


def task_log(run: DagRun, instance: TaskInstance, try_number: int) -> Json:
    """A TaskInstancesLogResponse with the lines that every task log starts with."""
    path = f"/opt/airflow/logs/dag_id={run.dag_id}/run_id={run.run_id}/task_id={instance.task_id}"
    return {
        "content": [
            {"event": "::group::Log message source details"},
            {"event": f"{path}/attempt={try_number}.log"},
            {"event": "::endgroup::"},
        ],
        "continuation_token": None,
    }


def _common(state: FleetState, run: DagRun, instance: TaskInstance, attempt: Attempt) -> Json:
    return {
        "task_id": instance.task_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "map_index": instance.map_index,
        "start_date": at(attempt.start_date),
        "end_date": at(attempt.end_date),
        "duration": _duration(attempt.start_date, attempt.end_date),
        "state": attempt.state,
        "try_number": attempt.try_number,
        "max_tries": attempt.max_tries,
        "task_display_name": instance.task_id,
        "dag_display_name": run.dag_id,
        "hostname": "worker-1" if attempt.try_number else "",
        "unixname": "airflow",
        "pool": "default_pool",
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "operator": instance.operator,
        "operator_name": "@task",
        "queued_when": at(instance.queued_at),
        "scheduled_when": at(instance.queued_at),
        "pid": 4242 if attempt.try_number else None,
        "executor": None,
        "executor_config": "{}",
        "dag_version": dag_version(state.dags[run.dag_id]),
    }


def _duration(start: Instant | None, end: Instant | None) -> float | None:
    return None if start is None or end is None else (end - start) / 1_000_000
