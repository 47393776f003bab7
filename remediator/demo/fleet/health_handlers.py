"""What the routes answer that tell how a stand-in is: health, pools, import errors, DAGs, logs. No I/O, no clock.

Fields as recorded from Airflow 3.3.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from starlette.responses import Response

from remediator.demo.fleet import handlers, render
from remediator.demo.fleet.handlers import Call, Json
from remediator.demo.fleet.ills import HeartbeatLoss, PoolUse
from remediator.demo.fleet.listing import paging
from remediator.demo.fleet.state import LogEntry, PoolSize
from remediator.model.time import Instant, parse_instant

COMPONENTS = ("scheduler", "triggerer", "dag_processor")
HEARTBEAT_TIMEOUT = "heartbeat timeout"
NDJSON = "application/x-ndjson"
_T = TypeVar("_T")


def health(call: Call) -> Json:
    """GET /monitor/health: always 200, and no token needed"""
    return {"metadatabase": {"status": "healthy"}, **{name: component(call, name) for name in COMPONENTS}}


def component(call: Call, name: str) -> Json:
    """One component's status and last heartbeat; both are null if it never ran."""
    ills = call.state.ills
    beat = None if name in ills.absent else render.at(ills.silent.get(name, call.now))
    status = None if name in ills.absent else "unhealthy" if name in ills.silent else "healthy"
    return {"status": status, f"latest_{name}_heartbeat": beat}


def pools(call: Call) -> Json:
    """GET /pools"""
    rows, total = _page(call, list(call.state.pools.values()))
    return {"pools": [pool(call, row) for row in rows], "total_entries": total}


def pool(call: Call, known: PoolSize) -> Json:
    """A PoolResponse."""
    return render.pool(known, call.state.ills.pools.get(known.name, PoolUse()))


def import_errors(call: Call) -> Json:
    """GET /importErrors"""
    rows, total = _page(call, list(enumerate(call.state.ills.import_faults, 1)))
    shown = [
        {
            "import_error_id": number,
            "timestamp": render.at(call.now),
            "filename": fault.filename,
            "bundle_name": fault.bundle,
            "stack_trace": fault.stack_trace,
        }
        for number, fault in rows
    ]
    return {"import_errors": shown, "total_entries": total}


def dags(call: Call) -> Json:
    """GET /dags, filtered by `paused`"""
    wanted = call.request.query_params.get("paused")
    specs = [
        spec
        for spec in call.state.dags.values()
        if wanted is None or (spec.dag_id in call.state.paused) is (wanted.lower() == "true")
    ]
    rows, total = _page(call, specs)
    return {"dags": [render.dag(call.state, spec, call.now) for spec in rows], "total_entries": total}


def event_log(call: Call) -> Json:
    """GET /eventLogs, the scheduler's own lines about lost heartbeats too"""
    if call.request.query_params.get("event") != HEARTBEAT_TIMEOUT:
        return handlers.event_log(call)
    after = call.request.query_params.get("after")
    since: Instant = parse_instant(after) if after else 0
    found = [loss for loss in reversed(call.state.ills.losses) if loss.at > since]
    rows, total = _page(call, list(enumerate(found, 1)))
    return {"event_logs": [_loss(number, loss) for number, loss in rows], "total_entries": total}


def task_log(call: Call) -> Any:
    """GET .../logs/{try}: lines of JSON if the caller wants them, else one object"""
    answer = handlers.task_log(call)
    added = call.state.ills.logs.get((call.path("task_id"), int(call.path("try_number"))), [])
    answer["content"] += added
    if NDJSON not in call.request.headers.get("accept", ""):
        return answer
    # A line without a time says so here, while the one object leaves the member out.
    return Response(lines({"timestamp": None, **line} for line in answer["content"]), media_type=NDJSON)


def lines(content: Iterable[Json]) -> str:
    """One JSON text a line."""
    return "".join(f"{json.dumps(line)}\n" for line in content)


def _loss(number: int, loss: HeartbeatLoss) -> Json:
    entry = LogEntry(number, loss.at, loss.dag_id, loss.run_id, HEARTBEAT_TIMEOUT, "airflow", "")
    named = {"task_id": loss.task_id, "map_index": loss.map_index, "try_number": loss.try_number}
    return {**render.log_entry(entry), **named}


def _page(call: Call, rows: Sequence[_T]) -> tuple[Sequence[_T], int]:
    ask = paging(call.request.query_params, "id")
    return rows[ask.offset : ask.offset + ask.limit], len(rows)
