"""OpenLineage run events, as Airflow's provider emits them, into events. Names are never split out of job names."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.codecs.masking import mask
from remediator.codecs.openlineage_attributes import attributes_of
from remediator.codecs.openlineage_datasets import AssetNames, check_events, dataset_names, update_events
from remediator.codecs.openlineage_wire import (
    AirflowFacet,
    DagRun,
    ErrorMessage,
    Job,
    JobFacets,
    Parent,
    RunEvent,
    RunFacets,
    RunPart,
    Task,
    TaskInstance,
)
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, instant
from remediator.codecs.stack import error_type
from remediator.codecs.text import (
    ID_CHARS,
    MAX_TAGS,
    MESSAGE_CHARS,
    TRACE_CHARS,
    URL_CHARS,
    cut,
    masked_head,
    masked_tail,
)
from remediator.model.event import UNMAPPED_INDEX, ErrorInfo, Event
from remediator.model.record import Record
from remediator.model.time import Instant

_SUBJECTS = {"DAG": "dagrun", "TASK": "task", "QUERY": "query"}
_STATES = {
    "START": "started",
    "RUNNING": "running",
    "COMPLETE": "success",
    "FAIL": "failed",
    "ABORT": "aborted",
    "OTHER": "other",
}
_TYPES = {(kind, state): f"{_SUBJECTS[kind]}.{_STATES[state]}" for kind in _SUBJECTS for state in _STATES}
_ENDS = frozenset({"COMPLETE", "FAIL", "ABORT"})
_OTHER_EVENTS = ("/JobEvent", "/DatasetEvent")

_NO_RUN_FACETS = RunFacets()
_NO_JOB_FACETS = JobFacets()
_NO_AIRFLOW = AirflowFacet()
_NO_DAG_RUN = DagRun()
_NO_TASK = Task()
_NO_INSTANCE = TaskInstance()
_NO_PARENT = Parent()


class OpenLineageCodec:
    """Tasks, dagruns and queries of Airflow; what other integrations report becomes 'job.started|failed|…'.

    A state set by hand comes without Airflow's facet: `run_id` is then None, `attributes["unresolved"]` is True and
    `lineage_run` is what the event can be joined by.
    """

    def __init__(self) -> None:
        self._reader = JsonReader(RunEvent)
        self._assets = AssetNames()

    def decode(self, record: Record) -> list[Event]:
        """See Codec. Checks and dataset updates that the record reports follow its main event."""
        if record.value is None:
            return []
        return self._events(self._reader.read(self._reader.checked(record.value)))

    def run_event(self, checked: bytes) -> list[Event] | None:
        """The events of what says eventType, run and job, and no specversion; None for anything else or unreadable."""
        try:
            wire = self._reader.read(checked)
        except Undecodable:
            return None
        is_run = wire.event_type is not None and wire.run is not None and wire.job is not None
        return self._events(wire) if is_run and wire.specversion is msgspec.UNSET else None

    def _events(self, wire: RunEvent) -> list[Event]:
        if wire.run is None or wire.job is None:
            return _without_run(wire)
        state = (wire.event_type or "OTHER").upper()
        if state not in _STATES:
            found = mask(state[:40])
            raise Undecodable(f"unknown value at `$.eventType`: {found!r}, allowed are {', '.join(_STATES)}")
        event = _event(wire, wire.run, wire.job, state, self._assets)
        return [event, *_derived(event, wire, state)]


def _without_run(wire: RunEvent) -> list[Event]:
    """Job and dataset events describe what exists, not what happened."""
    if wire.schema_url and wire.schema_url.endswith(_OTHER_EVENTS):
        return []
    raise Undecodable(f"missing member: `$.{'job' if wire.run else 'run'}`")


def _derived(event: Event, wire: RunEvent, state: str) -> list[Event]:
    if state == "START":
        return []
    updates = update_events(event) if state == "COMPLETE" and event.outputs else []
    return updates + check_events(event, wire)


def _event(wire: RunEvent, run: RunPart, job: Job, state: str, assets: AssetNames) -> Event:
    facets = run.facets or _NO_RUN_FACETS
    job_facets = job.facets or _NO_JOB_FACETS
    kind = _kind(facets, job_facets)
    airflow = (facets.airflow_dag_run if kind == "DAG" else facets.airflow) or _NO_AIRFLOW
    dag_run = airflow.dag_run or _NO_DAG_RUN
    task = airflow.task or _NO_TASK
    instance = airflow.task_instance or _NO_INSTANCE
    parent = facets.parent or _NO_PARENT
    at = _event_time(wire)
    started_at, ended_at = _span(kind, state, at, dag_run)
    dag_id, task_id = _names(kind, airflow, job, parent)
    run_id = cut(dag_run.run_id)
    attributes = attributes_of(kind, state, facets, job_facets, airflow)
    if dag_id is None or run_id is None or (kind == "TASK" and task_id is None):
        attributes["unresolved"] = True
    return Event(
        type=_TYPES.get((kind, state)) or f"job.{_STATES[state]}",
        time=at,
        source="openlineage",
        namespace=job.namespace[:ID_CHARS],
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=_map_index(instance, facets),
        try_number=instance.try_number,
        retries=task.retries,
        run_type=cut(dag_run.run_type),
        logical_date=instant(dag_run.logical_date, "$.run.facets….dagRun.logical_date"),
        started_at=started_at,
        ended_at=ended_at,
        clear_number=dag_run.clear_number,
        dag_version=dag_run.dag_version_number,
        operator=cut(task.operator_class),
        owner=_owner(job_facets, airflow),
        tags=_tags(job_facets),
        error=_error(facets.error) if facets.error else None,
        log_url=masked_head(instance.log_url, URL_CHARS) if instance.log_url else None,
        job=cut(job.name),
        lineage_run=cut(run.run_id),
        parent_run=cut(parent.run.run_id) if parent.run else None,
        root_job=cut(parent.root.job.name) if parent.root and parent.root.job else None,
        inputs=dataset_names(wire.inputs, assets.of(task.inlets)),
        outputs=dataset_names(wire.outputs, assets.of(task.outlets)),
        attributes=attributes,
    )


def _kind(facets: RunFacets, job_facets: JobFacets) -> str:
    """'TASK', 'DAG' or 'QUERY' of Airflow; 'JOB' for what another integration runs."""
    if facets.airflow is not None:
        return "TASK"
    if facets.airflow_dag_run is not None:
        return "DAG"
    said = job_facets.job_type
    if said is None or said.job_type not in _SUBJECTS or said.integration not in (None, "AIRFLOW"):
        return "JOB"
    return said.job_type


def _event_time(wire: RunEvent) -> Instant:
    at = instant(wire.event_time, "$.eventTime")
    assert at is not None  # noqa: S101  (the wire type has no null here)
    return at


def _span(kind: str, state: str, at: Instant, dag_run: DagRun) -> tuple[Instant | None, Instant | None]:
    """When it started and ended. A dagrun says both; a task's event is its start or its end."""
    ended_at = at if state in _ENDS else None
    if kind != "DAG":
        return (at if state == "START" else None), ended_at
    started_at = instant(dag_run.start_date, "$.run.facets.airflowDagRun.dagRun.start_date")
    return started_at, instant(dag_run.end_date, "$.run.facets.airflowDagRun.dagRun.end_date") or ended_at


