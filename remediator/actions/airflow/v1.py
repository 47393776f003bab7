"""API v1 of Airflow 2, said in the words of API v2: what a call becomes there, and what its answer means. Pure.

Written from the stable REST API's reference of Airflow 2.10; no real Airflow 2 was asked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from remediator.actions.airflow.session import Call, Params
from remediator.model.event import UNMAPPED_INDEX

V1, V2 = "/api/v1", "/api/v2"
STATES = frozenset({
    "success", "running", "failed", "upstream_failed", "skipped", "up_for_retry", "up_for_reschedule", "queued", "none",
    "scheduled", "deferred", "removed", "restarting",
})  # fmt: skip
"""The states that v1 takes in a filter; any other refuses the whole question."""
DAGRUN_ORDERS = frozenset({"id", "state", "dag_id", "dag_run_id", "start_date", "end_date", "execution_date"})
_INSTANCES = re.compile(r"/dags/[^/]+/dagRuns/[^/]+/taskInstances(/.+)?$")
_CLEAR = re.compile(r"(/dags/[^/]+)/clearTaskInstances$")
_CLEAR_RUN = re.compile(r"(/dags/[^/]+/dagRuns/[^/]+)/clear$")
_DAGRUNS = re.compile(r"/dags/[^/]+/dagRuns$")
_LOGS = re.compile(r"/taskInstances/[^/]+/logs/\d+$")
_MOVED = {f"{V2}/monitor/health": f"{V1}/health"}
_CLEAR_KEPT = ("dry_run", "dag_run_id", "only_failed", "reset_dag_runs", "include_downstream", "include_upstream")
Json = dict[str, Any]


class CannotSay(Exception):  # noqa: N818
    """API v1 has no words for this call. `str()` says which part of it."""


def translated(call: Call) -> Call:
    """The call as v1 takes it. Raises CannotSay."""
    return msgspec.structs.replace(
        call, path=_path(call.path), params=_params(call), body=_body(call), accept=_accept(call)
    )


def dry_run_of(call: Call) -> Call | None:
    """What to ask before this clear, if v1 may clear more than it names: it knows no map indexes."""
    if not (_CLEAR.search(call.path) and _indexes(call.body) and not call.body.get("dry_run", True)):
        return None
    return translated(msgspec.structs.replace(call, body={**call.body, "dry_run": True}))


def goes_too_far(call: Call, answer: bytes) -> bool:
    """Would the clear touch map indexes that it does not name? answer: of its dry run."""
    rows = _rows(json.loads(answer))
    return any(
        sum(row.get("task_id") == task_id for row in rows) > len(indexes)
        for task_id, indexes in _indexes(call.body).items()
    )


def notes(call: Call) -> list[Call]:
    """The calls that leave the note of a change where v2 would have left it. v1 writes it afterwards, if at all."""
    note = (call.body or {}).get("note") if isinstance(call.body, dict) else None
    if not note or call.body.get("dry_run"):
        return []
    return [Call("PATCH", f"{place}/setNote", (), {"note": note}) for place in _noted(call)]


def as_v2(call: Call, answer: bytes) -> bytes:
    """The answer to this call (of v2) as v2 would give it. Raises ValueError if it is not JSON."""
    if call.path.startswith(f"{V2}/pools"):
        return json.dumps(_finite(json.loads(answer))).encode()
    if _CLEAR.search(call.path) or _CLEAR_RUN.search(call.path):
        return _cleared(call, json.loads(answer))
    if _INSTANCES.search(call.path) and not _LOGS.search(call.path):
        return _with_ids(json.loads(answer))
    return answer


def _path(path: str) -> str:
    return _MOVED.get(path) or (V1 + path[len(V2) :] if path.startswith(V2) else path)


def _params(call: Call) -> Params:
    kept = [(name, value) for name, value in call.params if name != "cursor"]
    if _INSTANCES.search(call.path):
        return [(name, value) for name, value in kept if name != "order_by"]
    if _DAGRUNS.search(call.path):
        return [(name, value) for name, value in kept if name != "order_by" or value.lstrip("-") in DAGRUN_ORDERS]
    return kept


def _accept(call: Call) -> str:
    return "text/plain" if _LOGS.search(call.path) else call.accept


def _body(call: Call) -> Any:
    body, path = call.body, call.path
    if not isinstance(body, dict):
        return body
    if path.endswith("/taskInstances/list"):
        return _list_body(body)
    if _CLEAR.search(path):
        return _clear_body(body)
    if _CLEAR_RUN.search(path):
        return {"dry_run": body.get("dry_run", True)}
    if _INSTANCES.search(path):
        return {"dry_run": False, "new_state": body.get("new_state")} if "new_state" in body else body
    if _DAGRUNS.search(path):
        return {name: value for name, value in body.items() if value is not None}
    if path.startswith(f"{V2}/pools/") and "pool" in body:
        return {("name" if name == "pool" else name): value for name, value in body.items()}
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


def _markers(body: Json) -> Iterable[tuple[str, int]]:
    for marker in body.get("task_ids") or ():
        yield (marker, UNMAPPED_INDEX) if isinstance(marker, str) else (marker[0], marker[1])


def _indexes(body: Json) -> dict[str, list[int]]:
    """Of the mapped tasks that a clear names."""
    found: dict[str, list[int]] = {}
    for task_id, index in _markers(body):
        if index != UNMAPPED_INDEX:
            found.setdefault(task_id, []).append(index)
    return found


def _noted(call: Call) -> list[str]:
    cleared = _CLEAR.search(call.path)
    if cleared:
        run = f"{V1}{cleared[1]}/dagRuns/{_quoted(call.body['dag_run_id'])}/taskInstances"
        return [_instance(run, task_id, index) for task_id, index in _markers(call.body)]
    whole = _CLEAR_RUN.search(call.path)
    if whole:
        return [f"{V1}{whole[1]}"]
    return [_path(call.path)] if _INSTANCES.search(call.path) and call.method == "PATCH" else []


def _instance(base: str, task_id: str, index: int) -> str:
    path = f"{base}/{_quoted(task_id)}"
    return path if index == UNMAPPED_INDEX else f"{path}/{index}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _rows(answer: Any) -> list[Json]:
    rows = answer.get("task_instances") if isinstance(answer, dict) else None
    return [row for row in rows or () if isinstance(row, dict)]


def _cleared(call: Call, answer: Any) -> bytes:
    """References to task instances, without map indexes: those that were named are the ones that were cleared."""
    if not isinstance(answer, dict) or "task_instances" not in answer:
        return json.dumps(answer).encode()
    named = {task_id: list(indexes) for task_id, indexes in _indexes(call.body).items()}
    rows = _rows(answer)
    for row in rows:
        indexes = named.get(str(row.get("task_id")))
        row |= {"id": "", "map_index": indexes.pop(0) if indexes else UNMAPPED_INDEX}
    return json.dumps({"task_instances": rows, "total_entries": len(rows)}).encode()


def _with_ids(answer: Any) -> bytes:
    """v1 names no attempt by an id. A try raises the one number, a clear the other, so both together are one."""
    for row in [*_rows(answer), *([answer] if isinstance(answer, dict) and "task_id" in answer else [])]:
        row["id"] = f"{row.get('try_number')}/{row.get('max_tries')}"
    return json.dumps(answer).encode()


def _finite(value: Any) -> Any:
    """A pool without a limit has infinitely many open slots in v1, which is no JSON; v2 says -1."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return -1 if isinstance(value, float) and math.isinf(value) else value
