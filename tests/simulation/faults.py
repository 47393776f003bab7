"""Deliberate faults: each breaks one mechanism that a promise stands on, the way a plausible mistake would."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from remediator.actions.airflow.verdict import Clear, Found
from remediator.engine import response
from remediator.engine.core import Core
from remediator.model.action import Action, Retry
from remediator.model.inputs import Entry, Watermark
from remediator.model.outcome import Outcome
from remediator.model.time import Instant
from remediator.runtime.controller import Controller
from remediator.store.chunks import encode_chunks, entries_after, place_chunks
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import OutboxRow
from remediator.store.port import Claim, Lease, MatcherBatch
from remediator.testing.simulation.outside import SimulatedRetries


class SequencePositions(MemoryStore):
    """Positions as from a database sequence: taken first, and visible only when the transaction ends."""

    async def commit_batch(self, batch: MatcherBatch) -> bool:
        await self._pause("commit_batch:before")
        if self.data.progress.get((batch.feed, batch.topic, batch.partition)) != batch.expected:
            return False
        chunks = place_chunks(self.data.head, encode_chunks(batch.inputs), batch.at)
        self.data.head += len(batch.inputs)
        await self._pause("commit_batch.taken")
        done = self._commit_batch_without_inputs(batch)
        if done:
            self.data.journal.extend(chunks)
            self.data.journal.sort(key=lambda chunk: chunk.first)
        await self._pause("commit_batch:after")
        return done

    def _commit_batch_without_inputs(self, batch: MatcherBatch) -> bool:
        return self._commit_batch(
            MatcherBatch(
                feed=batch.feed,
                topic=batch.topic,
                partition=batch.partition,
                expected=batch.expected,
                next_offset=batch.next_offset,
                at=batch.at,
                history=batch.history,
                dead_letters=batch.dead_letters,
            )
        )


class NoCompareAndSwap(MemoryStore):
    """Progress moves whoever owns the partition."""

    def _commit_batch(self, batch: MatcherBatch) -> bool:
        place = (batch.feed, batch.topic, batch.partition)
        self.data.progress[place] = -1 if batch.expected is None else batch.expected
        if batch.expected is None:
            del self.data.progress[place]
        return super()._commit_batch(batch)


class NoFencing(MemoryStore):
    """A controller that lost its lease commits all the same."""

    def _fence(self, lease: Lease) -> None:
        return


class NoLanes(MemoryStore):
    """Every due row is given, whatever is in flight beside it."""

    def _claimable(self, now: Instant) -> list[OutboxRow]:
        rows = [row for lane in self.data.lanes.values() for row in lane.values()]
        return [row for row in rows if row.not_before <= now and (row.state == "pending" or now >= row.until)]


class StaleTokens(MemoryStore):
    """Whoever once had a claim may confirm and finish it."""

    def _held(self, claim: Claim) -> OutboxRow | None:
        return self.data.outbox.get(claim.action.id)

    def _end(self, row: OutboxRow, state: str, detail: str, at: Instant) -> None:
        self.data.lanes.setdefault(row.action.lane, {})[row.action.id] = row
        super()._end(row, state, detail, at)


class NeverUncertain(MemoryStore):
    """A claim that ran out is given again as if nothing had been done under it."""

    def _take(self, row: OutboxRow, worker: str, now: Instant, until: Instant) -> Claim:
        row.uncertain = False
        claim = super()._take(row, worker, now, until)
        row.uncertain = False
        return Claim(claim.action, claim.token, claim.until, uncertain=False, tries=claim.tries)


class NoFreeze(MemoryStore):
    """The brake right before the call is not looked at."""

    def _confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Any:
        frozen, self.data.frozen = self.data.frozen, False
        go = super()._confirm(claim, now, changes_per_minute)
        self.data.frozen = frozen
        return go


class NoLookBeforeClear(SimulatedRetries):
    """Clears what was asked for, whatever is there now."""

    def judge(self, found: list[Found], action: Action, retry: Retry, *, uncertain: bool) -> Clear | Outcome:
        return Clear(retry.tasks, action.id)


class PeekingController(Controller):
    """Steps with the newest watermarks of the store, which its own position has not reached."""

    async def _provide(self, core: Core, entries: Sequence[Entry]) -> None:
        await super()._provide(core, entries)
        data = self._store.data  # type: ignore[attr-defined]
        for entry in entries_after(data.journal, entries[-1].position):
            if isinstance(entry.input, Watermark):
                feed = core.world.feeds.get(entry.input.feed)
                if feed is not None:
                    feed.partitions[f"{entry.input.topic}/{entry.input.partition}"] = entry.input.complete_until


def never_spent(*given: object) -> str:
    """For `budget.exhausted`."""
    return ""


def no_ceiling(original: Any) -> Any:
    """For `brakes.not_permitted`: what the deployment and the mode forbid is let through."""

    def brake(*given: Any) -> Any:
        found = original(*given)
        return None if found is not None and found[0] is response.Reason.CEILING else found

    return brake


def random_ids() -> Any:
    """For `stable_id`: an identity that is not a function of its cause."""
    random = Random(0)
    return lambda *cause: f"{random.getrandbits(96):024x}"


def never_held(*given: object) -> bool:
    """For `response._is_held_back`."""
    return False


def never_doubted(*given: object) -> str:
    """For `proofs.doubt`: whatever is well after a change of ours is credited to it."""
    return ""
