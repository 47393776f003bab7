"""`airflow.backfill`: Airflow's own backfill. It carries no note; its range and its age tell whether it is ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from remediator.actions.airflow.asked import since
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.preview import Preview, counted, named
from remediator.actions.airflow.resources import BackfillPlan, BackfillRow
from remediator.actions.airflow.rows import instant_of
from remediator.actions.airflow.verdict import LookAgain
from remediator.model.action import Action, Backfill, Guarantee
from remediator.model.outcome import Delivered, Outcome, Refused
from remediator.model.time import Instant

Backfills = Sequence[BackfillRow]


class Backfilling:
    """One backfill. `ref`: its number, by which it is watched and cancelled."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Backfill)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._backfill = action.params
        self._uncertain = uncertain

    async def look(self) -> Backfills:
        return await self._client.backfills(self._backfill.dag_id)

    def decide(self, seen: Backfills) -> Send[None] | Outcome:
        """Before any call of ours, one of the same range is a person's."""
        return (self.done(seen) if self._uncertain else open_one(seen)) or Send(None)

    async def send(self, call: None) -> BackfillRow:
        return await self._client.changes.backfill(self._backfill)

    def answered(self, call: None, answer: BackfillRow) -> Outcome:
        return Delivered(ref=str(answer.id), detail=f"backfill {answer.id} created")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return LookAgain(Refused(str(fault)))

    def done(self, seen: Backfills) -> Outcome | None:
        """Found, or refused because of another one that is open."""
        ours = [row for row in seen if is_this(row, self._backfill, since(self._action))]
        if ours:
            return Delivered(ref=str(ours[0].id), detail=f"backfill {ours[0].id} found by its range")
        return open_one(seen)

    async def preview(self) -> Preview:
        return previewed(await self._client.would_backfill(self._backfill), self._backfill)


def is_this(row: BackfillRow, wanted: Backfill, created_since: Instant) -> bool:
    """Is it the backfill that was asked for, and not one from before?"""
    same_range = (instant_of(row.from_date), instant_of(row.to_date)) == (wanted.since, wanted.until)
    created = instant_of(row.created_at)
    return same_range and row.reprocess_behavior == wanted.reprocess and (created or 0) >= created_since


def open_one(rows: Backfills) -> Refused | None:
    """Airflow allows one open backfill for each DAG."""
    found = [row.id for row in rows if row.completed_at is None]
    return Refused(f"backfill {found[0]} of the DAG is still open") if found else None


def previewed(plan: BackfillPlan, wanted: Backfill) -> Preview:
    """What the dry run lists."""
    dates = [run.logical_date or "a partition" for run in plan.backfills]
    if not dates:
        return Preview(f"backfills nothing of {wanted.dag_id}: no dagrun in the range needs it")
    return Preview(f"backfills {counted(len(dates), 'dagrun')} of {wanted.dag_id}: {named(dates)}")
