"""API v1 as Airflow 2.10's stable REST API reference has it, over the same state; no real Airflow 2 was asked. Pure.

As strict as that one: parameters, fields and states that it does not know are 400.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from remediator.demo.fleet import clearing, health_handlers, listing, render
from remediator.demo.fleet.clearing import Chosen, ClearBody
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal
from remediator.demo.fleet.listing import in_range, page_of, paging
from remediator.demo.fleet.state import DagRun, TaskInstance
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
TASK_STATES = (
    "success", "running", "failed", "upstream_failed", "skipped", "up_for_retry", "up_for_reschedule", "queued", "none",
    "scheduled", "deferred", "removed", "restarting",
)  # fmt: skip
RUN_ORDERS = ("id", "state", "dag_id", "dag_run_id", "start_date", "end_date", "execution_date", "external_trigger")
_PAGE = ("limit", "offset")
_DATES = tuple(
    f"{name}_{end}" for name in ("execution_date", "start_date", "end_date", "updated_at") for end in ("gte", "lte")
)
CLEAR_FIELDS = (
    "dry_run", "task_ids", "start_date", "end_date", "only_failed", "only_running", "include_subdags",
    "include_parentdag", "reset_dag_runs", "dag_run_id", "include_upstream", "include_downstream", "include_future",
    "include_past",
)  # fmt: skip
LIST_FIELDS = ("dag_ids", "dag_run_ids", "task_ids", "state", "pool", "queue", "page_limit", "page_offset", *_DATES)


def version(_: Call) -> Json:
    """GET /version"""
    return {"version": "2.10.5", "git_version": None}


def get_run(call: Call) -> Json:
    """GET .../dagRuns/{r}"""
    run = call.state.run(call.path("dag_id"), call.path("dag_run_id"))
    if run is None:
        raise NotFound(
            f"DAGRun with DAG ID: '{call.path('dag_id')}' and DagRun ID: '{call.path('dag_run_id')}' not found"
        )
    return run_row(call, run)


def list_runs(call: Call) -> Json:
    """GET /dags/{d}/dagRuns, d may be '~'"""
    query = _query(call, "state", "order_by", *_PAGE, *_DATES)
    if query.get("order_by", "id").lstrip("-") not in RUN_ORDERS:
        raise Refusal(400, f"Ordering with '{query['order_by']}' is disallowed or the attribute does not exist")
    wanted, dag_id = query.getlist("state"), call.path("dag_id")
    rows = (
        run
        for run in call.state.runs.values()
        if dag_id in ("~", run.dag_id) and (not wanted or run.state in wanted) and _dated(run, query)
    )
    ask = paging(query, "id")
    found = page_of(rows, listing.run_key(ask.order_by), ask)
    return {"dag_runs": [run_row(call, run) for run in found.rows], "total_entries": found.total}


def list_tasks(call: Call) -> Json:
    """GET .../taskInstances, of one dagrun or of all, by map index"""
    query, dag_id, run_id = _query(call, "state", *_PAGE, *_DATES), call.path("dag_id"), call.path("dag_run_id")
    wanted = _states(query.getlist("state"))
    rows = [
        (run, task)
        for run, task in call.state.instances()
        if dag_id in ("~", run.dag_id) and run_id in ("~", run.run_id) and _is_in(task, wanted) and _dated(task, query)
    ]
    ask = paging(query, "map_index")
    shown = page_of(rows, listing.instance_key("map_index"), ask).rows
    return {"task_instances": [task_row(call, run, task) for run, task in shown], "total_entries": len(rows)}


def list_batch(call: Call) -> Json:
    """POST /dags/~/dagRuns/~/taskInstances/list"""
    body = _body(call, LIST_FIELDS)
    wanted = _states(body.get("state") or [])
    asked = (("dag_ids", "dag_id"), ("dag_run_ids", "run_id"))
    rows = [
        (run, task)
        for run, task in call.state.instances()
        if all(body.get(name) is None or getattr(run, mine) in body[name] for name, mine in asked)
        and _is_in(task, wanted)
    ]
    shown = rows[: body.get("page_limit", 100)]
    return {"task_instances": [task_row(call, run, task) for run, task in shown], "total_entries": len(rows)}


def get_task(call: Call) -> Json:
    """GET .../taskInstances/{t}"""
    run, instance = _instance(call)
    return task_row(call, run, instance)


def task_log(call: Call) -> Response:
    """GET .../logs/{try}: text for who asks for text"""
    if "text/plain" not in call.request.headers.get("accept", ""):
        raise Refusal(406, "this stand-in only has the log as text")
    run, instance = _instance(call)
    added = call.state.ills.logs.get((instance.task_id, int(call.path("try_number"))), [])
    place = f"/opt/airflow/logs/dag_id={run.dag_id}/run_id={run.run_id}/task_id={instance.task_id}"
    head = f"worker-1\n*** Found local files:\n***   * {place}/attempt={call.path('try_number')}.log\n"
    stamped = (f"[{line.get('timestamp')}] {{taskinstance.py:1}} INFO - {line.get('event')}\n" for line in added)
    return Response(head + "".join(stamped), media_type="text/plain")


def set_note(call: Call) -> Json:
    """PATCH .../taskInstances/{t}/setNote"""
    run, instance = _instance(call)
    instance.note = _body(call, ("note",)).get("note")
    return task_row(call, run, instance)


def choose_clear(call: Call) -> tuple[ClearBody, Chosen]:
    """The first half of POST .../clearTaskInstances: every index of the tasks that it names."""
    raw, dag_id = _body(call, CLEAR_FIELDS), call.path("dag_id")
    if not all(isinstance(task_id, str) for task_id in raw.get("task_ids") or ()):
        raise Refusal(400, "{'task_ids': {0: ['Not a valid string.']}}")
    if dag_id not in call.state.dags:
        raise NotFound(f"Dag id {dag_id} not found")
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
    named = ("dag_id", "dag_run_id", "task_id")
    rows = [render.task_instance(call.state, run, task) for run, task, _ in chosen.targets]
    return {"task_instances": [{name: row[name] for name in named} for row in rows]}


def trigger(call: Call) -> Json:
    """POST /dags/{d}/dagRuns"""
    dag_id = call.path("dag_id")
    body = _body(call, ("dag_run_id", "logical_date", "execution_date", "conf", "note", "data_interval_start"))
    if body.get("logical_date", "") is None:
        raise Refusal(400, "None is not of type 'string' - 'logical_date'")
    if call.state.run(dag_id, body["dag_run_id"]) is not None:
        raise Refusal(409, f"DAGRun with DAG ID: '{dag_id}' and DAGRun ID: '{body['dag_run_id']}' already exists")
    return run_row(call, call.state.add_run(dag_id, body["dag_run_id"], call.now, run_type="manual"))


def pools(call: Call) -> Response:
    """GET /pools: a pool without a limit has infinitely many open slots, which Flask writes as no JSON"""
    found = health_handlers.pools(call)
    for row in found["pools"]:
        row["open_slots"] = float("inf") if row["slots"] < 0 else row["open_slots"]
        del row["team_name"]
    return Response(health_handlers.lines([found]), media_type="application/json")


def run_row(call: Call, run: DagRun) -> Json:
    """A DAGRun: since when it is queued is not told."""
    row = render.dag_run(call.state, run)
    return {**{name: row[name] for name in RUN_FIELDS}, "execution_date": row["logical_date"], "external_trigger": True}


def task_row(call: Call, run: DagRun, instance: TaskInstance) -> Json:
    """A TaskInstance: no id."""
    row = render.task_instance(call.state, run, instance)
    return {**{name: row[name] for name in TASK_FIELDS}, "execution_date": row["logical_date"], "sla_miss": None}


def _query(call: Call, *known: str) -> QueryParams:
    query = call.request.query_params
    extra = sorted(set(query) - set(known))
    if extra:
        raise Refusal(400, f"Extra query parameter(s) {','.join(extra)} not in spec")
    return query


def _body(call: Call, known: Sequence[str]) -> Json:
    body: Any = call.body if isinstance(call.body, dict) else {}
    extra = {name: ["Unknown field."] for name in body if name not in known}
    if extra:
        raise Refusal(400, str(extra))
    return dict(body)


def _states(wanted: Iterable[Any]) -> frozenset[str | None]:
    wanted = list(wanted)
    if any(state not in TASK_STATES for state in wanted):
        raise Refusal(400, f"{wanted!r} is not one of {list(TASK_STATES)}")
    return frozenset(None if state == "none" else state for state in wanted)


def _is_in(task: TaskInstance, wanted: frozenset[str | None]) -> bool:
    return not wanted or task.state in wanted


def _dated(row: DagRun | TaskInstance, query: QueryParams) -> bool:
    return in_range(row.updated_at, query, "updated_at") and in_range(row.end_date, query, "end_date")


def _instance(call: Call) -> tuple[DagRun, TaskInstance]:
    run = call.state.run(call.path("dag_id"), call.path("dag_run_id"))
    index = call.request.path_params.get("map_index", call.request.query_params.get("map_index", UNMAPPED_INDEX))
    found = [task for task in run.tasks.values() if task.task_id == call.path("task_id")] if run else []
    named = [task for task in found if task.map_index == int(index)]
    if run is None or not named:
        raise NotFound("Task instance is mapped, add the map_index value to the URL" if found else "")
    return run, named[0]
