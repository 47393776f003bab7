"""What each route answers, from the call and the state alone. No I/O, no clock; texts as Airflow 3.3.2 has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from remediator.demo.fleet import bodies, clearing, listing, render
from remediator.demo.fleet.clearing import Chosen, ClearBody, Collision, StillRunning
from remediator.demo.fleet.listing import RUN_STATES, Paging, in_range, page_of, paging
from remediator.demo.fleet.state import DagRun, FleetState, LogEntry, TaskInstance
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant

Json = dict[str, Any]
Pair = tuple[DagRun, TaskInstance]


class NotFound(Exception):  # noqa: N818
    """404 with this text."""


class Refusal(Exception):  # noqa: N818
    """Any other status with this detail."""

    def __init__(self, status: int, detail: str | Json) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised call."""

    state: FleetState
    request: Request
    body: Any
    user: str
    now: Instant

    def path(self, name: str) -> str:
        """A path parameter."""
        return str(self.request.path_params[name])


def version(_: Call) -> Json:
    """GET /version"""
    return {"version": "3.3.2", "git_version": None}


def get_run(call: Call) -> Json:
    """GET .../dagRuns/{r}"""
    return render.dag_run(call.state, run_of(call))


def list_runs(call: Call) -> Json:
    """GET /dags/{d}/dagRuns, d may be '~'"""
    query, dag_id = call.request.query_params, call.path("dag_id")
    if dag_id != "~" and dag_id not in call.state.dags:
        raise NotFound(f"The Dag with ID: `{dag_id}` was not found")
    wanted = listing.states(query, RUN_STATES)
    rows = (
        run
        for run in call.state.runs.values()
        if dag_id in ("~", run.dag_id)
        and (not wanted or run.state in wanted)
        and in_range(run.updated_at, query, "updated_at")
        and in_range(run.end_date, query, "end_date")
        and in_range(run.logical_date, query, "logical_date")
        and query.get("run_type", run.run_type) == run.run_type
        and run.run_id.startswith(query.get("run_id_prefix_pattern", ""))
    )
    ask = paging(query, "id")
    found = _ordered(lambda: page_of(rows, listing.run_key(ask.order_by), ask))
    shown = [render.dag_run(call.state, run) for run in found.rows]
    return render.page("dag_runs", shown, found.total, cursors=found.cursors)


def list_tasks(call: Call) -> Json:
    """GET .../taskInstances, of one dagrun or of all"""
    query, dag_id, run_id = call.request.query_params, call.path("dag_id"), call.path("dag_run_id")
    if run_id != "~":
        _known_run(call, dag_id, run_id)
    wanted = listing.states(query, bodies.TASK_STATES)
    rows = (
        (run, task)
        for run, task in call.state.instances()
        if dag_id in ("~", run.dag_id)
        and run_id in ("~", run.run_id)
        and (not wanted or task.state in wanted)
        and in_range(task.updated_at, query, "updated_at")
        and in_range(task.end_date, query, "end_date")
    )
    return _tasks(call, rows, paging(query, "map_index"))


def list_batch(call: Call) -> Json:
    """POST /dags/~/dagRuns/~/taskInstances/list; an empty list filters nothing, null among states is 'no state'"""
    if (call.path("dag_id"), call.path("dag_run_id")) != ("~", "~"):
        raise bodies.Invalid("Input should be '~'")
    body = bodies.checked(call.body, bodies.TASK_LIST)
    rows = ((run, task) for run, task in call.state.instances() if _is_asked(run, task, body))
    limit, offset = body.get("page_limit", 100), body.get("page_offset", 0)
    return _tasks(call, rows, Paging(limit, offset, body.get("order_by") or "id"))


def get_task(call: Call) -> Json:
    """GET .../taskInstances/{t} of a task that is not mapped"""
    dag_id, run_id, task_id = (call.path(name) for name in ("dag_id", "dag_run_id", "task_id"))
    run = call.state.run(dag_id, run_id)
    instances = [task for task in run.tasks.values() if task.task_id == task_id] if run else []
    if run is None or not instances:
        raise NotFound(
            f"The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found"
        )
    if instances[0].map_index != UNMAPPED_INDEX:
        raise NotFound("Task instance is mapped, add the map_index value to the URL")
    return render.task_instance(call.state, run, instances[0])


def get_mapped_task(call: Call) -> Json:
    """GET .../taskInstances/{t}/{map_index}"""
    dag_id, run_id, task_id = (call.path(name) for name in ("dag_id", "dag_run_id", "task_id"))
    index = int(call.path("map_index"))
    run = call.state.run(dag_id, run_id)
    instance = call.state.instance(dag_id, run_id, task_id, index)
    if run is None or instance is None:
        raise NotFound(
            f"The Mapped Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, "
            f"and map_index: `{index}` was not found"
        )
    return render.task_instance(call.state, run, instance)


def task_tries(call: Call) -> Json:
    """GET .../tries"""
    run, instance = pair(call)
    rows = render.tries(call.state, run, instance)
    return {"task_instances": rows, "total_entries": len(rows)}


