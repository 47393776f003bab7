"""OpenLineage events as Airflow 3.3.2 sends them to Kafka (shape taken from recorded ones). Pure."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from remediator.demo.fleet.plan import DagSpec, Failure, TaskSpec
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, format_instant

Json = dict[str, Any]
PRODUCER = "https://github.com/apache/airflow/tree/providers-openlineage/2.20.3"
_SPEC = "https://openlineage.io/spec"
_RUNS = UUID("0c4d7a0e-54b0-4d9e-9c3e-8f5f0f6c2b11")


def key(state: FleetState, dag_id: str) -> bytes:
    """The record key: all events of one DAG share a partition."""
    return f"run:{state.namespace}/{dag_id}".encode()


def task_event(
    state: FleetState, run: DagRun, instance: TaskInstance, kind: str, moment: Instant, failure: Failure | None = None
) -> bytes:
    """kind: START, COMPLETE or FAIL of the current try."""
    dag = state.dags[run.dag_id]
    spec = dag.by_id[instance.task_id]
    facets: Json = {
        "airflow": _facet("2-0-2/OpenLineage.json#/$defs/RunFacet", _airflow(state, dag, spec, run, instance)),
        "parent": _parent(state, run),
        "processing_engine": _ENGINE,
        **_nominal(run),
    }
    if failure is not None:
        last = f"{failure.type}: {failure.message}" if failure.message else failure.type  # as Python prints it
        trace = f"Traceback (most recent call last):\n{last}\n"
        facets["errorMessage"] = _error(failure.message, None if failure.silent else trace)
    name = f"{run.dag_id}.{instance.task_id}"
    return _event(state, dag, name, "TASK", kind, moment, _task_run_id(state, run, instance), facets)


def dag_event(state: FleetState, run: DagRun, kind: str, moment: Instant) -> bytes:
    """kind: START, COMPLETE or FAIL of the dagrun since its last clear."""
    dag = state.dags[run.dag_id]
    facets: Json = {
        "airflowDagRun": _facet(
            "2-0-2/OpenLineage.json#/$defs/RunFacet", {"dag": _dag(dag), "dagRun": _dag_run(dag, run, whole=True)}
        ),
        "processing_engine": _ENGINE,
        **_nominal(run),
    }
    if kind != "START":
        facets["airflowState"] = _facet("2-0-2/OpenLineage.json#/$defs/RunFacet", _states(run))
    if kind == "FAIL":
        facets["errorMessage"] = _error("task_failure", None)
    return _event(state, dag, run.dag_id, "DAG", kind, moment, _dag_run_id(state, run), facets)


def _event(
    state: FleetState, dag: DagSpec, name: str, job: str, kind: str, moment: Instant, run_id: str, facets: Json
) -> bytes:
    job_facets: Json = {
        "jobType": _facet(
            "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
            {"integration": "AIRFLOW", "jobType": job, "processingType": "BATCH"},
        ),
        "ownership": _facet(
            "facets/1-0-1/OwnershipJobFacet.json#/$defs/OwnershipJobFacet", {"owners": [{"name": dag.owner}]}
        ),
    }
    if dag.tags:
        tags = [{"key": tag, "source": "AIRFLOW", "value": tag} for tag in dag.tags]
        job_facets["tags"] = _facet("facets/1-0-0/TagsJobFacet.json#/$defs/TagsJobFacet", {"tags": tags})
    event = {
        "eventTime": _iso(moment),
        "eventType": kind,
        "inputs": [],
        "job": {"facets": job_facets, "name": name, "namespace": state.namespace},
        "outputs": [],
        "producer": PRODUCER,
        "run": {"facets": facets, "runId": run_id},
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    return json.dumps(event).encode()


def _facet(schema: str, content: Json) -> Json:
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/{schema}", **content}


_ENGINE = _facet(
    "facets/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
    {"name": "Airflow", "openlineageAdapterVersion": "2.20.3", "version": "3.3.2"},
)


def _error(message: str, trace: str | None) -> Json:
    content = {"message": message, "programmingLanguage": "python"}
    if trace is not None:
        content["stackTrace"] = trace
    return _facet("facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet", content)


def _airflow(state: FleetState, dag: DagSpec, spec: TaskSpec, run: DagRun, instance: TaskInstance) -> Json:
    return {
        "dag": _dag(dag),
        "dagRun": _dag_run(dag, run, whole=False),
        "task": {
            "depends_on_past": False,
            "downstream_task_ids": str(list(spec.downstream)),
            "inlets": "[]",
            "mapped": bool(spec.indexes),
            "operator_class": spec.operator,
            "operator_class_path": f"airflow.providers.standard.decorators.python.{spec.operator}",
            "outlets": "[]",
            "owner": dag.owner,
            "queue": "default",
            "retries": spec.retries,
            "task_id": spec.task_id,
            "trigger_rule": "all_success",
            "upstream_task_ids": str(list(dag.upstream(spec.task_id))),
        },
        "taskInstance": _task_instance(run, instance),
        "taskUuid": _task_run_id(state, run, instance),
    }


def _task_instance(run: DagRun, instance: TaskInstance) -> Json:
    mapped = instance.map_index != UNMAPPED_INDEX
    place = f"{instance.task_id}/mapped/{instance.map_index}" if mapped else instance.task_id
    path = f"dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}/tasks/{place}"
    content: Json = {
        "dag_bundle_name": "dags-folder",
        "log_url": f"http://127.0.0.1:8080/{path}?try_number={instance.try_number}",
        "try_number": instance.try_number,
    }
    return content | (
        {"map_index": instance.map_index, "rendered_map_index": str(instance.map_index)} if mapped else {}
    )


def _dag(dag: DagSpec) -> Json:
    return {
        "dag_id": dag.dag_id,
        "fileloc": f"/opt/airflow/dags/{dag.dag_id}.py",
        "owner": dag.owner,
        "owner_links": {},
        "start_date": "2026-01-01T00:00:00+00:00",
        "tags": str(list(dag.tags)),
        "timetable": {},
    }


def _dag_run(dag: DagSpec, run: DagRun, *, whole: bool) -> Json:
    content: Json = {
        "clear_number": run.clear_number,
        "conf": run.conf,
        "dag_id": run.dag_id,
        "run_after": _iso(run.run_after),
        "run_id": run.run_id,
        "run_type": run.run_type,
    }
    times = {"logical_date": run.logical_date, "start_date": run.start_date}
    if whole:
        content |= {"dag_bundle_name": "dags-folder", "dag_version_number": dag.version}
        times["end_date"] = run.end_date
    return content | {name: _iso(moment) for name, moment in times.items() if moment is not None}


def _states(run: DagRun) -> Json:
    """One value per task, as Airflow has it: a mapped task shows only its last instance."""
    instances = run.tasks.values()
    durations = {
        each.task_id: ((each.end_date or 0) - (each.start_date or 0)) / 1_000_000 if each.try_number else 0.0
        for each in instances
    }
    return {
        "dagRunState": run.state,
        "tasksDuration": durations,
        "tasksState": {each.task_id: each.state for each in instances},
    }


def _parent(state: FleetState, run: DagRun) -> Json:
    job = {"facets": {}, "name": run.dag_id, "namespace": state.namespace}
    own = {"job": job, "run": {"facets": {}, "runId": _dag_run_id(state, run)}}
    return _facet("facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet", {**own, "root": own})


def _nominal(run: DagRun) -> Json:
    if run.logical_date is None:
        return {}
    date = _iso(run.logical_date)
    facet = {"nominalStartTime": date, "nominalEndTime": date}
    return {"nominalTime": _facet("facets/1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet", facet)}


def _task_run_id(state: FleetState, run: DagRun, instance: TaskInstance) -> str:
    date = run.logical_date or run.run_after
    name = f"{state.namespace}.{run.dag_id}.{instance.task_id}.{instance.try_number}.{instance.map_index}.{date}"
    return str(uuid5(_RUNS, name))


def _dag_run_id(state: FleetState, run: DagRun) -> str:
    return str(uuid5(_RUNS, f"{state.namespace}.{run.dag_id}.{run.clear_number}.{run.logical_date or run.run_after}"))


def _iso(moment: Instant) -> str:
    return format_instant(moment).replace("Z", "+00:00")
