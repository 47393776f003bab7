"""Attributes of an OpenLineage event: what Airflow says beyond the fields of an event, bounded and masked."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.openlineage_wire import (
    AirflowFacet,
    AirflowState,
    DagRun,
    DagShape,
    DeadlineAlert,
    JobFacets,
    RunFacets,
)
from remediator.codecs.text import ID_CHARS, masked_head

MAX_TASKS = 2_048
MAX_EDGES = 8_192
MAX_DEADLINES = 64
_STATE_CHARS = 64
_NOTE_CHARS = 1_000
_CONF_BYTES = 65_536
_QUIET_STATES = frozenset({"success", "skipped", "removed"})
_LOUD_STATES = frozenset({"failed", "upstream_failed", "up_for_retry", "running", "queued", "scheduled", "restarting"})
_STATES = _QUIET_STATES | _LOUD_STATES


def attributes_of(
    kind: str, state: str, facets: RunFacets, job_facets: JobFacets, airflow: AirflowFacet
) -> dict[str, Any]:
    """A dagrun's tasks, final states, deadlines, note, conf and trigger; a task's group and rendered map index."""
    if kind == "DAG":
        return _dagrun(state, facets, job_facets, airflow.dag_run)
    if kind == "TASK":
        return _task(airflow)
    parent = facets.parent.job.name if facets.parent and facets.parent.job else None
    return {"parent_job": parent[:ID_CHARS]} if parent else {}


def _task(airflow: AirflowFacet) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if airflow.task and airflow.task.task_group and airflow.task.task_group.group_id:
        attributes["task_group"] = airflow.task.task_group.group_id[:ID_CHARS]
    if airflow.task_instance and airflow.task_instance.rendered_map_index:
        attributes["rendered_map_index"] = masked_head(airflow.task_instance.rendered_map_index, ID_CHARS)
    return attributes


def _dagrun(state: str, facets: RunFacets, job_facets: JobFacets, dag_run: DagRun | None) -> dict[str, Any]:
    attributes = _of_dag_run(dag_run) if dag_run else {}
    if state == "START" and job_facets.airflow:
        attributes |= _shape(job_facets.airflow)
    if facets.airflow_state:
        attributes |= _tasks_state(facets.airflow_state)
    return attributes


def _of_dag_run(dag_run: DagRun) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if dag_run.triggered_by:
        attributes["triggered_by"] = dag_run.triggered_by[:ID_CHARS]
    if dag_run.triggering_user_name:
        attributes["triggering_user"] = dag_run.triggering_user_name[:ID_CHARS]
    if dag_run.logical_date is None and dag_run.run_after:
        attributes["run_after"] = dag_run.run_after[:_STATE_CHARS]
    if dag_run.note:
        attributes["note"] = masked_head(dag_run.note, _NOTE_CHARS)
    if dag_run.deadlines and dag_run.deadlines.alerts:
        attributes |= _deadlines(dag_run.deadlines.alerts[:MAX_DEADLINES])
    return attributes | _conf(dag_run.conf)


def _deadlines(alerts: list[DeadlineAlert]) -> dict[str, Any]:
    """All of them; of missed ones also how many and the earliest: no condition can look into tables of a list."""
    times = [(one.deadline_time or "")[:_STATE_CHARS] for one in alerts]
    told = [{"deadline_time": at, "missed": one.missed} for at, one in zip(times, alerts, strict=True)]
    missed = [at for at, one in zip(times, alerts, strict=True) if one.missed]
    if not missed:
        return {"deadlines": told}
    return {"deadlines": told, "deadlines_missed": len(missed), "missed_deadline": min(missed)}


def _conf(raw: msgspec.Raw) -> dict[str, Any]:
    """The dagrun's conf, masked: dagruns are told apart by it, and people put passwords there."""
    text = bytes(raw)
    if len(text) <= len("{}") or len(text) > _CONF_BYTES:
        return {}
    try:
        conf = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):  # numbers and depths that skipping it let pass
        return {}
    return {"conf": bounded(conf)} if isinstance(conf, dict) and conf else {}


def _shape(shape: DagShape) -> dict[str, Any]:
    """task_id -> the task_ids right downstream of it."""
    tasks, edges = shape.tasks or {}, 0
    kept: dict[str, list[str]] = {}
    for task_id, task in tasks.items():
        downstream = task.downstream_task_ids or []
        edges += len(downstream)
        if len(kept) >= MAX_TASKS or edges > MAX_EDGES:
            return {"tasks": kept, "tasks_truncated": True}
        kept[task_id[:ID_CHARS]] = [name[:ID_CHARS] for name in downstream]
    return {"tasks": kept} if kept else {}


def _tasks_state(said: AirflowState) -> dict[str, Any]:
    """task_id -> final state; when there are too many, the states that need attention are kept."""
    states = said.tasks_state or {}
    if not states:
        return {}
    items = list(states.items())
    if len(items) > MAX_TASKS:
        items.sort(key=lambda item: item[1] in _QUIET_STATES)
    kept = {task_id[:ID_CHARS]: _state(state) for task_id, state in items[:MAX_TASKS]}
    return {"tasks_state": kept, "tasks_truncated": True} if len(items) > MAX_TASKS else {"tasks_state": kept}


def _state(said: str | None) -> str:
    return said if said in _STATES else masked_head(said or "", _STATE_CHARS)
