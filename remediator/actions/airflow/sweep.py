"""Answers sweeps: which dagruns have failures that changed since then. Reads windows that fit, skips nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from remediator.actions.airflow.client import AirflowClient, Changed, Position, next_position
from remediator.actions.airflow.errors import Fault
from remediator.actions.airflow.rows import DagRunPage, DagRunRow, TaskInstancePage, TaskInstanceRow, instant_of
from remediator.model.action import Action, Sweep
from remediator.model.inputs import Answer, Swept
from remediator.model.time import SECOND, Duration, Instant
from remediator.model.truth import DagRunRef

SMALLEST_WINDOW: Duration = SECOND
"""A window of this length is read whole, up to CROWDED_PAGES, whatever it holds."""
CROWDED_PAGES = 10
"""How many times `max_pages` the smallest window may take: failures of one second that a database can hold."""

Row = TaskInstanceRow | DagRunRow
Rows = tuple[Row, ...]
Fetch = Callable[[Position], Awaitable[TaskInstancePage | DagRunPage]]


class Window(msgspec.Struct, frozen=True):
    """What changed in [since, until]; rows is None if it is more than one sweep reads."""

    until: Instant
    rows: Rows | None


class SweepExecutor:
    """The Questioner of 'airflow.sweep'. clients: deployment -> its API."""

    def __init__(self, clients: Mapping[str, AirflowClient]) -> None:
        self._clients = clients

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One Swept for each action, in order, side by side."""
        return list(await asyncio.gather(*(self._one(action, now) for action in actions)))

    async def _one(self, action: Action, now: Instant) -> Answer:
        since = _since(action)
        client = self._clients.get(action.target)
        if client is None:
            return _failed(action, since, f"no API is configured for deployment {action.target!r}")
        try:
            window = await _sweep(client, since, now)
        except Fault as fault:
            return _failed(action, since, str(fault))
        return _swept(action, since, window)


async def _sweep(client: AirflowClient, since: Instant, now: Instant) -> Window:
    # The scheduler's clock stamps the rows, ours may run ahead of it: the earlier of the two is safe.
    # It is read before the rows, so that what changes meanwhile belongs to the next sweep as well.
    server = await client.server_time()
    end = max(since, min(now, server if server is not None else now))
    changed = Changed(since)
    while True:
        rows = await _rows(client, changed, _pages_allowed(client, changed))
        if rows is not None or changed.until == _smaller(changed, end):
            return Window(end if changed.until is None else changed.until, rows)
        changed = Changed(since, _smaller(changed, end))


def _smaller(changed: Changed, end: Instant) -> Instant:
    """The end of the half as long window; never below the smallest."""
    until = end if changed.until is None else changed.until
    return min(until, changed.since + max(SMALLEST_WINDOW, (until - changed.since) // 2))


def _pages_allowed(client: AirflowClient, changed: Changed) -> int:
    return client.settings.max_pages * (CROWDED_PAGES if _is_smallest(changed) else 1)


def _is_smallest(changed: Changed) -> bool:
    return changed.until is not None and changed.until - changed.since <= SMALLEST_WINDOW


async def _rows(client: AirflowClient, changed: Changed, max_pages: int) -> Rows | None:
    """All rows of the window, None if they do not fit `max_pages` of either kind."""
    most = max_pages * client.settings.page_size
    instances = await _all(partial(client.failed_task_instances, changed), max_pages, most)
    if instances is not None and not _is_smallest(changed) and len(set(instances)) < len(instances):
        # API v1 pages through rows in an order that may change: what comes twice hides what never came.
        return None
    dagruns = None if instances is None else await _all(partial(client.failed_dagruns, changed), max_pages, most)
    return None if instances is None or dagruns is None else (*instances, *dagruns)


async def _all(fetch: Fetch, max_pages: int, most: int) -> list[Row] | None:
    rows: list[Row] = []
    at = Position()
    for _ in range(max_pages):
        page = await fetch(at)
        rows += page.rows
        following = next_position(page, at)
        if following is None:
            return rows
        if (page.total_entries or 0) > most:
            return None
        at = following
    return None


def _since(action: Action) -> Instant:
    assert isinstance(action.params, Sweep)  # noqa: S101  (the dispatcher picks the executor by kind)
    return action.params.since


def _failed(action: Action, since: Instant, error: str) -> Swept:
    return Swept(action_id=action.id, deployment=action.target, since=since, until=since, error=error)


def _swept(action: Action, since: Instant, window: Window) -> Swept:
    if window.rows is None:
        return _failed(action, since, "more failures within one second than a sweep may read")
    found: dict[tuple[str, str], DagRunRef] = {}
    for row in window.rows:
        ended_at = instant_of(row.end_date) if isinstance(row, DagRunRow) else None
        key = (row.dag_id, row.dag_run_id)
        if key not in found or ended_at is not None:
            found[key] = DagRunRef(dag_id=row.dag_id, run_id=row.dag_run_id, ended_at=ended_at)
    dagruns = tuple(found[key] for key in sorted(found))
    return Swept(action_id=action.id, deployment=action.target, since=since, until=window.until, dagruns=dagruns)