def task_log(call: Call) -> Json:
    """GET .../logs/{try}"""
    number = int(call.path("try_number"))
    index = int(call.request.query_params.get("map_index", str(UNMAPPED_INDEX)))
    run = call.state.run(call.path("dag_id"), call.path("dag_run_id"))
    instance = run.tasks.get((call.path("task_id"), index)) if run else None
    known = {instance.try_number, *(each.try_number for each in instance.history)} if instance else set()
    if run is None or instance is None or number not in known:
        raise NotFound("TaskInstance not found")
    return render.task_log(run, instance, number)


def event_log(call: Call) -> Json:
    """GET /eventLogs"""
    query = call.request.query_params
    included = query.getlist("included_events")
    return log_page(call, [entry for entry in call.state.log if not included or entry.event in included])


def log_page(call: Call, entries: Iterable[LogEntry]) -> Json:
    """One page of these lines of the event log, filtered as the query says."""
    query = call.request.query_params
    rows = [
        entry
        for entry in entries
        if query.get("dag_id", entry.dag_id) == entry.dag_id
        and query.get("run_id", entry.run_id) == entry.run_id
        and query.get("event", entry.event) == entry.event
        and in_range(entry.at, {"when_gt": query["after"]} if "after" in query else {}, "when")
    ]
    rows.sort(key=lambda entry: entry.id, reverse=query.get("order_by", "").startswith("-"))
    ask = paging(query, "id")
    shown = [render.log_entry(entry) for entry in rows[ask.offset : ask.offset + ask.limit]]
    return {"event_logs": shown, "total_entries": len(rows)}


def choose_clear(call: Call) -> tuple[ClearBody, Chosen]:
    """The first half of POST .../clearTaskInstances: checks, event log, choice."""
    dag_id = call.path("dag_id")
    body = bodies.clear_body(call.body)
    if not body.dry_run:
        extra = json.dumps({**call.body, "method": "POST"})
        call.state.record(call.now, "post_clear_task_instances", call.user, dag_id, body.dag_run_id, extra)
    if dag_id not in call.state.dags:
        raise NotFound(f"The Dag with ID: `{dag_id}` was not found")
    if body.dag_run_id is not None and call.state.run(dag_id, body.dag_run_id) is None:
        raise NotFound(f"Dag Run id {body.dag_run_id} not found in dag {dag_id}")
    return body, clearing.choose(call.state, dag_id, body)


def finish_clear(call: Call, body: ClearBody, chosen: Chosen, now: Instant) -> Json:
    """The second half: writes, and answers the rows without the new note, which only the next GET shows."""
    notes = {id(instance): instance.note for _, instance, _ in chosen.targets}
    if not body.dry_run:
        try:
            clearing.apply(call.state, chosen, body, call.user, now)
        except Collision:
            raise collision(call) from None
        except StillRunning:
            raise Refusal(409, clearing.RUNNING_TEXT) from None
    rows = [
        {**render.task_instance(call.state, run, instance), "note": notes[id(instance)]}
        for run, instance, _ in chosen.targets
    ]
    return render.page("task_instances", rows, len(rows), cursors=render.NO_CURSORS)


def _is_asked(run: DagRun, task: TaskInstance, body: Json) -> bool:
    asked = (("dag_ids", run.dag_id), ("dag_run_ids", run.run_id), ("task_ids", task.task_id), ("state", task.state))
    return all(not body.get(name) or value in body[name] for name, value in asked)


def _tasks(call: Call, rows: Iterable[Pair], ask: Paging) -> Json:
    found = _ordered(lambda: page_of(rows, listing.instance_key(ask.order_by), ask))
    shown = [render.task_instance(call.state, run, task) for run, task in found.rows]
    return render.page("task_instances", shown, found.total, cursors=found.cursors)


def _ordered(listed: Callable[[], listing.Slice]) -> listing.Slice:
    try:
        return listed()
    except ValueError as fault:
        raise Refusal(400, str(fault)) from None


def run_of(call: Call) -> DagRun:
    """The dagrun that the path names. Raises NotFound."""
    dag_id, run_id = call.path("dag_id"), call.path("dag_run_id")
    run = call.state.run(dag_id, run_id)
    if run is None:
        raise NotFound(f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")
    return run


def _known_run(call: Call, dag_id: str, run_id: str) -> None:
    if dag_id == "~":
        raise Refusal(400, "dag_id is required when dag_run_id is specified")
    if call.state.run(dag_id, run_id) is None:
        raise NotFound(f"DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")


def pair(call: Call) -> Pair:
    """The dagrun and the task instance that the path names. Raises NotFound."""
    dag_id, run_id, task_id = (call.path(name) for name in ("dag_id", "dag_run_id", "task_id"))
    index = int(call.request.path_params.get("map_index", call.request.query_params.get("map_index", UNMAPPED_INDEX)))
    run = call.state.run(dag_id, run_id)
    instance = run.tasks.get((task_id, index)) if run else None
    if run is None or instance is None:
        raise NotFound(
            f"The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}` "
            f"and map_index: `{index}` was not found"
        )
    return run, instance


def collision(call: Call) -> Refusal:
    """Two wrote the same: what the database refused."""
    message = (
        "Serious error when handling your request. Check logs for more details - you will find it in api server "
        f"when you look for ID fleet{len(call.state.log)}"
    )
    detail = {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": message,
    }
    return Refusal(409, detail)
