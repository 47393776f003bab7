"""What API v1 of Airflow 2 answers, in the words of API v2. Pure.

Checked against Airflow 2.11.2.
"""

from __future__ import annotations

import json
import math
from typing import Any

from remediator.actions.airflow import routes
from remediator.actions.airflow.session import Call
from remediator.actions.airflow.v1 import CLEAR, CLEAR_RUN, INSTANCES, LOGGED, LOGS, V2, Json, indexes
from remediator.model.event import UNMAPPED_INDEX

_PAGES = frozenset({"failed", "dagrun_failed"})
_NAMED = {name: call for call, names in LOGGED.items() for name in names if name not in _PAGES}
UNLIMITED = "inf is not of type 'integer'"
"""How its own check of an answer begins to refuse a pool without a limit."""


NO_JSON = (ValueError, RecursionError)
"""What the functions below raise for an answer that is no JSON, or nested without end."""


def as_v2(call: Call, answer: bytes) -> bytes:
    """The answer to this call (of v2) as v2 would give it. Raises NO_JSON."""
    if LOGS.search(call.path):
        return answer
    said = json.loads(answer)
    if CLEAR.search(call.path) or (CLEAR_RUN.search(call.path) and _one(said, "task_instances")):
        said = _cleared(call, said)
    elif INSTANCES.search(call.path):
        said = _marked(said) if call.method == "PATCH" else _with_ids(said)
    elif call.path == routes.EVENT_LOG:
        said = _noteless(said)
    elif call.path.startswith(f"{V2}/pools"):
        said = _finite(said)
    elif call.path.startswith(f"{V2}/dags"):
        said = _dags(said)
    return json.dumps(said).encode()


def cleared_tasks(answer: bytes) -> list[str]:
    """The tasks that an answer says were touched, each index of a mapped one once. Raises NO_JSON."""
    return [str(row.get("task_id")) for row in _rows(json.loads(answer), "task_instances")]


def goes_too_far(call: Call, answer: bytes) -> bool:
    """Would the clear touch map indexes that it does not name? answer: of its dry run."""
    touched = cleared_tasks(answer)
    return any(touched.count(task_id) > len(named) for task_id, named in indexes(call.body).items())


def _rows(answer: Any, name: str) -> list[Json]:
    rows = answer.get(name) if isinstance(answer, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _cleared(call: Call, answer: Any) -> Any:
    """References to task instances, without map indexes: those that were named are the ones that were cleared."""
    named = {task_id: list(known) for task_id, known in indexes(call.body).items()}
    rows = _rows(answer, "task_instances")
    for row in rows:
        known = named.get(str(row.get("task_id")))
        row |= {"id": "", "map_index": known.pop(0) if known else UNMAPPED_INDEX}
    return {"task_instances": rows, "total_entries": len(rows)}


def _marked(answer: Any) -> Any:
    """A change of state is answered with one reference, or with nothing at all."""
    rows = [{"id": "", **answer}] if isinstance(answer, dict) and "task_id" in answer else []
    return {"task_instances": rows, "total_entries": len(rows)}


def _with_ids(answer: Any) -> Any:
    """v1 names no attempt by an id. A try raises the one number, a clear the other, so both together are one."""
    for row in [*_rows(answer, "task_instances"), *_one(answer, "task_id")]:
        row["id"] = f"{row.get('try_number')}/{row.get('max_tries')}"
    return answer


def _noteless(answer: Any) -> Any:
    for row in _rows(answer, "event_logs"):
        row["is_noteless"] = True
        row["event"] = _NAMED.get(str(row.get("event")), row.get("event"))
        _of_a_page(row, _extra(row))
    return answer


def _of_a_page(row: Json, asked: Json) -> None:
    """What the web pages of Airflow 2 do has no body of the API. A task that fails is logged in the same word.

    Of several map indexes that are marked at once the log has the last one alone.
    """
    if row["event"] == "failed" and "downstream" in asked:
        reach = {f"include_{name}": asked.get(name) for name in ("upstream", "downstream", "future", "past")}
        whose = {name: asked[name] for name in ("group_id", "map_index") if asked.get(name)}
        row["event"] = "patch_task_group_instances" if "group_id" in whose else "patch_task_instance"
        row["extra"] = json.dumps({"new_state": "failed", **reach, **whose})
    elif row["event"] == "dagrun_failed" and asked.get("confirmed") == "true":
        row["event"], row["extra"] = "patch_dag_run", json.dumps({"state": "failed"})
    for name, other in (("task_id", "task_id"), ("run_id", "dag_run_id")):
        row[name] = row.get(name) or asked.get(other)


def _extra(row: Json) -> Json:
    try:
        said = json.loads(str(row.get("extra") or "{}"))
    except NO_JSON:
        return {}
    return said if isinstance(said, dict) else {}


def _dags(answer: Any) -> Any:
    """DAGs and dagruns. A clear takes a dagrun's start away until it starts again: that is as good as its queueing."""
    for row in [*_rows(answer, "dag_runs"), *_one(answer, "dag_run_id")]:
        row["queued_at"] = None if row.get("state") == "queued" else row.get("start_date")
    for row in [*_rows(answer, "dags"), *_one(answer, "is_active")]:
        row["is_stale"] = row.get("is_active") is False
    return answer


def _one(answer: Any, name: str) -> list[Json]:
    return [answer] if isinstance(answer, dict) and name in answer else []


def _finite(value: Any) -> Any:
    """A pool without a limit has infinitely many open slots in v1, which is no JSON; v2 says -1."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return -1 if isinstance(value, float) and math.isinf(value) else value
