"""API v1 of Airflow 2, said in the words of API v2: what a call becomes there. Pure.

What comes back is read by `v1_answers`. Checked against Airflow 2.11.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from remediator.actions.airflow import routes
from remediator.actions.airflow.session import Call, Params
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import format_instant, parse_instant

V1, V2 = "/api/v1", "/api/v2"
STATES = frozenset({
    "success", "running", "failed", "upstream_failed", "skipped", "up_for_retry", "up_for_reschedule", "queued", "none",
    "scheduled", "deferred", "removed", "restarting",
})  # fmt: skip
"""The states that v1 takes in a filter; any other refuses the whole question."""
DAGRUN_ORDERS = frozenset({"id", "state", "dag_id", "dag_run_id", "start_date", "end_date", "execution_date"})
LOGGED: dict[str, tuple[str, ...]] = {
    "patch_pool": ("api.patch_pool",),
    "clear_dag_run": ("api.clear_dag_run",),
    "patch_dag": ("api.patch_dag", "ui.patch_dag", "paused"),
    "patch_task_instance": (
        "api.patch_task_instance", "ui.patch_task_instance", "api.patch_mapped_task_instance",
        "ui.patch_mapped_task_instance", "api.post_set_task_instances_state", "ui.post_set_task_instances_state",
        "failed",
    ),
    "patch_dag_run": ("api.update_dag_run_state", "ui.update_dag_run_state", "dagrun_failed"),
}  # fmt: skip
"""What the event log of v1 calls the calls of v2: by the API, by its web pages through the API, and by those alone."""
NOTED_MOST = 20
"""How many task instances a clear of a whole dagrun leaves its note on: each takes a call."""
INSTANCES = re.compile(r"/dags/[^/]+/dagRuns/[^/]+/taskInstances(/.+)?$")
CLEAR = re.compile(r"(/dags/[^/]+)/clearTaskInstances$")
CLEAR_RUN = re.compile(r"(/dags/[^/]+/dagRuns/[^/]+)/clear$")
DAGRUNS = re.compile(r"/dags/[^/]+/dagRuns$")
LOGS = re.compile(r"/taskInstances/[^/]+/logs/\d+$")
IMPORT_ERRORS = f"{V2}/importErrors"
_MOVED = {f"{V2}/monitor/health": f"{V1}/health"}
_CLEAR_KEPT = ("dry_run", "dag_run_id", "only_failed", "reset_dag_runs", "include_downstream", "include_upstream")
Json = dict[str, Any]


class CannotSay(Exception):  # noqa: N818
    """API v1 has no words for this call. `str()` says which part of it."""


def translated(call: Call) -> Call:
    """The call as v1 takes it. Raises CannotSay."""
    if call.path.startswith(routes.BACKFILLS):
        raise CannotSay("API v1 has no backfills")
    return msgspec.structs.replace(
        call, path=_path(call.path), params=_params(call), body=_body(call), accept=_accept(call)
    )


def dry_run_of(call: Call) -> Call | None:
    """What to ask before this clear, if v1 may clear more than it names: it knows no map indexes."""
    if not (CLEAR.search(call.path) and indexes(call.body) and not call.body.get("dry_run", True)):
        return None
    return translated(msgspec.structs.replace(call, body={**call.body, "dry_run": True}))


def notes(call: Call, cleared: Iterable[str]) -> list[Call]:
    """The calls that leave the note of a change where v2 would have left it. v1 writes it afterwards, if at all.

    cleared: the tasks that the change touched, as far as it tells.
    """
    note = (call.body or {}).get("note") if isinstance(call.body, dict) else None
    if not note or call.body.get("dry_run"):
        return []
    return [Call("PATCH", f"{place}/setNote", (), {"note": note}) for place in _noted(call, cleared)]


def indexes(body: Json) -> dict[str, list[int]]:
    """Of the mapped tasks that a clear names."""
    found: dict[str, list[int]] = {}
    for task_id, index in _markers(body):
        if index != UNMAPPED_INDEX:
            found.setdefault(task_id, []).append(index)
    return found


def _path(path: str) -> str:
    return _MOVED.get(path) or (V1 + path[len(V2) :] if path.startswith(V2) else path)


def _params(call: Call) -> Params:
    kept = [(name, value) for name, value in call.params if name != "cursor"]
    if INSTANCES.search(call.path):
        return [(name, value) for name, value in kept if name != "order_by"]
    if DAGRUNS.search(call.path):
        dated = [_of_dagruns(name, value) for name, value in kept]
        return [(name, value) for name, value in dated if name != "order_by" or value.lstrip("-") in DAGRUN_ORDERS]
    if call.path == IMPORT_ERRORS:
        return [(name, "import_error_id" if name == "order_by" else value) for name, value in kept]
    if call.path == routes.EVENT_LOG:
        return _of_log(kept)
    return kept


def _of_log(params: Params) -> Params:
    """One kind of line has a name of its own; several are asked for in one parameter."""
    kept = [(name, value) for name, value in params if name not in ("event", "included_events")]
    named = [LOGGED.get(value, (value,)) for name, value in params if name == "event"]
    several = [one for name, value in params if name == "included_events" for one in LOGGED.get(value, ())]
    kept += [("event", names[0]) for names in named]
    return [*kept, ("included_events", ",".join(several))] if several else kept


def _of_dagruns(name: str, value: str) -> tuple[str, str]:
    """A logical date is an execution date here, and has no 'before' but 'at or before'."""
    if name == "logical_date_gte":
        return "execution_date_gte", value
    if name == "logical_date_lt":
        return "execution_date_lte", format_instant(parse_instant(value) - 1)
    return name, ("execution_date" if (name, value) == ("order_by", "logical_date") else value)


def _accept(call: Call) -> str:
    return "text/plain" if LOGS.search(call.path) else call.accept


def _body(call: Call) -> Any:
    body, path = call.body, call.path
    if not isinstance(body, dict):
        return body
    if path.endswith("/taskInstances/list"):
        return _list_body(body)
    if CLEAR.search(path):
        return _clear_body(body)
    if CLEAR_RUN.search(path):
        return {"dry_run": body.get("dry_run", True)}
    if INSTANCES.search(path):
        return {"dry_run": False, "new_state": body.get("new_state")} if "new_state" in body else body
    if DAGRUNS.search(path):
        return {name: value for name, value in body.items() if value is not None}
    if path.startswith(f"{V2}/pools/"):
        return _pool_body(body)
    return body


def _list_body(body: Json) -> Json:
    kept = {name: value for name, value in body.items() if name != "order_by"}
    if "state" in kept:
        kept["state"] = [state for state in (one or "none" for one in kept["state"]) if state in STATES]
    return kept


def _clear_body(body: Json) -> Json:
    if body.get("prevent_running_task") and not body.get("only_failed", True):
        raise CannotSay("API v1 cannot clear what succeeded and spare what is running")
    kept = {name: body[name] for name in _CLEAR_KEPT if name in body}
    if body.get("task_ids") is not None:
        kept["task_ids"] = list(dict.fromkeys(task_id for task_id, _ in _markers(body)))
    return kept


def _pool_body(body: Json) -> Json:
    if body.get("slots") == -1:
        raise CannotSay("a pool without a limit breaks Airflow 2's answers about pools")
    return {("name" if name == "pool" else name): value for name, value in body.items()}


def _markers(body: Json) -> Iterable[tuple[str, int]]:
    for marker in body.get("task_ids") or ():
        yield (marker, UNMAPPED_INDEX) if isinstance(marker, str) else (marker[0], marker[1])


def _noted(call: Call, touched: Iterable[str]) -> list[str]:
    cleared = CLEAR.search(call.path)
    if cleared:
        run = f"{V1}{cleared[1]}/dagRuns/{_quoted(call.body['dag_run_id'])}/taskInstances"
        named = list(_markers(call.body)) or [(task_id, UNMAPPED_INDEX) for task_id in touched][:NOTED_MOST]
        return [_instance(run, task_id, index) for task_id, index in named]
    whole = CLEAR_RUN.search(call.path)
    if whole:
        return [f"{V1}{whole[1]}"]
    return [_path(call.path)] if INSTANCES.search(call.path) and call.method == "PATCH" else []


def _instance(base: str, task_id: str, index: int) -> str:
    path = f"{base}/{_quoted(task_id)}"
    return path if index == UNMAPPED_INDEX else f"{path}/{index}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
