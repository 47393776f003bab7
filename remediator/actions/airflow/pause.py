"""`airflow.pause`: stops a DAG from being scheduled, or lets it go on. The event log proves an earlier call."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from remediator.actions.airflow.asked import CLOCKS_DIFFER, Lines, changed_since, since, was_asked
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.verdict import LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Pause
from remediator.model.outcome import Delivered, Outcome, Refused, Unknown
from remediator.model.time import Instant

ASKED_AS = "patch_dag"
"""Airflow's name of the call in its event log."""


class Seen(msgspec.Struct, frozen=True):
    """The DAG, and whether an earlier call of this action is in the event log (None: nobody can know).

    kept: why an undo is not made.
    """

    dag: DagRow | None
    asked: bool | None = False
    kept: Refused | None = None


class Pausing:
    """One pause or resumption. `before`: 'paused' or 'unpaused', '' if nobody knows whether an earlier call did it."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Pause)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._pause = action.params
        self._uncertain = uncertain

    async def look(self) -> Seen:
        dag = await self._client.dag(self._pause.dag_id)
        asked = await self._asked() if self._uncertain else False
        return Seen(dag, asked, None if self._pause.since is None else await self._kept(self._pause.since))

    def decide(self, seen: Seen) -> Send[None] | Outcome:
        if seen.dag is None:
            return Refused(f"the scheduler does not know the DAG {self._pause.dag_id}")
        if seen.dag.is_paused == self._pause.paused:
            return self._already(seen.asked)
        if seen.asked is not False:
            return Unknown(f"an earlier call may have done it, and the DAG is {word(seen.dag.is_paused)}")
        return seen.kept or Send(None)

    async def send(self, call: None) -> DagRow:
        return await self._client.changes.pause(self._pause)

    def answered(self, call: None, answer: DagRow) -> Outcome:
        if answer.is_paused != self._pause.paused:
            return Refused(f"the scheduler left the DAG {word(answer.is_paused)}")
        return self._delivered()

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return Refused(str(fault))

    def done(self, seen: Seen) -> Outcome | None:
        return self._delivered() if seen.dag is not None and seen.dag.is_paused == self._pause.paused else None

    async def preview(self) -> Preview:
        dag = await self._client.dag(self._pause.dag_id)
        return previewed(dag, self._pause)

    async def _asked(self) -> bool | None:
        rows = await self._client.asked(ASKED_AS, since(self._action), self._pause.dag_id)
        wanted: dict[str, Any] = {"is_paused": self._pause.paused}
        return was_asked(rows, self._client.settings.username, wanted)

    async def _kept(self, issued: Instant) -> Refused | None:
        earliest = max(0, issued - CLOCKS_DIFFER)
        lines = await self._client.logged((ASKED_AS,), self._pause.dag_id, earliest)
        return kept(lines, self._client.settings.username, undone=self._pause.paused)

    def _already(self, was_ours: bool | None) -> Outcome:
        if was_ours:
            return self._delivered()
        now = word(self._pause.paused)
        return Delivered(ref=self._pause.dag_id, detail=f"already {now}", before="" if was_ours is None else now)

    def _delivered(self) -> Delivered:
        now, before = word(self._pause.paused), word(not self._pause.paused)
        return Delivered(ref=self._pause.dag_id, detail=now, before=before)


def kept(lines: Lines, owner: str, *, undone: bool) -> Refused | None:
    """Why an undo is not made: somebody changed it after us, or nobody can know. undone: as what it would be."""
    now = word(not undone)
    try:
        theirs = changed_since(lines, owner, {"is_paused": not undone})
    except LookupError:
        why = "nobody can know whether somebody changed it since" if lines is None else "the event log lacks our change"
        return Refused(f"{why}: the DAG is left {now}")
    if theirs is None:
        return None
    did = f"{theirs.owner or 'somebody'} paused or resumed the DAG after us, last at {theirs.when}"
    return Refused(f"{did}: it is left {now}", theirs=True)


def word(paused: bool) -> str:
    """'paused' or 'unpaused'"""
    return "paused" if paused else "unpaused"


def previewed(dag: DagRow | None, wanted: Pause) -> Preview:
    """What it would change."""
    if dag is None:
        return Preview("", error=f"the scheduler does not know the DAG {wanted.dag_id}")
    if dag.is_paused == wanted.paused:
        return Preview(f"changes nothing: {wanted.dag_id} is {word(dag.is_paused)}")
    if wanted.paused:
        return Preview(f"pauses {wanted.dag_id}: what runs goes on, nothing new is started")
    return Preview(f"resumes {wanted.dag_id}: its queued dagruns start")
