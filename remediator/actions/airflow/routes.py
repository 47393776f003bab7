"""Where everything is in API v2, and the bodies that it takes. Pure: another version of the API differs here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from remediator.actions.airflow.rows import PROVING_STATES, UNFINISHED_STATES
from remediator.model.action import Backfill, Pool, RetryTarget
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, format_instant

API = "/api/v2"
VERSION = f"{API}/version"
EVENT_LOG = f"{API}/eventLogs"
BACKFILLS = f"{API}/backfills"
BACKFILL_DRY_RUN = f"{BACKFILLS}/dry_run"
DEFAULT_POOL = "default_pool"
ALL = "~"
Body = dict[str, Any]


class Clearing(msgspec.Struct, frozen=True):
    """What one clear of a dagrun names.

    tasks: None for all of the dagrun. only_failed: leaves alone what is not failed or upstream_failed.
    """

    dag_id: str
    run_id: str
    tasks: tuple[RetryTarget, ...] | None
    only_failed: bool = True


def dag(dag_id: str) -> str:
    """One DAG."""
    return f"{API}/dags/{_quoted(dag_id)}"


def tasks(dag_id: str) -> str:
    """The tasks of a DAG's latest version."""
    return f"{dag(dag_id)}/tasks"


def clear(dag_id: str) -> str:
    """Where task instances of one DAG are cleared."""
    return f"{dag(dag_id)}/clearTaskInstances"


def dagruns(dag_id: str) -> str:
    """The dagruns of a DAG, or of ALL."""
    return f"{API}/dags/{ALL if dag_id == ALL else _quoted(dag_id)}/dagRuns"


def dagrun(dag_id: str, run_id: str) -> str:
    """One dagrun."""
    return f"{dagruns(dag_id)}/{_quoted(run_id)}"


def clear_dagrun(dag_id: str, run_id: str) -> str:
    """Where one whole dagrun is cleared."""
    return f"{dagrun(dag_id, run_id)}/clear"


def task_instances(dag_id: str, run_id: str) -> str:
    """The task instances of one dagrun, or of ALL of ALL."""
    return f"{dagruns(dag_id)}/{ALL if run_id == ALL else _quoted(run_id)}/taskInstances"


def task_instance(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """One task instance."""
    path = f"{task_instances(dag_id, run_id)}/{_quoted(task_id)}"
    return path if map_index == UNMAPPED_INDEX else f"{path}/{map_index}"


def task_list() -> str:
    """The search over task instances of all DAGs."""
    return f"{task_instances(ALL, ALL)}/list"


def backfill(backfill_id: int) -> str:
    """One backfill."""
    return f"{BACKFILLS}/{backfill_id}"


def cancel_backfill(backfill_id: int) -> str:
    """Where it is cancelled."""
    return f"{backfill(backfill_id)}/cancel"


def pool(name: str) -> str:
    """One pool."""
    return f"{API}/pools/{_quoted(name)}"


def clear_body(clearing: Clearing, note: str | None) -> Body:
    """note: None asks what it would touch (a dry run)."""
    body: Body = {
        "dry_run": note is None,
        "dag_run_id": clearing.run_id,
        "include_downstream": clearing.tasks is not None,
        "only_failed": clearing.only_failed,
        "reset_dag_runs": True,
        "prevent_running_task": True,
    }
    if clearing.tasks is not None:
        body["task_ids"] = [_marker(task) for task in clearing.tasks]
    return body if note is None else {**body, "note": note}


def clear_dagrun_body(note: str | None) -> Body:
    """Everything of the dagrun, whatever its state. note: as for a clear."""
    body: Body = {"dry_run": note is None, "only_failed": False}
    return body if note is None else {**body, "note": note}


def trigger_body(run_id: str, logical_date: Instant | None, conf: Body, note: str) -> Body:
    """A new dagrun. The API refuses a body without a logical date, null is one."""
    date = None if logical_date is None else format_instant(logical_date)
    return {"dag_run_id": run_id, "logical_date": date, "conf": conf, "note": note}


def interval_body(start: Instant, end: Instant) -> Body:
    """The data interval of a new dagrun, beside its logical date."""
    return {"data_interval_start": format_instant(start), "data_interval_end": format_instant(end)}


def backfill_body(wanted: Backfill) -> Body:
    """No conf is named, so that the dagruns that are run again keep theirs."""
    return {
        "dag_id": wanted.dag_id,
        "from_date": format_instant(wanted.since),
        "to_date": format_instant(wanted.until),
        "reprocess_behavior": wanted.reprocess,
        "max_active_runs": wanted.max_active,
    }


def pool_body(wanted: Pool, include_deferred: bool) -> Body:
    """Every pool but the default one needs its name and its flag again, even if only slots are to change."""
    if wanted.pool == DEFAULT_POOL:
        return {"slots": wanted.slots}
    return {"pool": wanted.pool, "slots": wanted.slots, "include_deferred": include_deferred}


def unfinished_body(dag_ids: Sequence[str], run_ids: Sequence[str], limit: int) -> Body:
    """Task instances of these DAGs in these dagruns (every combination) that are not done."""
    return {**count_body(dag_ids, run_ids), "state": list(UNFINISHED_STATES), "page_limit": limit, "order_by": "id"}


def done_body(dag_ids: Sequence[str], run_ids: Sequence[str], task_ids: Sequence[str], limit: int) -> Body:
    """Task instances of these tasks of these DAGs in these dagruns (every combination) that are done."""
    asked = {**count_body(dag_ids, run_ids), "task_ids": list(task_ids), "state": list(PROVING_STATES)}
    return {**asked, "page_limit": limit, "order_by": "id"}


def tasks_body(dag_id: str, run_id: str, task_ids: Sequence[str], limit: int, offset: int) -> Body:
    """Every task instance of these tasks of one dagrun, from the one with this number on."""
    asked = {**count_body([dag_id], [run_id]), "task_ids": list(task_ids)}
    return {**asked, "page_limit": limit, "page_offset": offset, "order_by": "id"}


def count_body(dag_ids: Sequence[str], run_ids: Sequence[str]) -> Body:
    """Task instances of these DAGs in these dagruns: how many there are, and one of them."""
    return {"dag_ids": list(dag_ids), "dag_run_ids": list(run_ids), "page_limit": 1}


def _marker(task: RetryTarget) -> str | list[str | int]:
    return task.task_id if task.map_index == UNMAPPED_INDEX else [task.task_id, task.map_index]


def _quoted(text: str) -> str:
    return quote(text, safe="")
