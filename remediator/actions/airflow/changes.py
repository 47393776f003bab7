"""The routes of API v2 that change something, as typed calls. Decides nothing; raises only the faults of `errors`."""

from __future__ import annotations

import asyncio
from typing import Any

from remediator.actions.airflow import routes, verdict
from remediator.actions.airflow.resources import BackfillRow, DagRow, PoolRow
from remediator.actions.airflow.routes import Body, Clearing
from remediator.actions.airflow.rows import DagRunRow, TaskInstancePage, decoded
from remediator.actions.airflow.session import Answer, Caller
from remediator.model.action import Backfill, Mark, Pause, Pool
from remediator.model.time import SECOND


class Changes:
    """Each is sent once, and once more only if its token was refused; none on knowledge that grew old before it."""

    def __init__(self, session: Caller) -> None:
        self._session = session

    async def clear(self, clearing: Clearing, note: str) -> TaskInstancePage:
        """Clear task instances; the answer lists what was cleared.

        The note is written in the transaction of the clear: it proves that the clear happened.
        """
        answer = await self._write("POST", routes.clear(clearing.dag_id), routes.clear_body(clearing, note))
        return decoded(answer.body, TaskInstancePage)

    async def clear_dagrun(self, dag_id: str, run_id: str, note: str) -> DagRunRow:
        """Clear everything of one dagrun. The note is the dagrun's own, written in the same transaction."""
        path = routes.clear_dagrun(dag_id, run_id)
        answer = await self._write("POST", path, routes.clear_dagrun_body(note))
        return decoded(answer.body, DagRunRow)

    async def trigger(self, dag_id: str, body: Body) -> DagRunRow:
        """Create a dagrun. 409 if there is one of this id, or of this logical date."""
        answer = await self._write("POST", routes.dagruns(dag_id), body)
        return decoded(answer.body, DagRunRow)

    async def backfill(self, wanted: Backfill) -> BackfillRow:
        """Create a backfill. 409 while another one of the DAG is open."""
        answer = await self._write("POST", routes.BACKFILLS, routes.backfill_body(wanted))
        return decoded(answer.body, BackfillRow)

    async def cancel_backfill(self, backfill_id: int) -> BackfillRow:
        """Its queued dagruns fail, running ones finish. 409 if it is over."""
        answer = await self._write("PUT", routes.cancel_backfill(backfill_id), None)
        return decoded(answer.body, BackfillRow)

    async def pause(self, wanted: Pause) -> DagRow:
        """Pause or resume a DAG. Idempotent."""
        path = f"{routes.dag(wanted.dag_id)}?update_mask=is_paused"
        answer = await self._write("PATCH", path, {"is_paused": wanted.paused})
        return decoded(answer.body, DagRow)

    async def resize(self, wanted: Pool, include_deferred: bool) -> PoolRow:
        """Give a pool so many slots. Idempotent."""
        path = f"{routes.pool(wanted.pool)}?update_mask=slots"
        answer = await self._write("PATCH", path, routes.pool_body(wanted, include_deferred))
        return decoded(answer.body, PoolRow)

    async def mark(self, wanted: Mark, note: str) -> TaskInstancePage:
        """Set one task instance's state by hand, its note in the same transaction. 409 if it is in that state."""
        task = wanted.task
        path = routes.task_instance(wanted.dag_id, wanted.run_id, task.task_id, task.map_index)
        answer = await self._write("PATCH", path, {"new_state": wanted.state, "note": note})
        return decoded(answer.body, TaskInstancePage)

    async def _write(self, method: str, path: str, body: Any) -> Answer:
        begin_by = asyncio.get_running_loop().time() + verdict.SEND_VALID / SECOND
        return await self._session.write(method, path, body=body, begin_by=begin_by)
