"""`airflow.mark`: sets a failed attempt's state by hand. Its note, written with the state, proves it."""

from __future__ import annotations

from typing import ClassVar

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.note import is_ours, merged
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.preview import instance
from remediator.actions.airflow.rows import TaskInstancePage, TaskInstanceRow
from remediator.actions.airflow.verdict import SOON, LookAgain, is_expected, moved_on
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Mark
from remediator.model.outcome import Delivered, Outcome, RetryAfter

FAILED = "failed"
BEYOND = {
    "success": "; what failed for it downstream runs",
    "skipped": "; what failed for it downstream is decided anew",
}


class Marking:
    """One mark. `before`: the state that it had, which is always 'failed'."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Mark)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._mark = action.params
        self._uncertain = uncertain

    async def look(self) -> TaskInstanceRow | None:
        mark, task = self._mark, self._mark.task
        return await self._client.task_instance(mark.dag_id, mark.run_id, task.task_id, task.map_index)

    def decide(self, seen: TaskInstanceRow | None) -> Send[str] | Outcome:
        settled = self.done(seen)
        if settled is not None:
            return settled
        if seen is None or not is_expected(self._mark.task, seen):
            return moved_on([(self._mark.task, seen)], may_be_ours=self._uncertain)
        if self._mark.state == FAILED:
            return Delivered(detail="already failed", before=FAILED)
        return Send(merged([seen.note], self._action.id, self._mark.why))

    async def send(self, call: str) -> TaskInstancePage:
        return await self._client.changes.mark(self._mark, call)

    def answered(self, call: str, answer: TaskInstancePage) -> Outcome:
        return self._delivered(f"marked {self._mark.state}")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return LookAgain(RetryAfter(SOON, str(fault), uncertain=self._uncertain))

    def done(self, seen: TaskInstanceRow | None) -> Outcome | None:
        return self._delivered("found by its note") if seen and is_ours(seen.note, self._action.id) else None

    async def preview(self) -> Preview:
        seen = await self.look()
        if seen is None or not is_expected(self._mark.task, seen):
            refused = moved_on([(self._mark.task, seen)], may_be_ours=False)
            return Preview("", error=refused.reason)
        return Preview(f"marks {instance(seen)} {self._mark.state}{BEYOND.get(self._mark.state, '')}", 1)

    def _delivered(self, detail: str) -> Delivered:
        return Delivered(ref=self._action.id, detail=detail, before=FAILED)
