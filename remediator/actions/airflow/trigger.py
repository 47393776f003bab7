"""`airflow.trigger`: creates a dagrun with a chosen id. Airflow refuses a second one of this id: 409 means done."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import msgspec

from remediator.actions.airflow import routes
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.note import merged
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.preview import short_instant
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.rows import DagRunRow
from remediator.actions.airflow.verdict import LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Trigger
from remediator.model.outcome import Delivered, Outcome, Refused

WAITS = "the DAG is paused, so it stays queued until somebody resumes it"
_BAD_PARAM = "Invalid input for param "


class Seen(msgspec.Struct, frozen=True):
    """The DAG and the dagrun, as far as the scheduler knows them."""

    dag: DagRow | None
    run: DagRunRow | None


class Creation(msgspec.Struct, frozen=True):
    """The dagrun to create. waits: nothing will happen to it before the DAG is resumed."""

    body: routes.Body
    waits: bool


class Triggering:
    """One trigger."""

    guarantee: ClassVar[Guarantee] = Guarantee.KEYED

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Trigger)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._trigger = action.params

    async def look(self) -> Seen:
        wanted = self._trigger
        dag, run = await asyncio.gather(
            self._client.dag(wanted.dag_id), self._client.dagrun(wanted.dag_id, wanted.run_id)
        )
        return Seen(dag, run)

    def decide(self, seen: Seen) -> Send[Creation] | Outcome:
        wanted = self._trigger
        settled = self.done(seen) or unfit(seen.dag, wanted.dag_id)
        if settled is not None:
            return settled
        note = merged([], self._action.id, wanted.why)
        body = routes.trigger_body(wanted.run_id, wanted.logical_date, wanted.conf, note)
        return Send(Creation(body, waits=seen.dag is not None and seen.dag.is_paused))

    async def send(self, call: Creation) -> DagRunRow:
        try:
            return await self._client.changes.trigger(self._trigger.dag_id, call.body)
        except Answered as fault:
            raise without_conf(fault) from None

    def answered(self, call: Creation, answer: DagRunRow) -> Outcome:
        return Delivered(ref=answer.dag_run_id, detail=WAITS if call.waits else f"created, {answer.state}")

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return LookAgain(Refused("the DAG has another dagrun with this logical date"))

    def done(self, seen: Seen) -> Outcome | None:
        if seen.run is None:
            return None
        return Delivered(ref=seen.run.dag_run_id, detail=f"it is there already, {seen.run.state}")

    async def preview(self) -> Preview:
        wanted, dag = self._trigger, await self._client.dag(self._trigger.dag_id)
        refused = unfit(dag, wanted.dag_id)
        if refused is not None:
            return Preview("", error=refused.reason)
        count = await self._client.task_count(wanted.dag_id)
        return Preview(_told(wanted, waits=dag is not None and dag.is_paused), count)


def unfit(dag: DagRow | None, dag_id: str) -> Refused | None:
    """Why no dagrun of this DAG can be created, None if one can."""
    if dag is None or dag.is_stale:
        return Refused(f"the scheduler does not know the DAG {dag_id}")
    return Refused(f"the DAG {dag_id} has import errors") if dag.has_import_errors else None


def without_conf(fault: Answered) -> Answered:
    """What Airflow says of a conf that it does not like quotes it, and it may hold secrets: only the name stays."""
    if not fault.text.startswith(_BAD_PARAM):
        return fault
    name = fault.text.removeprefix(_BAD_PARAM).partition(":")[0]
    return Answered(fault.status, f"the conf does not fit the DAG's param {name}", fault.retry_after_s)


def _told(wanted: Trigger, *, waits: bool) -> str:
    date = "" if wanted.logical_date is None else f" for {short_instant(wanted.logical_date)}"
    text = f"creates the dagrun {wanted.run_id} of {wanted.dag_id}{date}"
    return f"{text}; {WAITS}" if waits else text
