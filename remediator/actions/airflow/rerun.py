"""`airflow.rerun`: a whole finished dagrun is cleared. The dagrun's note, written with the clear, proves it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from remediator.actions.airflow import verdict
from remediator.actions.airflow.asked import CLEARED_AS, may_have_cleared, since
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.marked import EVENTS, FAILED, Wish, of_dagrun
from remediator.actions.airflow.note import is_ours, merged
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.preview import of_clear
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.rows import OVER_STATES, DagRunRow, TaskInstanceRow, instant_of
from remediator.actions.airflow.scope import never_again, never_tagged
from remediator.actions.airflow.verdict import SOON, LookAgain, is_expected, too_many
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Rerun
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown


class Seen(msgspec.Struct, frozen=True):
    """The dagrun, which task instances its clear would touch, and whether an earlier call may have cleared it.

    failed: what failed in it. theirs: a person marked it failed, or a task of it. dag: if its tags matter.
    """

    run: DagRunRow | None
    affects: tuple[TaskInstanceRow, ...] = ()
    perhaps_ours: bool = False
    failed: TaskInstanceRow | None = None
    theirs: Wish | None = None
    dag: DagRow | None = None


class Rerunning:
    """One rerun. Its note goes to the dagrun; those on its task instances stay as they are."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Rerun)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._rerun = action.params
        self._uncertain = uncertain

    async def look(self) -> Seen:
        run = await self._client.dagrun(self._rerun.dag_id, self._rerun.run_id)
        if run is None:
            return Seen(None)
        affects = await self._affects() if self._rerun.max_affected or self._rerun.never else ()
        perhaps_ours = await self._perhaps_ours(run) if self._uncertain else False
        dag = await self._client.dag(self._rerun.dag_id) if self._rerun.never_tags else None
        return Seen(run, affects, perhaps_ours, await self._failed(), await self._theirs(run), dag)

    def decide(self, seen: Seen) -> Send[str] | Outcome:
        run, rerun = seen.run, self._rerun
        if run is None:
            return Refused(f"the scheduler does not know {rerun.dag_id} {rerun.run_id}")
        settled = self.done(seen) or self._not_yet(run, seen) or moved_on(run, perhaps_ours=seen.perhaps_ours)
        if settled is not None:
            return settled
        if seen.theirs is not None:
            return Refused(str(seen.theirs), theirs=True)
        refused = never_tagged(seen.dag, rerun.never_tags)
        refused = refused or never_again(seen.affects, rerun.never, self._action.target)
        refused = refused or too_many(len(seen.affects), rerun.max_affected)
        return refused or Send(merged([run.note], self._action.id, rerun.why))

    async def send(self, call: str) -> DagRunRow:
        return await self._client.changes.clear_dagrun(self._rerun.dag_id, self._rerun.run_id, call)

    def answered(self, call: str, answer: DagRunRow) -> Outcome:
        if answer.state in OVER_STATES:
            return Refused("the scheduler cleared nothing: the dagrun has no task instances")
        return Delivered(ref=self._action.id, detail=f"the dagrun is {answer.state} again")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return LookAgain(RetryAfter(SOON, f"clears collided: {fault}", uncertain=self._uncertain))

    def done(self, seen: Seen) -> Outcome | None:
        ours = seen.run is not None and is_ours(seen.run.note, self._action.id)
        return Delivered(ref=self._action.id, detail="found by its note") if ours else None

    async def preview(self) -> Preview:
        seen = await self.look()
        seen = msgspec.structs.replace(seen, affects=seen.affects or await self._affects())
        decided = self.decide(seen)
        refused = decided if isinstance(decided, Refused) else None
        return of_clear(seen.affects, self._rerun.dag_id, self._rerun.run_id, refused=refused)

    def _not_yet(self, run: DagRunRow, seen: Seen) -> Outcome | None:
        """A dagrun ends some seconds after the last of its failures; until then it cannot be cleared."""
        attempt = self._rerun.attempt
        if attempt is None or seen.perhaps_ours:
            return None
        if not is_expected(attempt, seen.failed):
            return verdict.moved_on([(attempt, seen.failed)], may_be_ours=self._uncertain)
        if run.state in OVER_STATES:
            return None
        return RetryAfter(SOON, f"the dagrun is still {run.state}", uncertain=self._uncertain)

    async def _failed(self) -> TaskInstanceRow | None:
        attempt, rerun = self._rerun.attempt, self._rerun
        if attempt is None:
            return None
        return await self._client.task_instance(rerun.dag_id, rerun.run_id, attempt.task_id, attempt.map_index)

    async def _perhaps_ours(self, run: DagRunRow) -> bool:
        lines = await self._client.asked(CLEARED_AS, since(self._action), run.dag_id)
        return may_have_cleared(run, lines, self._action)

    async def _theirs(self, run: DagRunRow) -> Wish | None:
        if run.state != FAILED:
            return None
        return of_dagrun(run, await self._client.logged(EVENTS, run.dag_id, instant_of(run.queued_at) or 0))

    async def _affects(self) -> tuple[TaskInstanceRow, ...]:
        return (await self._client.would_rerun(self._rerun.dag_id, self._rerun.run_id)).task_instances


def moved_on(run: DagRunRow, *, perhaps_ours: bool) -> Outcome | None:
    """Is a dagrun without our note no longer the finished one that was meant? None if it is.

    perhaps_ours: a person may have written over the note that an earlier call of ours left.
    """
    if perhaps_ours:
        return Unknown(f"the dagrun is {run.state}, queued again since an earlier call of ours")
    return None if run.state in OVER_STATES else Refused(f"the dagrun is {run.state}: somebody was faster")
