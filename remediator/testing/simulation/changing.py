"""The executors of changes beyond the retry: pauses and pools as the real ones decide them, reruns, triggers.

They fail as the network does. What is decided about a pause or a pool is the real executor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from remediator.actions.airflow import verdict
from remediator.actions.airflow.errors import Fault, Lost, NotSent
from remediator.actions.airflow.note import is_ours
from remediator.actions.airflow.once import Send
from remediator.actions.airflow.pause import Pausing
from remediator.actions.airflow.pool import Resizing
from remediator.actions.airflow.resources import DagRow, LogRow, PoolRow
from remediator.actions.airflow.verdict import SOON, LookAgain
from remediator.model.action import Action, Guarantee, Pause, Pool, Rerun, Trigger
from remediator.model.outcome import NOT_DONE, Delivered, Outcome, Refused, RetryAfter
from remediator.model.time import Instant, format_instant, parse_instant
from remediator.testing.simulation.driver import switch
from remediator.testing.simulation.outside import Network
from remediator.testing.simulation.runs import Plan
from remediator.testing.simulation.scheduler import Scheduler

USER = "remediator"


class SimulatedClient:
    """As much of the API's client as a change of a DAG or a pool asks for. `changes` is itself."""

    def __init__(self, scheduler: Scheduler, network: Network, clock: Callable[[], Instant], action: Action) -> None:
        self.settings = SimpleNamespace(username=USER)
        self.changes = self
        self._scheduler = scheduler
        self._network = network
        self._clock = clock
        self._action = action

    async def dag(self, dag_id: str) -> DagRow:
        await self._go()
        return DagRow(dag_id, dag_id in self._scheduler.paused)

    async def pool(self, pool: str) -> PoolRow | None:
        await self._go()
        slots = self._scheduler.pools.get(pool)
        return None if slots is None else PoolRow(pool, slots)

    async def asked(self, event: str, since: Instant, dag_id: str = "") -> list[LogRow]:
        await self._go()
        lines = self._scheduler.event_log
        return [one for one in lines if one.event == event and parse_instant(one.when) >= since
                and dag_id in ("", one.run_id)]  # fmt: skip

    async def logged(self, events: Sequence[str], dag_id: str, since: Instant) -> list[LogRow]:
        """Newest first."""
        found = [row for event in events for row in await self.asked(event, since, dag_id)]
        return sorted(found, key=lambda row: row.when, reverse=True)

    async def pause(self, wanted: Pause) -> DagRow:
        await self._begin()
        self._log("patch_dag", {"is_paused": wanted.paused}, wanted.dag_id)
        self._scheduler.pause(wanted.dag_id, self._action.id, paused=wanted.paused)
        self._come_back()
        return DagRow(wanted.dag_id, wanted.paused)

    async def resize(self, wanted: Pool, include_deferred: bool) -> PoolRow:
        await self._begin()
        self._log("patch_pool", {"pool_name": wanted.pool, "slots": wanted.slots}, "")
        self._scheduler.resize(wanted.pool, wanted.slots, self._action.id)
        self._come_back()
        return PoolRow(wanted.pool, wanted.slots)

    def _log(self, event: str, extra: dict[str, Any], dag_id: str) -> None:
        """run_id carries the DAG here: the row of the API says it elsewhere."""
        when = format_instant(self._clock())
        self._scheduler.event_log.append(
            LogRow(when, event, dag_id, owner=USER, extra=msgspec.json.encode(extra).decode())
        )

    async def _go(self) -> None:
        await switch("change.asked")
        if self._network.fails(self._scheduler.deployment):
            raise NotSent("no answer")

    async def _begin(self) -> None:
        """A change waits for its turn; what stood still meanwhile is not sent."""
        asked_at = self._clock()
        await self._go()
        if self._clock() - asked_at > verdict.SEND_VALID:
            raise NotSent("stood still before the call")

    def _come_back(self) -> None:
        if self._network.fails(self._scheduler.deployment):
            raise Lost("timed out")


