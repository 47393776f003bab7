"""Asks at which try task instances were done: one call for those of many dagruns, and none while they are not.

Changes nothing and judges nothing: whose try it was is for the core to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Fault, is_about_deployment
from remediator.actions.airflow.once import tried
from remediator.actions.airflow.rows import PROVING_STATES, TaskInstanceRow
from remediator.model.event import UNMAPPED_INDEX

DagRunKey = tuple[str, str]
"""(dag_id, run_id)"""
Wanted = dict[DagRunKey, set[str]]
"""Task instances, as 'load' or 'load[3]', by dagrun."""
Proofs = dict[DagRunKey, tuple[TaskInstanceRow, ...] | Fault]
"""A fault is one of the whole deployment; what is not known, or not allowed to be read, is left out."""
MOST_SINGLY = 50
"""How many are asked for one by one, if those of one call are more than a page."""


async def proofs_of(client: AirflowClient, wanted: Mapping[DagRunKey, set[str]]) -> Proofs:
    """The task instances that are done, of those that are wanted."""
    asked = {key: names for key, names in wanted.items() if names}
    if not asked:
        return {}
    rows = await _together(client, asked)
    if rows is None:
        rows = await _singly(client, asked)
    if isinstance(rows, Fault):
        return dict.fromkeys(asked, rows)
    return {key: tuple(row for row in rows if _is_wanted(row, key, names)) for key, names in asked.items()}


def name_of(row: TaskInstanceRow) -> str:
    """'load' or 'load[3]'."""
    return row.task_id if row.map_index == UNMAPPED_INDEX else f"{row.task_id}[{row.map_index}]"


def _is_wanted(row: TaskInstanceRow, key: DagRunKey, names: set[str]) -> bool:
    return (row.dag_id, row.dag_run_id) == key and row.state in PROVING_STATES and name_of(row) in names


async def _together(client: AirflowClient, asked: Wanted) -> Sequence[TaskInstanceRow] | Fault | None:
    """None if that is refused, or is more than fits a page."""
    dags, dagruns = (sorted({key[part] for key in asked}) for part in (0, 1))
    tasks = sorted({_parts(name)[0] for names in asked.values() for name in names})
    limit = client.settings.page_size * client.settings.max_pages
    page = await tried(client.done(dags, dagruns, tasks, limit))
    if isinstance(page, Fault):
        return page if is_about_deployment(page) else None
    return None if (page.total_entries or 0) > len(page.task_instances) else page.task_instances


async def _singly(client: AirflowClient, asked: Wanted) -> Sequence[TaskInstanceRow] | Fault:
    places = [(key, _parts(name)) for key, names in asked.items() for name in sorted(names)][:MOST_SINGLY]
    found = await asyncio.gather(*(tried(client.task_instance(*key, *parts)) for key, parts in places))
    away = next((one for one in found if isinstance(one, Fault) and is_about_deployment(one)), None)
    return away or [one for one in found if isinstance(one, TaskInstanceRow)]


def _parts(name: str) -> tuple[str, int]:
    task_id, _, index = name.partition("[")
    return task_id, int(index[:-1]) if index else UNMAPPED_INDEX
