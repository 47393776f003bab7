"""Rows of API v1 as Airflow 2.11.2 gives them, over the same state; and its checks of what it is asked. Pure.

As strict as that one: parameters and fields that it does not know are 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import QueryParams

from remediator.demo.fleet import render
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal
from remediator.demo.fleet.ills import PoolUse
from remediator.demo.fleet.plan import DagSpec
from remediator.demo.fleet.state import DagRun, PoolSize, TaskInstance
from remediator.model.event import UNMAPPED_INDEX

RUN_FIELDS = (
    "dag_run_id", "dag_id", "logical_date", "start_date", "end_date", "data_interval_start", "data_interval_end",
    "last_scheduling_decision", "run_type", "state", "conf", "note",
)  # fmt: skip
TASK_FIELDS = (
    "task_id", "task_display_name", "dag_id", "dag_run_id", "map_index", "start_date", "end_date", "duration", "state",
    "try_number", "max_tries", "hostname", "unixname", "pool", "pool_slots", "queue", "priority_weight", "operator",
    "queued_when", "pid", "executor", "executor_config", "note", "rendered_map_index", "rendered_fields", "trigger",
    "triggerer_job",
)  # fmt: skip
DAG_FIELDS = (
    "dag_id", "dag_display_name", "is_paused", "last_parsed_time", "last_expired", "fileloc", "file_token",
    "description", "timetable_description", "max_active_tasks", "max_active_runs", "max_consecutive_failed_dag_runs",
    "has_task_concurrency_limits", "has_import_errors", "next_dagrun_data_interval_start",
    "next_dagrun_data_interval_end", "owners",
)  # fmt: skip


def run_row(call: Call, run: DagRun) -> Json:
    """A DAGRun: it always has a date, and since when it is queued is not told."""
    row = render.dag_run(call.state, run)
    date = row["logical_date"] or render.at(run.queued_at)
    ends = {name: row[name] or date for name in ("data_interval_start", "data_interval_end")}
    dated = {"logical_date": date, "execution_date": date, **ends}
    return {**{name: row[name] for name in RUN_FIELDS}, **dated, "external_trigger": run.run_type == "manual"}


def task_row(call: Call, run: DagRun, instance: TaskInstance) -> Json:
    """A TaskInstance: no id."""
    row = {name: render.task_instance(call.state, run, instance)[name] for name in TASK_FIELDS}
    return {**row, "execution_date": run_row(call, run)["execution_date"], "sla_miss": None}


def reference(call: Call, run: DagRun, instance: TaskInstance) -> Json:
    """A TaskInstanceReference: no map index."""
    row = task_row(call, run, instance)
    return {name: row[name] for name in ("dag_id", "dag_run_id", "execution_date", "task_id")}


def dag_row(call: Call, spec: DagSpec) -> Json:
    """A DAG."""
    row = render.dag(call.state, spec, call.now)
    interval = {"__type": "CronExpression", "value": row["timetable_summary"]} if spec.every else None
    unset = dict.fromkeys(("last_pickled", "pickle_id", "root_dag_id", "scheduler_lock"))
    return {
        **{name: row[name] for name in DAG_FIELDS},
        **unset,
        "next_dagrun": row["next_dagrun_logical_date"],
        "next_dagrun_create_after": row["next_dagrun_run_after"],
        "is_active": True,
        "is_subdag": False,
        "default_view": "grid",
        "schedule_interval": interval,
        "tags": [{"name": tag} for tag in spec.tags],
    }


def pool_row(call: Call, known: PoolSize) -> Json:
    """A Pool. Raises Refusal for one without a limit: the check of its own answer finds infinity in it."""
    if known.slots < 0:
        raise Refusal(500, "inf is not of type 'integer'\n\nFailed validating 'type' in schema")
    row = render.pool(known, call.state.ills.pools.get(known.name, PoolUse()))
    return {name: value for name, value in row.items() if name != "team_name"}


def checked_query(call: Call, *known: str) -> QueryParams:
    """The parameters of a call. Raises Refusal for one that is not in the specification."""
    query = call.request.query_params
    extra = sorted(set(query) - set(known))
    if extra:
        raise Refusal(400, f"Extra query parameter(s) {', '.join(extra)} not in spec")
    return query


def checked_body(call: Call, known: Sequence[str]) -> Json:
    """The fields of a call. Raises Refusal for one that is not known."""
    body: Any = call.body if isinstance(call.body, dict) else {}
    extra = {name: ["Unknown field."] for name in body if name not in known}
    if extra:
        raise Refusal(400, str(extra))
    return dict(body)


def instance_of(call: Call) -> tuple[DagRun, TaskInstance]:
    """The task instance that the path names. Raises NotFound."""
    run = call.state.run(call.path("dag_id"), call.path("dag_run_id"))
    index = call.request.path_params.get("map_index", call.request.query_params.get("map_index", UNMAPPED_INDEX))
    found = [task for task in run.tasks.values() if task.task_id == call.path("task_id")] if run else []
    named = [task for task in found if task.map_index == int(index)]
    if run is None or not named:
        is_mapped = found and index == UNMAPPED_INDEX
        raise NotFound("Task instance is mapped, add the map_index value to the URL" if is_mapped else "")
    return run, named[0]


def run_of(call: Call, missing: str) -> DagRun:
    """The dagrun that the path names. Raises NotFound with this text about DAG and dagrun."""
    dag_id, run_id = call.path("dag_id"), call.path("dag_run_id")
    run = call.state.run(dag_id, run_id)
    if run is None:
        raise NotFound(missing.format(dag=dag_id, run=run_id))
    return run


def spec_of(call: Call, missing: str) -> DagSpec:
    """The DAG that the path names. Raises NotFound with this text about it."""
    spec = call.state.dags.get(call.path("dag_id"))
    if spec is None:
        raise NotFound(missing.format(dag=call.path("dag_id")))
    return spec