def _names(kind: str, airflow: AirflowFacet, job: Job, parent: Parent) -> tuple[str | None, str | None]:
    """dag_id and task_id. Both may hold dots, so that a job's name alone never tells where one ends."""
    dag_id = airflow.dag_run.dag_id if airflow.dag_run else None
    dag_id = dag_id or (airflow.dag.dag_id if airflow.dag else None)
    task_id = airflow.task.task_id if airflow.task else None
    if kind == "DAG":
        return cut(dag_id or job.name), None
    if kind == "TASK" and not (dag_id and task_id):
        dag_id = dag_id or (parent.job.name if parent.job else None)
        task_id = task_id or (job.name[len(dag_id) + 1 :] if dag_id and job.name.startswith(dag_id + ".") else None)
    return cut(dag_id), cut(task_id)


def _map_index(instance: TaskInstance, facets: RunFacets) -> int:
    if instance.map_index is not None:
        return instance.map_index
    mapped = facets.mapped_task.map_index if facets.mapped_task else None
    return UNMAPPED_INDEX if mapped is None else mapped


def _owner(job_facets: JobFacets, airflow: AirflowFacet) -> str | None:
    owners = job_facets.ownership.owners if job_facets.ownership else None
    if owners and len(owners) == 1:
        return cut(owners[0].name)
    if owners:
        return cut(", ".join(owner.name for owner in owners[:MAX_TAGS] if owner.name))
    return cut((airflow.task and airflow.task.owner) or (airflow.dag and airflow.dag.owner) or None)


def _tags(job_facets: JobFacets) -> tuple[str, ...]:
    tags: Any = job_facets.tags.tags if job_facets.tags else None
    return tuple(tag.key[:ID_CHARS] for tag in tags[:MAX_TAGS] if tag.key) if tags else ()


def _masked_type(message: str | None, trace: str | None) -> str | None:
    found = error_type(message, trace)
    return None if found is None else mask(found)


def _error(said: ErrorMessage) -> ErrorInfo:
    message, trace = said.message, said.stack_trace
    return ErrorInfo(
        type=_masked_type(message, trace),
        message=None if message is None else masked_head(message, MESSAGE_CHARS),
        trace=masked_tail(trace, TRACE_CHARS) if trace else None,
    )
