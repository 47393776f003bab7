"""What changes nothing in API v1, as Airflow 2.11.2 answers it, over the same state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.responses import Response

from remediator.demo.fleet import handlers, health_handlers, listing
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal
from remediator.demo.fleet.listing import in_range, page_of, paging
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.demo.fleet.v1_rows import (
    checked_body,
    checked_query,
    dag_row,
    instance_of,
    pool_row,
    run_of,
    run_row,
    spec_of,
    task_row,
)

TASK_STATES = (
    None, "success", "running", "failed", "upstream_failed", "skipped", "up_for_retry", "up_for_reschedule", "queued",
    "none", "scheduled", "deferred", "removed", "restarting",
)  # fmt: skip
RUN_ORDERS = ("id", "state", "dag_id", "dag_run_id", "start_date", "end_date", "execution_date", "external_trigger")
ERROR_ORDERS = ("import_error_id", "timestamp", "filename", "stack_trace")
SOME_TIME = "2026-11-23T06:45:50.366+0000"
_PAGE = ("limit", "offset")
_DATES = tuple(
    f"{name}_{end}" for name in ("execution_date", "start_date", "end_date", "updated_at") for end in ("gte", "lte")
)
LIST_FIELDS = ("dag_ids", "dag_run_ids", "task_ids", "state", "pool", "queue", "page_limit", "page_offset", *_DATES)
_T = TypeVar("_T")


def version(_: Call) -> Json:
    """GET /version"""
    return {"version": "2.11.2", "git_version": ""}


def dag(call: Call) -> Json:
    """GET /dags/{d}"""
    return dag_row(call, spec_of(call, "The DAG with dag_id: {dag} was not found"))


def dags(call: Call) -> Json:
    """GET /dags, filtered by `paused`"""
    query = checked_query(call, "paused", "order_by", *_PAGE)
    wanted = query.get("paused")
    specs = [
        spec
        for spec in call.state.dags.values()
        if wanted is None or (spec.dag_id in call.state.paused) is (wanted.lower() == "true")
    ]
    return {"dags": [dag_row(call, spec) for spec in _cut(call, specs)], "total_entries": len(specs)}


def tasks(call: Call) -> Json:
    """GET /dags/{d}/tasks: the few fields that name them"""
    spec = spec_of(call, "DAG not found")
    rows = [{"task_id": one.task_id, "task_display_name": one.task_id, "retries": one.retries} for one in spec.tasks]
    return {"tasks": rows, "total_entries": len(rows)}


def get_run(call: Call) -> Json:
    """GET .../dagRuns/{r}"""
    return run_row(call, run_of(call, "DAGRun with DAG ID: '{dag}' and DagRun ID: '{run}' not found"))


def list_runs(call: Call) -> Json:
    """GET /dags/{d}/dagRuns, d may be '~'"""
    query = checked_query(call, "state", "order_by", *_PAGE, *_DATES)
    order = query.get("order_by", "id")
    _ordered(order, RUN_ORDERS)
    wanted, dag_id = query.getlist("state"), call.path("dag_id")
    rows = (
        run
        for run in call.state.runs.values()
        if dag_id in ("~", run.dag_id) and (not wanted or run.state in wanted) and _dated(run, query, _date(run))
    )
    ask = paging(query, "id")
    found = page_of(rows, listing.run_key(order.replace("execution_date", "logical_date")), ask)
    return {"dag_runs": [run_row(call, run) for run in found.rows], "total_entries": found.total}


def list_tasks(call: Call) -> Json:
    """GET .../taskInstances, of one dagrun or of all, by map index"""
    query = checked_query(call, "state", *_PAGE, *_DATES)
    dag_id, run_id = call.path("dag_id"), call.path("dag_run_id")
    wanted = _states(query.getlist("state"))
    rows = [
        (run, task)
        for run, task in call.state.instances()
        if dag_id in ("~", run.dag_id)
        and run_id in ("~", run.run_id)
        and _is_in(task, wanted)
        and _dated(task, query, _date(run))
    ]
    ask = paging(query, "map_index")
    shown = page_of(rows, listing.instance_key("map_index"), ask).rows
    return {"task_instances": [task_row(call, run, task) for run, task in shown], "total_entries": len(rows)}


def list_batch(call: Call) -> Json:
    """POST /dags/~/dagRuns/~/taskInstances/list"""
    wanted = _states((call.body if isinstance(call.body, dict) else {}).get("state") or [], "state")
    body = checked_body(call, LIST_FIELDS)
    asked = (("dag_ids", "dag_id"), ("dag_run_ids", "run_id"))
    rows = [
        (run, task)
        for run, task in call.state.instances()
        if all(body.get(name) is None or getattr(run, mine) in body[name] for name, mine in asked)
        and (body.get("task_ids") is None or task.task_id in body["task_ids"])
        and _is_in(task, wanted)
    ]
    start = body.get("page_offset", 0)
    shown = rows[start : start + body.get("page_limit", 100)]
    return {"task_instances": [task_row(call, run, task) for run, task in shown], "total_entries": len(rows)}


def get_task(call: Call) -> Json:
    """GET .../taskInstances/{t}"""
    run, instance = instance_of(call)
    return task_row(call, run, instance)


def task_log(call: Call) -> Response:
    """GET .../logs/{try}: text for who asks for text, also of a try that there never was"""
    try:
        run, instance = instance_of(call)
    except NotFound:
        raise NotFound("TaskInstance not found") from None
    if "text/plain" not in call.request.headers.get("accept", ""):
        raise Refusal(406, "this stand-in only has the log as text")
    number = int(call.path("try_number"))
    place = f"dag_id={run.dag_id}/run_id={run.run_id}/task_id={instance.task_id}/attempt={number}.log"
    found = f"*** Found local files:\n***   * /opt/airflow/logs/{place}"
    lost = f"*** Could not read served logs: no connection to http://worker-1:8793/log/{place}"
    head = "worker-1\n INFO - ::group::Log message source details\n{}\n INFO - ::endgroup::\n"
    known = 1 <= number <= instance.try_number
    added = call.state.ills.logs.get((instance.task_id, number), []) if known else []
    return Response(head.format(found if known else lost) + "".join(map(_line, added)), media_type="text/plain")


def pool(call: Call) -> Json:
    """GET /pools/{p}"""
    known = call.state.pools.get(call.path("pool_name"))
    if known is None:
        raise NotFound(f"Pool with name:'{call.path('pool_name')}' not found")
    return pool_row(call, known)


def pools(call: Call) -> Json:
    """GET /pools"""
    checked_query(call, "order_by", *_PAGE)
    known = list(call.state.pools.values())
    return {"pools": [pool_row(call, one) for one in _cut(call, known)], "total_entries": len(known)}


def import_errors(call: Call) -> Json:
    """GET /importErrors"""
    _ordered(checked_query(call, "order_by", *_PAGE).get("order_by", ERROR_ORDERS[0]), ERROR_ORDERS)
    found = health_handlers.import_errors(call)
    for row in found["import_errors"]:
        row["filename"] = f"/opt/airflow/dags/{row['filename']}"
        del row["bundle_name"]
    return found


def event_log(call: Call) -> Json:
    """GET /eventLogs"""
    query = checked_query(call, "event", "included_events", "after", "dag_id", "run_id", "order_by", *_PAGE)
    included = query.get("included_events", "").split(",")
    if "included_events" in query:
        found = handlers.log_page(call, [entry for entry in call.state.log if entry.event in included])
    else:
        found = health_handlers.event_log(call)
    unknown = ("logical_date", "dag_display_name", "task_display_name")
    rows = [{name: value for name, value in row.items() if name not in unknown} for row in found["event_logs"]]
    return {**found, "event_logs": [{**row, "execution_date": None} for row in rows]}


def _ordered(order: str, allowed: Sequence[str]) -> None:
    if order.lstrip("-") not in allowed:
        raise Refusal(400, f"Ordering with '{order}' is disallowed or the attribute does not exist on the model")


def _cut(call: Call, rows: Sequence[_T]) -> Sequence[_T]:
    ask = paging(call.request.query_params, "id")
    return rows[ask.offset : ask.offset + ask.limit]


def _states(wanted: Iterable[Any], place: str = "") -> frozenset[str | None]:
    wanted = list(wanted)
    for number, state in enumerate(wanted):
        if state not in TASK_STATES:
            where = f" - '{place}.{number}'" if place else ""
            raise Refusal(400, f"{state!r} is not one of {list(TASK_STATES)}{where}")
    return frozenset(None if state == "none" else state for state in wanted)


def _is_in(task: TaskInstance, wanted: frozenset[str | None]) -> bool:
    return not wanted or task.state in wanted


def _dated(row: DagRun | TaskInstance, query: Mapping[str, str], date: int | None) -> bool:
    changed = in_range(row.updated_at, query, "updated_at") and in_range(row.end_date, query, "end_date")
    return changed and in_range(date, query, "execution_date")


def _date(run: DagRun) -> int | None:
    return run.queued_at if run.logical_date is None else run.logical_date


def _line(line: Mapping[str, Any]) -> str:
    return f"[{line.get('timestamp') or SOME_TIME}] {{taskinstance.py:1}} INFO - {line.get('event')}\n"
