"""`airflow.cancel_backfill`: ends an open backfill. Airflow refuses to cancel one that is over: send again."""

from __future__ import annotations

from typing import ClassVar

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.resources import BackfillRow
from remediator.actions.airflow.verdict import LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, CancelBackfill, Guarantee
from remediator.model.outcome import Delivered, Outcome, Refused


class Cancelling:
    """One cancellation. Running dagruns finish, queued ones fail without an event."""

    guarantee: ClassVar[Guarantee] = Guarantee.KEYED

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, CancelBackfill)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._cancel = action.params

    async def look(self) -> BackfillRow | None:
        return await self._client.backfill(self._cancel.backfill_id)

    def decide(self, seen: BackfillRow | None) -> Send[None] | Outcome:
        return unfit(seen, self._cancel) or self.done(seen) or Send(None)

    async def send(self, call: None) -> BackfillRow:
        return await self._client.changes.cancel_backfill(self._cancel.backfill_id)

    def answered(self, call: None, answer: BackfillRow) -> Outcome:
        return self._over("cancelled")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return self._over("already over")

    def done(self, seen: BackfillRow | None) -> Outcome | None:
        return self._over("already over") if seen is not None and seen.completed_at else None

    async def preview(self) -> Preview:
        seen = await self.look()
        refused = unfit(seen, self._cancel)
        if refused is not None:
            return Preview("", error=refused.reason)
        if self.done(seen):
            return Preview(f"changes nothing: backfill {self._cancel.backfill_id} is over")
        return Preview(f"cancels backfill {self._cancel.backfill_id} of {self._cancel.dag_id}: its queued dagruns fail")

    def _over(self, how: str) -> Delivered:
        return Delivered(ref=str(self._cancel.backfill_id), detail=how)


def unfit(seen: BackfillRow | None, wanted: CancelBackfill) -> Refused | None:
    """Is it none, or another DAG's?"""
    if seen is None:
        return Refused(f"the scheduler does not know backfill {wanted.backfill_id}")
    other = f"backfill {wanted.backfill_id} is of the DAG {seen.dag_id}"
    return None if seen.dag_id == wanted.dag_id else Refused(other)
