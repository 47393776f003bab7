"""What the routes of DAGs answer: the DAG, its tasks, pausing it, a new dagrun of it. No I/O, no clock."""

from __future__ import annotations

from remediator.demo.fleet import bodies, render
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal, collision
from remediator.demo.fleet.plan import DagSpec
from remediator.model.time import Instant, parse_instant


def dag(call: Call) -> Json:
    """GET /dags/{d}"""
    return render.dag(call.state, _spec(call, "The Dag with ID: `{}` was not found"), call.now)


def tasks(call: Call) -> Json:
    """GET /dags/{d}/tasks: the few fields that name them"""
    spec = _spec(call, "The Dag with ID: `{}` was not found")
    rows = [
        {"task_id": task.task_id, "task_display_name": task.task_id, "retries": task.retries} for task in spec.tasks
    ]
    return {"tasks": rows, "total_entries": len(rows)}


def patch_dag(call: Call) -> Json:
    """PATCH /dags/{d}: pauses or resumes it"""
    spec = _spec(call, "Dag with id: {} was not found")
    mask = call.request.query_params.get("update_mask", "is_paused")
    if mask != "is_paused":
        raise Refusal(400, "Only `is_paused` field can be updated through the REST API")
    body = bodies.required(bodies.checked(call.body, bodies.DAG_PATCH), "is_paused")
    (call.state.paused.add if body["is_paused"] else call.state.paused.discard)(spec.dag_id)
    return render.dag(call.state, spec, call.now)


def trigger(call: Call) -> Json:
    """POST /dags/{d}/dagRuns"""
    spec = _spec(call, "Dag with dag_id: '{}' not found")
    body = bodies.trigger_body(call.body)
    if spec.dag_id in call.state.broken:
        raise Refusal(400, f"Dag with dag_id: '{spec.dag_id}' has import errors and cannot be triggered")
    run_id = body.get("dag_run_id") or f"manual__{(render.at(call.now) or '').replace('Z', '+00:00')}"
    date = parse_instant(body["logical_date"]) if body["logical_date"] else None
    if call.state.run(spec.dag_id, run_id) or (date is not None and call.state.dated(spec.dag_id, date)):
        raise collision(call)
    interval = None if date is None else _interval(spec, body, date)
    run = call.state.add_run(spec.dag_id, run_id, call.now, run_type="manual", logical_date=date, interval=interval)
    run.note, run.conf = body.get("note") or None, body.get("conf") or {}
    return render.dag_run(call.state, run)


def _interval(spec: DagSpec, body: Json, date: Instant) -> tuple[Instant, Instant]:
    start, end = body.get("data_interval_start"), body.get("data_interval_end")
    return (parse_instant(start), parse_instant(end)) if start and end else spec.manual_interval(date)


def _spec(call: Call, missing: str) -> DagSpec:
    spec = call.state.dags.get(call.path("dag_id"))
    if spec is None:
        raise NotFound(missing.format(call.path("dag_id")))
    return spec
