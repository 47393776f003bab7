"""What changes something in API v1, as Airflow 2.11.2 answers it, over the same state. Pure.

A clear names tasks and no indexes, takes no note and spares nothing that runs unless it is one of failures.
"""

from __future__ import annotations

from remediator.demo.fleet import clearing
from remediator.demo.fleet.clearing import Chosen, ClearBody
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal
from remediator.demo.fleet.plan import DagSpec
from remediator.demo.fleet.v1_rows import (
    checked_body,
    checked_query,
    dag_row,
    instance_of,
    pool_row,
    reference,
    run_of,
    run_row,
    spec_of,
    task_row,
)
from remediator.model.time import Instant, parse_instant

NOTE_LIMIT = 1000
CLEAR_FIELDS = (
    "dry_run", "task_ids", "start_date", "end_date", "only_failed", "only_running", "include_subdags",
    "include_parentdag", "reset_dag_runs", "dag_run_id", "include_upstream", "include_downstream", "include_future",
    "include_past",
)  # fmt: skip
TRIGGER_FIELDS = (
    "dag_run_id", "logical_date", "execution_date", "conf", "note", "data_interval_start", "data_interval_end",
)  # fmt: skip


def set_note(call: Call) -> Json:
    """PATCH .../taskInstances/{t}/setNote"""
    run, instance = instance_of(call)
    instance.note = _note(call)
    return task_row(call, run, instance)


def set_run_note(call: Call) -> Json:
    """PATCH .../dagRuns/{r}/setNote"""
    run = run_of(call, "Dag Run id {run} not found in dag {dag}")
    run.note = _note(call)
    return run_row(call, run)


def choose_clear(call: Call) -> tuple[ClearBody, Chosen]:
    """The first half of POST .../clearTaskInstances: every index of the tasks that it names."""
    raw, dag_id = checked_body(call, CLEAR_FIELDS), call.path("dag_id")
    for place, task_id in enumerate(raw.get("task_ids") or ()):
        if not isinstance(task_id, str):
            raise Refusal(400, f"{task_id!r} is not of type 'string' - 'task_ids.{place}'")
    spec_of(call, "Dag id {dag} not found")
    if raw.get("dag_run_id") is not None and call.state.run(dag_id, raw["dag_run_id"]) is None:
        raise NotFound(f"Dag Run id {raw['dag_run_id']} not found in dag {dag_id}")
    ids = raw.get("task_ids")
    known = {name: value for name, value in raw.items() if name in ClearBody.__dataclass_fields__}
    known["task_ids"] = None if ids is None else tuple((task_id, None) for task_id in ids)
    body = ClearBody(**{"reset_dag_runs": False, **known})
    return body, clearing.choose(call.state, dag_id, body)


def finish_clear(call: Call, body: ClearBody, chosen: Chosen) -> Json:
    """The second half: writes, and names the tasks, once for each of their indexes."""
    if not body.dry_run:
        clearing.apply(call.state, chosen, body, call.user, call.now)
    return {"task_instances": [reference(call, run, task) for run, task, _ in chosen.targets]}


def choose_rerun(call: Call) -> tuple[ClearBody, Chosen]:
    """The first half of POST .../dagRuns/{r}/clear: all of it."""
    raw = checked_body(call, ("dry_run",))
    run = run_of(call, "Dag Run id {run} not found in dag   {dag}")
    body = ClearBody(dry_run=raw.get("dry_run", True), dag_run_id=run.run_id, only_failed=False)
    return body, clearing.choose(call.state, run.dag_id, body)


def finish_rerun(call: Call, body: ClearBody, chosen: Chosen) -> Json:
    """The second half: what it would clear, or the dagrun that it cleared."""
    if body.dry_run:
        return finish_clear(call, body, chosen)
    clearing.apply(call.state, chosen, body, call.user, call.now)
    return run_row(call, run_of(call, "{run} {dag}"))


def trigger(call: Call) -> Json:
    """POST /dags/{d}/dagRuns"""
    body = checked_body(call, TRIGGER_FIELDS)
    spec = spec_of(call, "DAG with dag_id: '{dag}' not found")
    for name in ("logical_date", "execution_date"):
        if name in body and body[name] is None:
            raise Refusal(400, f"{{'{name}': ['Field may not be null.']}}")
    date = parse_instant(body["logical_date"]) if "logical_date" in body else None
    _taken(call, spec, body, date)
    interval = None if date is None else _interval(spec, body, date)
    run = call.state.add_run(
        spec.dag_id, body["dag_run_id"], call.now, run_type="manual", logical_date=date, interval=interval
    )
    run.note, run.conf = body.get("note") or None, body.get("conf") or {}
    return run_row(call, run)


def patch_dag(call: Call) -> Json:
    """PATCH /dags/{d}"""
    checked_query(call, "update_mask")
    spec = spec_of(call, "Dag with id: '{dag}' not found")
    paused = checked_body(call, ("is_paused",))["is_paused"]
    (call.state.paused.add if paused else call.state.paused.discard)(spec.dag_id)
    return dag_row(call, spec)


def patch_pool(call: Call) -> Json:
    """PATCH /pools/{p}"""
    checked_query(call, "update_mask")
    known = call.state.pools.get(call.path("pool_name"))
    if known is None:
        raise NotFound(f"Pool with name:'{call.path('pool_name')}' not found")
    body = checked_body(call, ("name", "slots", "description", "include_deferred"))
    known.slots = body.get("slots", known.slots)
    return pool_row(call, known)


def patch_task(call: Call) -> Json:
    """PATCH .../taskInstances/{t}[/{index}]: a reference from a dry run, else nothing, also if it is in that state."""
    body = checked_body(call, ("dry_run", "new_state"))
    spec = spec_of(call, "DAG '{dag}' not found")
    if call.path("task_id") not in {task.task_id for task in spec.tasks}:
        raise NotFound(f"Task '{call.path('task_id')}' not found in DAG '{spec.dag_id}'")
    run, instance = instance_of(call)
    if body.get("dry_run"):
        return reference(call, run, instance)
    if instance.state != body["new_state"]:
        clearing.mark(call.state, run, instance, body["new_state"], call.now)
    return {}


def _note(call: Call) -> str | None:
    note: str | None = checked_body(call, ("note",)).get("note")
    if len(note or "") > NOTE_LIMIT:
        raise Refusal(400, f"{{'note': ['Longer than maximum length {NOTE_LIMIT}.']}}")
    return note


def _taken(call: Call, spec: DagSpec, body: Json, date: Instant | None) -> None:
    if call.state.run(spec.dag_id, body["dag_run_id"]):
        what = f"DAGRun ID: '{body['dag_run_id']}'"
    elif date is not None and call.state.dated(spec.dag_id, date):
        what = f"DAGRun logical date: '{body['logical_date']}'"
    else:
        return
    raise Refusal(409, f"DAGRun with DAG ID: '{spec.dag_id}' and {what} already exists")


def _interval(spec: DagSpec, body: Json, date: Instant) -> tuple[Instant, Instant]:
    start, end = body.get("data_interval_start"), body.get("data_interval_end")
    if bool(start) is not bool(end):
        text = "Both 'data_interval_start' and 'data_interval_end' must be specified together"
        raise Refusal(400, f"{{'_schema': [{text!r}]}}")
    return (parse_instant(start), parse_instant(end)) if start and end else spec.manual_interval(date)
