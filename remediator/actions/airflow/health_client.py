"""The routes that surveys and log tails read, as typed calls. Decides nothing; raises only the faults of `errors`."""

from __future__ import annotations

from typing import Protocol, TypeVar

from remediator.actions.airflow import routes
from remediator.actions.airflow.rows import decoded, instant_of_date
from remediator.actions.airflow.session import Answer, Caller, Params
from remediator.actions.airflow.survey_rows import (
    HealthRow,
    HeartbeatLoss,
    HeartbeatLossPage,
    ImportErrorPage,
    ImportErrorRow,
    PausedDag,
    PausedDagPage,
    PoolPage,
    PoolUse,
    QueuedDagRun,
    QueuedDagRunPage,
    QueuedTask,
    QueuedTaskPage,
)
from remediator.model.action import LogTail
from remediator.model.time import Instant, format_instant

PAGE = 100
"""Rows of a page: the most that Airflow gives unless it is configured otherwise."""
PAGES = 2
"""How many pages of a kind one survey reads."""
PAUSED_PAGES = 10
"""Of paused DAGs: there can be many, and the one that must run may be the last."""
HEARTBEAT_TIMEOUT = "heartbeat timeout"
NDJSON = "application/x-ndjson"
_Row = TypeVar("_Row", covariant=True)


class _Page(Protocol[_Row]):
    @property
    def total_entries(self) -> int: ...

    @property
    def rows(self) -> tuple[_Row, ...]: ...


class HealthClient:
    """One deployment's state of health. session: its own, so that its rates hold."""

    def __init__(self, session: Caller) -> None:
        self._session = session

    async def health(self) -> tuple[HealthRow, Instant | None]:
        """Scheduler, triggerer, DAG processor and database; and the server's clock, None if it does not say."""
        answer = await self._session.read("GET", f"{routes.API}/monitor/health")
        return decoded(answer.body, HealthRow), instant_of_date(answer.date)

    async def pools(self) -> list[PoolUse]:
        """Every pool."""
        return await self._pages(f"{routes.API}/pools", [("order_by", "id")], PoolPage)

    async def import_errors(self) -> list[ImportErrorRow]:
        """What cannot be imported, oldest first."""
        return await self._pages(f"{routes.API}/importErrors", [("order_by", "id")], ImportErrorPage)

    async def queued_dagruns(self, unchanged_since: Instant | None = None) -> list[QueuedDagRun]:
        """Waiting dagruns; those that nothing has happened to since then."""
        params = [("state", "queued"), ("order_by", "id")]
        if unchanged_since is not None:
            params.append(("updated_at_lte", format_instant(unchanged_since)))
        return await self._pages(routes.dagruns(routes.ALL), params, QueuedDagRunPage)

    async def queued_tasks(self) -> list[QueuedTask]:
        """Task instances that wait for a worker."""
        params = [("state", "queued"), ("order_by", "id")]
        return await self._pages(routes.task_instances(routes.ALL, routes.ALL), params, QueuedTaskPage)

    async def heartbeat_losses(self, since: Instant) -> list[HeartbeatLoss]:
        """Attempts that the scheduler found without heartbeat since then, the latest first."""
        params = [("event", HEARTBEAT_TIMEOUT), ("after", format_instant(since)), ("order_by", "-event_log_id")]
        return await self._pages(routes.EVENT_LOG, params, HeartbeatLossPage)

    async def paused_dags(self) -> list[PausedDag]:
        """DAGs that are paused and still there."""
        params = [("paused", "true"), ("order_by", "dag_id")]
        return await self._pages(f"{routes.API}/dags", params, PausedDagPage, PAUSED_PAGES)

    async def log_end(self, wanted: LogTail, keep: int) -> Answer:
        """The last bytes of a try's log: lines of JSON from v2, text from v1."""
        instance = routes.task_instance(wanted.dag_id, wanted.run_id, wanted.task_id, -1)
        params = [("map_index", str(wanted.map_index)), ("full_content", "true")]
        path = f"{instance}/logs/{wanted.try_number}"
        return await self._session.tail(path, params=params, accept=NDJSON, keep=keep)

    async def _pages(self, path: str, params: Params, kind: type[_Page[_Row]], most: int = PAGES) -> list[_Row]:
        rows: list[_Row] = []
        for _ in range(most):
            paging = [("limit", str(PAGE)), ("offset", str(len(rows)))]
            answer = await self._session.read("GET", path, params=[*params, *paging])
            page = decoded(answer.body, kind)
            rows += page.rows
            if not page.rows or len(rows) >= page.total_entries:
                break
        return rows