class SimulatedChanges:
    """Executor of 'airflow.pause' and 'airflow.pool'."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, schedulers: Mapping[str, Scheduler], network: Network, clock: Callable[[], Instant]) -> None:
        self._schedulers = schedulers
        self._network = network
        self._clock = clock

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        change, looked_at = self._change(action, uncertain), self._clock()
        try:
            decided: Send[Any] | Outcome = change.decide(await change.look())
        except Fault as fault:
            return verdict.look_failed(fault, uncertain=uncertain)
        if not isinstance(decided, Send):
            return decided
        if self._clock() - looked_at > verdict.LOOK_VALID:
            return verdict.look_too_old(uncertain=uncertain)
        try:
            outcome: Outcome = change.answered(decided.call, await change.send(decided.call))
            return outcome
        except Fault as fault:
            judged = verdict.refused(fault, uncertain=uncertain)
        if not isinstance(judged, LookAgain):
            return judged
        try:
            done: Outcome | None = change.done(await change.look())
            return done or judged.unchanged
        except Fault as fault:
            return RetryAfter(SOON, f"cannot tell whether it happened: {fault}", uncertain=True)

    async def prove(self, action: Action) -> Outcome:
        """What became of it; nothing is sent."""
        change = self._change(action, uncertain=True)
        try:
            decided: Send[Any] | Outcome = change.decide(await change.look())
        except Fault as fault:
            return verdict.look_failed(fault, uncertain=True)
        return Refused(NOT_DONE) if isinstance(decided, Send) else decided

    def _change(self, action: Action, uncertain: bool) -> Any:
        client: Any = SimulatedClient(self._schedulers[action.target], self._network, self._clock, action)
        kind: Any = Pausing if isinstance(action.params, Pause) else Resizing
        return kind(client, action, uncertain=uncertain)


class SimulatedDagruns:
    """Executor of 'airflow.rerun', which the dagrun's note proves, and of 'airflow.trigger', which its id does."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, schedulers: Mapping[str, Scheduler], network: Network, clock: Callable[[], Instant]) -> None:
        self._schedulers = schedulers
        self._network = network
        self._clock = clock

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        looked_at = self._clock()
        await switch("change.looks")
        if self._network.fails(action.target):
            return RetryAfter(SOON, "no answer", uncertain=uncertain)
        found = self._found(action)
        if found is not None:
            return found
        if self._clock() - looked_at > verdict.LOOK_VALID:
            return verdict.look_too_old(uncertain=uncertain)
        asked_at = self._clock()
        await switch("change.asked")
        if self._clock() - asked_at > verdict.SEND_VALID or self._network.fails(action.target):
            return RetryAfter(SOON, "not sent", uncertain=uncertain)
        # A dagrun that is there by now is not created; one that runs again by now is cleared all the same.
        outcome = (self._found(action) if isinstance(action.params, Trigger) else None) or self._do(action)
        await switch("change.answered")
        if self._network.fails(action.target):
            return RetryAfter(SOON, "timed out", uncertain=True)
        return outcome

    async def prove(self, action: Action) -> Outcome:
        """What became of it; nothing is sent."""
        await switch("change.asked")
        if self._network.fails(action.target):
            return RetryAfter(SOON, "no answer", uncertain=True)
        return self._found(action) or Refused(NOT_DONE)

    def _found(self, action: Action) -> Outcome | None:
        scheduler, params = self._schedulers[action.target], action.params
        assert isinstance(params, Rerun | Trigger)  # noqa: S101
        run = scheduler.dagruns.get((params.dag_id, params.run_id))
        if isinstance(params, Trigger):
            return None if run is None else Delivered(params.run_id, "it is there already")
        if run is None:
            return Refused("the scheduler does not know the dagrun")
        if is_ours(run.note, action.id):
            return Delivered(action.id, "found by its note")
        return None if run.state in ("success", "failed") else Refused("the dagrun is not over")

    def _do(self, action: Action) -> Outcome:
        scheduler, params = self._schedulers[action.target], action.params
        if isinstance(params, Trigger):
            scheduler.trigger(params.dag_id, params.run_id, [Plan(0)], 0)
            return Delivered(params.run_id, "created")
        assert isinstance(params, Rerun)  # noqa: S101
        scheduler.rerun(params.dag_id, params.run_id, f"remediator:{action.id}", action.id)
        return Delivered(action.id, "cleared the dagrun")
