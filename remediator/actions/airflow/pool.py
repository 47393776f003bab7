"""`airflow.pool`: gives a pool so many slots. The event log proves an earlier call."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from remediator.actions.airflow.asked import since, was_asked
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.resources import PoolRow
from remediator.actions.airflow.verdict import LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Pool
from remediator.model.outcome import Delivered, Outcome, Refused, Unknown

ASKED_AS = "patch_pool"
"""Airflow's name of the call in its event log."""


class Seen(msgspec.Struct, frozen=True):
    """The pool, and whether an earlier call of this action is in the event log (None: nobody can know)."""

    pool: PoolRow | None
    asked: bool | None = False


class Resizing:
    """One change of a pool's size. `before`: the slots that it had, '' if only an earlier call of ours knew."""

    guarantee: ClassVar[Guarantee] = Guarantee.PROVABLE

    def __init__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> None:
        assert isinstance(action.params, Pool)  # noqa: S101  (the dispatcher picks the executor by kind)
        self._client = client
        self._action = action
        self._pool = action.params
        self._uncertain = uncertain

    async def look(self) -> Seen:
        pool = await self._client.pool(self._pool.pool)
        return Seen(pool, await self._asked() if self._uncertain else False)

    def decide(self, seen: Seen) -> Send[PoolRow] | Outcome:
        pool, wanted = seen.pool, self._pool
        if pool is None:
            return unknown_pool(wanted)
        if pool.slots == wanted.slots:
            return self._already(seen.asked)
        if seen.asked is not False:
            return Unknown(f"an earlier call may have given it {wanted.slots} slots, and it has {pool.slots}")
        if wanted.only_if not in (None, pool.slots):
            return Refused(f"the pool has {pool.slots} slots, not {wanted.only_if}")
        return Send(pool)

    async def send(self, call: PoolRow) -> PoolRow:
        return await self._client.changes.resize(self._pool, call.include_deferred)

    def answered(self, call: PoolRow, answer: PoolRow) -> Outcome:
        if answer.slots != self._pool.slots:
            return Refused(f"the scheduler left the pool at {answer.slots} slots")
        return self._delivered(before=str(call.slots))

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        return Refused(str(fault))

    def done(self, seen: Seen) -> Outcome | None:
        same = seen.pool is not None and seen.pool.slots == self._pool.slots
        return self._delivered(before=self._expected()) if same else None

    async def preview(self) -> Preview:
        return previewed(await self._client.pool(self._pool.pool), self._pool)

    async def _asked(self) -> bool | None:
        rows = await self._client.asked(ASKED_AS, since(self._action))
        wanted: dict[str, Any] = {"pool_name": self._pool.pool, "slots": self._pool.slots}
        return was_asked(rows, self._client.settings.username, wanted)

    def _already(self, was_ours: bool | None) -> Outcome:
        if was_ours is not False:
            return self._delivered(before=self._expected())
        slots = self._pool.slots
        return Delivered(ref=self._pool.pool, detail=f"already {slots} slots", before=str(slots))

    def _delivered(self, before: str) -> Delivered:
        return Delivered(ref=self._pool.pool, detail=f"{self._pool.slots} slots", before=before)

    def _expected(self) -> str:
        """What it had before a call whose answer was lost: the precondition says, or nobody knows any more."""
        return "" if self._pool.only_if is None else str(self._pool.only_if)


def unknown_pool(wanted: Pool) -> Refused:
    """There is no such pool."""
    return Refused(f"the scheduler does not know the pool {wanted.pool}")


def previewed(pool: PoolRow | None, wanted: Pool) -> Preview:
    """What it would change."""
    if pool is None:
        return Preview("", error=unknown_pool(wanted).reason)
    if pool.slots == wanted.slots:
        return Preview(f"changes nothing: the pool {wanted.pool} has {pool.slots} slots")
    has = f"the pool has {pool.slots} slots, not {wanted.only_if}"
    refused = "" if wanted.only_if in (None, pool.slots) else has
    used = f"{pool.occupied_slots} in use, {pool.queued_slots} queued"
    text = f"gives the pool {wanted.pool} {wanted.slots} slots instead of {pool.slots} ({used})"
    return Preview(text, refused=refused)
