"""The routes of API v2 that remediator reads, as typed calls. Decides nothing; raises only the faults of `errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from remediator.actions.airflow import routes
from remediator.actions.airflow.changes import Changes
from remediator.actions.airflow.errors import Answered, TooLarge
from remediator.actions.airflow.resources import (
    BackfillPage,
    BackfillPlan,
    BackfillRow,
    Count,
    DagRow,
    LogPage,
    LogRow,
    PoolRow,
)
from remediator.actions.airflow.routes import Clearing
from remediator.actions.airflow.rows import (
    DagRunPage,
    DagRunRow,
    TaskInstancePage,
    TaskInstanceRow,
    decoded,
    instant_of_date,
)
from remediator.actions.airflow.session import Params
from remediator.actions.airflow.session_v1 import open_session
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.action import Backfill
from remediator.model.time import Instant, format_instant

BACKFILLS_READ = 20
"""How many of a DAG's latest backfills are looked through."""
LOG_READ = 100
"""How many lines of the event log are looked through at once."""
LOG_PAGES = 30
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
    """One deployment's API. Close it when done. changes: the calls that change something. session: for further ones."""

    def __init__(self, settings: AirflowSettings) -> None:
        self.settings = settings
        self.session = open_session(settings)
        self.changes = Changes(self.session)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self.session.close()

    async def server_time(self) -> Instant | None:
        """The server's clock, at whole seconds, rounded down. None if it does not say."""
        answer = await self.session.read("GET", routes.VERSION)
        return instant_of_date(answer.date)

    async def dag(self, dag_id: str) -> DagRow | None:
        """None if the scheduler does not know it."""
        return await self._found(routes.dag(dag_id), DagRow)

    async def task_count(self, dag_id: str) -> int:
        """How many tasks the DAG has, each mapped one counted once."""
        return (await self._read("GET", routes.tasks(dag_id), Count)).total_entries

    async def dagrun(self, dag_id: str, run_id: str) -> DagRunRow | None:
        """None if the scheduler does not know it."""
        return await self._found(routes.dagrun(dag_id, run_id), DagRunRow)

    async def dagruns_between(self, dag_id: str, since: Instant, until: Instant, at: Position) -> DagRunPage:
        """Dagruns of one DAG by logical date in [since, until), oldest first, one page."""
        dates = [("logical_date_gte", format_instant(since)), ("logical_date_lt", format_instant(until))]
        params = [*dates, *self._page(at, "logical_date")]
        return await self._read("GET", routes.dagruns(dag_id), DagRunPage, params=params)

    async def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskInstanceRow | None:
        """None if the scheduler does not know it, or not under this map index."""
        return await self._found(routes.task_instance(dag_id, run_id, task_id, map_index), TaskInstanceRow)

    async def unfinished(self, dag_ids: Sequence[str], run_ids: Sequence[str], limit: int) -> TaskInstancePage:
        """Task instances of these DAGs in these dagruns (every combination) that are not done, one page."""
        body = routes.unfinished_body(dag_ids, run_ids, limit)
        return await self._read("POST", routes.task_list(), TaskInstancePage, body=body)

    async def done(
        self, dag_ids: Sequence[str], run_ids: Sequence[str], task_ids: Sequence[str], limit: int
    ) -> TaskInstancePage:
        """Task instances of these tasks (in every combination) that were done, one page."""
        body = routes.done_body(dag_ids, run_ids, task_ids, limit)
        return await self._read("POST", routes.task_list(), TaskInstancePage, body=body)

    async def of_tasks(self, dag_id: str, run_id: str, task_ids: Sequence[str], offset: int) -> TaskInstancePage:
        """Task instances of these tasks of one dagrun, whatever their state, one page of any length."""
        limit = self.settings.page_size * self.settings.max_pages
        body = routes.tasks_body(dag_id, run_id, task_ids, limit, offset)
        return await self._read("POST", routes.task_list(), TaskInstancePage, body=body)

    async def count(self, dag_id: str, run_ids: Sequence[str]) -> int:
        """How many task instances these dagruns have, which must be some."""
        body = routes.count_body([dag_id], run_ids)
        return (await self._read("POST", routes.task_list(), Count, body=body)).total_entries

    async def count_in(self, dag_id: str, run_id: str, states: Sequence[str]) -> int:
        """How many task instances of one dagrun are in one of these states."""
        body = {**routes.count_body([dag_id], [run_id]), "state": list(states)}
        return (await self._read("POST", routes.task_list(), Count, body=body)).total_entries

    async def task_instances(self, dag_id: str, run_id: str, at: Position) -> TaskInstancePage:
        """Every task instance of one dagrun, whatever its state, one page."""
        params = self._page(at)
        return await self._read("GET", routes.task_instances(dag_id, run_id), TaskInstancePage, params=params)

    async def failed_task_instances(self, changed: Changed, at: Position) -> TaskInstancePage:
        """Failed task instances of all DAGs, one page."""
        params = [("state", "failed"), *_changed(changed), *self._page(at)]
        path = routes.task_instances(routes.ALL, routes.ALL)
        return await self._read("GET", path, TaskInstancePage, params=params)

    async def failed_dagruns(self, changed: Changed, at: Position) -> DagRunPage:
        """Failed dagruns of all DAGs, one page."""
        params = [("state", "failed"), *_changed(changed), *self._page(at)]
        return await self._read("GET", routes.dagruns(routes.ALL), DagRunPage, params=params)

    async def would_clear(self, clearing: Clearing) -> TaskInstancePage:
        """The scheduler's dry run of a clear: what it would touch now, with the notes that are there."""
        body = routes.clear_body(clearing, note=None)
        return await self._read("POST", routes.clear(clearing.dag_id), TaskInstancePage, body=body)

    async def would_rerun(self, dag_id: str, run_id: str) -> TaskInstancePage:
        """The scheduler's dry run of clearing a whole dagrun."""
        body = routes.clear_dagrun_body(note=None)
        return await self._read("POST", routes.clear_dagrun(dag_id, run_id), TaskInstancePage, body=body)

    async def pool(self, name: str) -> PoolRow | None:
        """None if the scheduler does not know it."""
        return await self._found(routes.pool(name), PoolRow)

    async def backfill(self, backfill_id: int) -> BackfillRow | None:
        """None if the scheduler does not know it."""
        return await self._found(routes.backfill(backfill_id), BackfillRow)

    async def backfills(self, dag_id: str) -> tuple[BackfillRow, ...]:
        """The DAG's latest backfills, newest first."""
        params = [("dag_id", dag_id), ("order_by", "-id"), ("limit", str(BACKFILLS_READ))]
        return (await self._read("GET", routes.BACKFILLS, BackfillPage, params=params)).backfills

    async def would_backfill(self, wanted: Backfill) -> BackfillPlan:
        """The scheduler's dry run of a backfill: what it would create or run again, nothing that is in flight."""
        return await self._read("POST", routes.BACKFILL_DRY_RUN, BackfillPlan, body=routes.backfill_body(wanted))

    async def asked(self, event: str, since: Instant, dag_id: str = "") -> tuple[LogRow, ...] | None:
        """Who asked for this kind of change since then, newest first: asked, which is not to say that it happened.

        None if our user may not read the event log.
        """
        params = [("event", event), ("after", format_instant(since)), ("order_by", "-event_log_id")]
        params += [("limit", str(LOG_READ)), *([("dag_id", dag_id)] if dag_id else [])]
        try:
            return (await self._read("GET", routes.EVENT_LOG, LogPage, params=params)).event_logs
        except Answered as refusal:
            if refusal.status == 403:
                return None
            raise

    async def logged(self, events: Sequence[str], dag_id: str, since: Instant) -> tuple[LogRow, ...] | None:
        """Who asked since then for these kinds of change of the DAG, in whatever way, newest first.

        None if our user may not read the event log, or if this Airflow cannot be asked for several kinds of lines.
        Raises TooLarge if they are more than can be looked through.
        """
        params = [("included_events", event) for event in events]
        params += [("dag_id", dag_id), ("after", format_instant(since)), ("order_by", "-event_log_id")]
        lines: list[LogRow] = []
        for _ in range(LOG_PAGES):
            part = [("limit", str(LOG_READ)), ("offset", str(len(lines)))]
            try:
                page = await self._read("GET", routes.EVENT_LOG, LogPage, params=[*params, *part])
            except Answered as refusal:
                if refusal.status in (400, 403, 422):
                    return None
                raise
            lines += page.event_logs
            known = page.total_entries
            if not page.event_logs or (len(lines) >= known if known is not None else len(page.event_logs) < LOG_READ):
                return tuple(lines)
        raise TooLarge(f"the event log has more than {len(lines)} such lines about {dag_id}")

    def _page(self, at: Position, order_by: str = "id") -> Params:
        return [
            ("order_by", order_by),
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
        answer = await self.session.read(method, path, params=params, body=body)
        return decoded(answer.body, kind)


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


def _changed(changed: Changed) -> Params:
    params = [("updated_at_gte", format_instant(changed.since))]
    if changed.until is not None:
        params.append(("updated_at_lte", format_instant(changed.until)))
    return params
