"""The routes of API v2 that remediator uses, as typed calls. Decides nothing; raises only the faults of `errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from remediator.actions.airflow.errors import Answered, Lost
from remediator.actions.airflow.rows import (
    UNFINISHED_STATES,
    DagRunPage,
    DagRunRow,
    TaskInstancePage,
    TaskInstanceRow,
    instant_of_date,
)
from remediator.actions.airflow.session import Params, Session
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.action import RetryTarget
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, format_instant

API = "/api/v2"
_T = TypeVar("_T")


class Position(msgspec.Struct, frozen=True):
    """Where the next page starts: a key for servers that have cursors, an offset for those that ignore them."""

    cursor: str = ""
    offset: int = 0


class Changed(msgspec.Struct, frozen=True):
    """Rows changed at or after `since`, and at or before `until` if that is given."""

    since: Instant
    until: Instant | None = None


class AirflowClient:
    """One deployment's API. Close it when done."""

    def __init__(self, settings: AirflowSettings) -> None:
        self.settings = settings
        self._session = Session(settings)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._session.close()

    async def server_time(self) -> Instant | None:
        """The server's clock, at whole seconds, rounded down. None if it does not say."""
        answer = await self._session.read("GET", f"{API}/version")
        return instant_of_date(answer.date)

    async def dagrun(self, dag_id: str, run_id: str) -> DagRunRow | None:
        """None if the scheduler does not know it."""
        return await self._found(_run_path(dag_id, run_id), DagRunRow)

    async def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskInstanceRow | None:
        """None if the scheduler does not know it, or not under this map index."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"
        return await self._found(path if map_index == UNMAPPED_INDEX else f"{path}/{map_index}", TaskInstanceRow)

    async def unfinished(self, dag_ids: Sequence[str], run_ids: Sequence[str], limit: int) -> TaskInstancePage:
        """Task instances of these DAGs in these dagruns (every combination) that are not done, one page."""
        body = {
            "dag_ids": list(dag_ids),
            "dag_run_ids": list(run_ids),
            "state": list(UNFINISHED_STATES),
            "page_limit": limit,
            "order_by": "id",
        }
        return await self._read("POST", f"{API}/dags/~/dagRuns/~/taskInstances/list", TaskInstancePage, body=body)

    async def task_instances(self, dag_id: str, run_id: str, at: Position) -> TaskInstancePage:
        """Every task instance of one dagrun, whatever its state, one page."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        return await self._read("GET", path, TaskInstancePage, params=self._page(at))

    async def failed_task_instances(self, changed: Changed, at: Position) -> TaskInstancePage:
        """Failed task instances of all DAGs, one page."""
        params = [("state", "failed"), *_changed(changed), *self._page(at)]
        return await self._read("GET", f"{API}/dags/~/dagRuns/~/taskInstances", TaskInstancePage, params=params)

    async def failed_dagruns(self, changed: Changed, at: Position) -> DagRunPage:
        """Failed dagruns of all DAGs, one page."""
        params = [("state", "failed"), *_changed(changed), *self._page(at)]
        return await self._read("GET", f"{API}/dags/~/dagRuns", DagRunPage, params=params)

    async def clear(self, dag_id: str, run_id: str, tasks: Sequence[RetryTarget], note: str) -> TaskInstancePage:
        """Clear these tasks and what failed downstream of them; the answer lists what was cleared.

        The note is written in the transaction of the clear: it proves that the clear happened.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [_marker(task) for task in tasks],
            "include_downstream": True,
            "only_failed": True,
            "reset_dag_runs": True,
            "prevent_running_task": True,
            "note": note,
        }
        path = f"{API}/dags/{quote(dag_id, safe='')}/clearTaskInstances"
        answer = await self._session.write("POST", path, body=body)
        return _decoded(answer.body, TaskInstancePage)

    def _page(self, at: Position) -> Params:
        return [
            ("order_by", "id"),
            ("limit", str(self.settings.page_size)),
            ("cursor", at.cursor),
            ("offset", str(at.offset)),
        ]

    async def _found(self, path: str, row: type[_T]) -> _T | None:
        try:
            return await self._read("GET", path, row)
        except Answered as answer:
            if answer.status == 404 and is_about_row(answer.text):
                return None
            raise

    async def _read(self, method: str, path: str, kind: type[_T], *, params: Params = (), body: Any = None) -> _T:
        answer = await self._session.read(method, path, params=params, body=body)
        return _decoded(answer.body, kind)


def is_about_row(text: str) -> bool:
    """Did the scheduler itself say so? A proxy's or another server's 404 must not pass for 'no such dagrun'."""
    said = text.lower()
    return ("not found" in said and said != "not found") or "map_index" in said


def next_position(page: TaskInstancePage | DagRunPage, at: Position) -> Position | None:
    """Where to go on after the page that was read at `at`, None if it was the last."""
    rows = len(page.rows)
    seen = at.offset + rows
    if page.next_cursor:
        return Position(page.next_cursor, seen)
    if rows and not at.cursor and page.total_entries is not None and seen < page.total_entries:
        return Position("", seen)
    return None


def _run_path(dag_id: str, run_id: str) -> str:
    return f"{API}/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _marker(task: RetryTarget) -> str | list[str | int]:
    return task.task_id if task.map_index == UNMAPPED_INDEX else [task.task_id, task.map_index]


def _changed(changed: Changed) -> Params:
    params = [("updated_at_gte", format_instant(changed.since))]
    if changed.until is not None:
        params.append(("updated_at_lte", format_instant(changed.until)))
    return params


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as fault:
        raise Lost(f"the answer is not what API v2 says: {str(fault)[:120]}") from None
