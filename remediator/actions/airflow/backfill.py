"""`airflow.backfill`: Airflow's own backfill. It carries no note; its range and its age tell whether it is ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from remediator.actions.airflow import verdict
from remediator.actions.airflow.asked import since
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.preview import counted, named, reason_of
from remediator.actions.airflow.resources import BackfillPlan, BackfillRow, DagRow
from remediator.actions.airflow.rows import OVER_STATES, DagRunRow, TaskInstanceRow, instant_of
from remediator.actions.airflow.scope import never_tagged
from remediator.actions.airflow.verdict import SOON, LookAgain, is_expected
from remediator.actions.port import Preview
from remediator.model.action import Action, Backfill, Guarantee
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter
from remediator.model.time import Instant

Backfills = Sequence[BackfillRow]


class Seen(msgspec.Struct, frozen=True):
    """The DAG's backfills, and how many task instances ours would touch, if that is limited.

    dag: asked for if its tags matter. run, failed: the dagrun that it is wanted for, and what failed in it, if any.
    """

    backfills: Backfills
    affects: int = 0
    dag: DagRow | None = None
    run: DagRunRow | None = None
    failed: TaskInstanceRow | None = None


class Backfilling:
    """One backfill. `ref`: its number, by which it is watched and cancelled."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Backfill)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._backfill = action.params
        self._uncertain = uncertain

    async def look(self) -> Seen:
        found = await self._client.backfills(self._backfill.dag_id)
        if self._known(found) is not None:
            return Seen(found)
        affects = await self._affects() if self._backfill.max_affected else 0
        return Seen(found, affects, await self._dag(), *await self._wanted_for())

    def decide(self, seen: Seen) -> Send[None] | Outcome:
        """Before any call of ours, one of the same range is a person's."""
        wanted = self._backfill
        refused = never_tagged(seen.dag, wanted.never_tags) or verdict.too_many(seen.affects, wanted.max_affected)
        return self._known(seen.backfills) or refused or self._not_yet(seen) or Send(None)

    async def send(self, call: None) -> BackfillRow:
        return await self._client.changes.backfill(self._backfill)

    def answered(self, call: None, answer: BackfillRow) -> Outcome:
        return Delivered(ref=str(answer.id), detail=f"backfill {answer.id} created")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return LookAgain(Refused(str(fault)))

    def done(self, seen: Seen) -> Outcome | None:
        return self._found(seen.backfills)

    def _known(self, found: Backfills) -> Outcome | None:
        return self._found(found) if self._uncertain else open_one(found)

    def _found(self, found: Backfills) -> Outcome | None:
        """Found, or refused because of another one that is open."""
        ours = [row for row in found if is_this(row, self._backfill, since(self._action))]
        if ours:
            return Delivered(ref=str(ours[0].id), detail=f"backfill {ours[0].id} found by its range")
        return open_one(found)

    def _not_yet(self, seen: Seen) -> Outcome | None:
        """Must the dagrun that it is wanted for end first, or has it moved on?"""
        attempt = self._backfill.attempt
        if attempt is None or seen.run is None:
            return None
        if not is_expected(attempt, seen.failed):
            return verdict.moved_on([(attempt, seen.failed)], may_be_ours=self._uncertain)
        if seen.run.state in OVER_STATES:
            return None
        return RetryAfter(SOON, f"dagrun {seen.run.dag_run_id} is still {seen.run.state}", uncertain=self._uncertain)

    async def _wanted_for(self) -> tuple[DagRunRow | None, TaskInstanceRow | None]:
        wanted, attempt = self._backfill, self._backfill.attempt
        if attempt is None:
            return None, None
        run = await self._client.dagrun(wanted.dag_id, wanted.run_id)
        return run, await self._client.task_instance(wanted.dag_id, wanted.run_id, attempt.task_id, attempt.map_index)

    async def _affects(self) -> int:
        plan = await self._client.would_backfill(self._backfill)
        return len(plan.backfills) * await self._client.task_count(self._backfill.dag_id) if plan.backfills else 0

    async def preview(self) -> Preview:
        plan = await self._client.would_backfill(self._backfill)
        tasks = await self._client.task_count(self._backfill.dag_id) if plan.backfills else 0
        tagged = never_tagged(await self._dag(), self._backfill.never_tags)
        return msgspec.structs.replace(previewed(plan, self._backfill, tasks), refused=reason_of(tagged))

    async def _dag(self) -> DagRow | None:
        return await self._client.dag(self._backfill.dag_id) if self._backfill.never_tags else None


def is_this(row: BackfillRow, wanted: Backfill, created_since: Instant) -> bool:
    """Is it the backfill that was asked for, and not one from before?"""
    same_range = (instant_of(row.from_date), instant_of(row.to_date)) == (wanted.since, wanted.until)
    created = instant_of(row.created_at)
    return same_range and row.reprocess_behavior == wanted.reprocess and (created or 0) >= created_since


def open_one(rows: Backfills) -> Refused | None:
    """Airflow allows one open backfill for each DAG."""
    found = [row.id for row in rows if row.completed_at is None]
    return Refused(f"backfill {found[0]} of the DAG is still open") if found else None


def previewed(plan: BackfillPlan, wanted: Backfill, tasks: int) -> Preview:
    """What the dry run lists. tasks: of the DAG."""
    dates = [run.logical_date or "a partition" for run in plan.backfills]
    if not dates:
        return Preview(f"backfills nothing of {wanted.dag_id}: no dagrun in the range needs it")
    return Preview(f"backfills {counted(len(dates), 'dagrun')} of {wanted.dag_id}: {named(dates)}", len(dates) * tasks)
