"""Builds a stand-in's state from recorded OpenLineage events: where everything stood when the recording ended. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.state import FINISHED, DagRun, FleetState, TaskInstance, TaskKey
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, parse_instant

Json = dict[str, Any]
_STATE_OF = {"START": "running", "COMPLETE": "success", "FAIL": "failed"}
_MASKED = "***"
"""What Airflow's secret masker makes of the states of tasks whose id looks like a secret's."""


@dataclass(slots=True)
class _Try:
    number: int
    state: str
    retries: int
    start: Instant | None
    end: Instant | None


@dataclass(slots=True)
class _Run:
    dag_id: str
    run_id: str
    facet: Json
    at: Instant
    clear_number: int = 0
    state: str = "running"
    task_states: dict[str, str] = field(default_factory=dict)
    end: Instant | None = None
    latest: tuple[Instant, bool] = (0, False)
    tries: dict[TaskKey, _Try] = field(default_factory=dict)


@dataclass(slots=True)
class _Recording:
    runs: dict[tuple[str, str], _Run] = field(default_factory=dict)
    downstream: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)


def load(values: Iterable[bytes | str], namespace: str) -> FleetState:
    """Values of Kafka records, in any order -> the state that they ended in. What is no such event is passed over."""
    recording = _Recording()
    for value in values:
        event = _decoded(value)
        if event is not None:
            _take(recording, event)
    return _state(recording, namespace)


def _decoded(value: bytes | str) -> Json | None:
    try:
        event = json.loads(value)
    except ValueError:
        return None
    return event if isinstance(event, dict) and event.get("eventType") in _STATE_OF else None


def _take(recording: _Recording, event: Json) -> None:
    facets = event["run"]["facets"]
    if "airflow" in facets:
        _take_task(recording, event, facets["airflow"])
    elif "airflowDagRun" in facets:
        _take_dag(recording, event, facets)


def _take_task(recording: _Recording, event: Json, facet: Json) -> None:
    run = _run_of(recording, facet, event)
    task, instance = facet["task"], facet["taskInstance"]
    key = (task["task_id"], instance.get("map_index", UNMAPPED_INDEX))
    number, state, moment = instance["try_number"], _STATE_OF[event["eventType"]], parse_instant(event["eventTime"])
    known = run.tries.get(key)
    if known is None or number > known.number:
        known = run.tries[key] = _Try(number, "running", task.get("retries", 0), None, None)
    if number < known.number:
        return
    if state == "running":
        known.start = moment
    elif known.end is None or moment >= known.end:
        known.state, known.end = state, moment


def _take_dag(recording: _Recording, event: Json, facets: Json) -> None:
    run = _run_of(recording, facets["airflowDagRun"], event)
    shape = event["job"]["facets"].get("airflow", {}).get("tasks", {})
    if shape:
        edges = {name: tuple(task.get("downstream_task_ids", ())) for name, task in shape.items()}
        recording.downstream.setdefault(run.dag_id, {}).update(edges)
    moment, begins = parse_instant(event["eventTime"]), event["eventType"] == "START"
    if begins:
        run.at = max(run.at, moment)
    if (moment, not begins) < run.latest:
        return
    run.latest = (moment, not begins)
    run.state, run.end = _STATE_OF[event["eventType"]], None if begins else moment
    run.task_states = dict(facets.get("airflowState", {}).get("tasksState", {}))


def _run_of(recording: _Recording, facet: Json, event: Json) -> _Run:
    dag, run = facet["dag"], facet["dagRun"]
    recording.owners[dag["dag_id"]] = dag.get("owner", "airflow")
    key = (dag["dag_id"], run["run_id"])
    if key not in recording.runs:
        recording.runs[key] = _Run(*key, facet=run, at=parse_instant(run.get("run_after") or event["eventTime"]))
    known = recording.runs[key]
    known.clear_number = max(known.clear_number, run.get("clear_number", 0))
    return known


def _state(recording: _Recording, namespace: str) -> FleetState:
    state = FleetState(namespace)
    for dag_id, owner in recording.owners.items():
        state.add_dag(_dag(recording, dag_id, owner))
    for recorded in recording.runs.values():
        _add_run(state, recorded)
    return state


def _dag(recording: _Recording, dag_id: str, owner: str) -> DagSpec:
    edges = recording.downstream.get(dag_id, {})
    retries: dict[str, int] = dict.fromkeys(edges, 0)
    for run in recording.runs.values():
        if run.dag_id == dag_id:
            retries |= {task: 0 for task in run.task_states if task not in retries}
            retries |= {task: each.retries for (task, _), each in run.tries.items()}
    return DagSpec(dag_id, tuple(TaskSpec(task, edges.get(task, ()), count) for task, count in retries.items()), owner)


def _add_run(state: FleetState, recorded: _Run) -> None:
    facet = recorded.facet
    date = facet.get("logical_date")
    run = state.add_run(
        recorded.dag_id,
        recorded.run_id,
        parse_instant(facet.get("run_after") or "1970-01-01"),
        run_type=facet.get("run_type", "manual"),
        logical_date=parse_instant(date) if date else None,
    )
    run.state, run.start_date, run.end_date = recorded.state, recorded.at, recorded.end
    run.updated_at = recorded.end or recorded.at
    run.clear_number = recorded.clear_number
    mapped = {task for task, index in recorded.tries if index != UNMAPPED_INDEX}
    for key in [key for key in run.tasks if key[0] in mapped and key not in recorded.tries]:
        del run.tasks[key]
    for key, last in recorded.tries.items():
        _add_try(state, run, key, last)
    for key, instance in run.tasks.items():
        _settle(run, instance, recorded, key)


def _add_try(state: FleetState, run: DagRun, key: TaskKey, last: _Try) -> None:
    moment = last.end or last.start or run.updated_at
    instance = run.tasks.get(key)
    if instance is None:
        instance = run.tasks[key] = TaskInstance(state.next_id(moment), *key, max_tries=last.retries, updated_at=moment)
    instance.try_number, instance.max_tries = last.number, max(last.retries, last.number - 1)
    instance.state, instance.start_date, instance.end_date = last.state, last.start, last.end
    instance.updated_at = moment


def _settle(run: DagRun, instance: TaskInstance, recorded: _Run, key: TaskKey) -> None:
    """The dagrun's own word counts where no task event tells: killed, skipped, never started. Not for mapped tasks."""
    said = recorded.task_states.get(instance.task_id)
    told = recorded.tries.get(key)
    unsaid = said in (None, _MASKED) or key[1] != UNMAPPED_INDEX
    if not unsaid and (told is None or told.end is None or said in FINISHED):
        instance.state = said
    if instance.state == "failed" and run.state == "running" and instance.try_number <= instance.max_tries:
        instance.state = "up_for_retry"
    if instance.state == "running" and run.state in FINISHED and unsaid:
        instance.state = "failed" if run.state == "failed" else "success"
    if instance.state in FINISHED and instance.end_date is None:
        instance.end_date = instance.updated_at = run.end_date or run.updated_at
