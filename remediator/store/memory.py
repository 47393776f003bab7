"""The store in memory: the reference of the contract, and the one that simulations crash at every call.

Here are the writes of matcher and controller; `memory_outbox`, `memory_read` and `memory_audit` are its other parts.
Each method is one atomic section between two pauses, which are its only awaits. Keeps nothing across processes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from remediator.model.inputs import Input
from remediator.model.time import Duration, Instant
from remediator.store.audit import AuditEntry, cancelled, is_audited
from remediator.store.chunks import refusal
from remediator.store.lattice import history_key, merge
from remediator.store.memory_audit import no_pause
from remediator.store.memory_data import (
    FINISHED,
    KeptSnapshot,
    MemoryData,
    drop,
    is_resolved_before,
    put,
)
from remediator.store.memory_outbox import MemoryOutbox
from remediator.store.memory_read import MemoryReads
from remediator.store.port import (
    ControllerStart,
    Fenced,
    Lease,
    MatcherBatch,
    StepCommit,
    Timer,
)


class MemoryStore(MemoryOutbox, MemoryReads):
    """Implements `port.Store`. `clock` is the lease's; `pause` is awaited with '<method>:before' and ':after'."""

    def __init__(
        self,
        data: MemoryData | None = None,
        *,
        clock: Callable[[], Instant],
        pause: Callable[[str], Awaitable[None]] = no_pause,
    ) -> None:
        super().__init__(MemoryData() if data is None else data, pause)
        self._clock = clock

    async def open(self) -> None:
        await self._pause("open:before")
        await self._pause("open:after")

    async def close(self) -> None:
        await self._pause("close:before")
        await self._pause("close:after")

    async def now(self) -> Instant | None:
        return None

    # -- matcher ------------------------------------------------------------------------------------------------

    async def progress(self, feed: str, topic: str) -> dict[int, int]:
        await self._pause("progress:before")
        found = {p: offset for (f, t, p), offset in self.data.progress.items() if (f, t) == (feed, topic)}
        await self._pause("progress:after")
        return found

    async def commit_batch(self, batch: MatcherBatch) -> bool:
        await self._pause("commit_batch:before")
        done = self._commit_batch(batch)
        await self._pause("commit_batch:after")
        return done

    def _commit_batch(self, batch: MatcherBatch) -> bool:
        data, place = self.data, (batch.feed, batch.topic, batch.partition)
        if data.progress.get(place) != batch.expected:
            return False
        data.progress[place] = batch.next_offset
        for row in batch.history:
            key = history_key(row)
            data.history[key] = merge(data.history.get(key, row), row)
        data.dead.extend((batch.at, letter) for letter in batch.dead_letters)
        self._append_journal(batch.inputs, batch.at)
        return True

    # -- journal ------------------------------------------------------------------------------------------------

    async def append(
        self, inputs: Sequence[Input], at: Instant, *, frozen: bool | None = None, audit: Sequence[AuditEntry] = ()
    ) -> int:
        await self._pause("append:before")
        if frozen is not None:
            self.data.frozen = frozen
        self._append_audit(audit, at)
        last = self._append_journal(inputs, at)
        await self._pause("append:after")
        return last

    # -- lease --------------------------------------------------------------------------------------------------

    async def acquire_lease(self, owner: str, duration: Duration) -> Lease | None:
        await self._pause("acquire_lease:before")
        lease = self._acquire_lease(owner, duration)
        await self._pause("acquire_lease:after")
        return lease

    def _acquire_lease(self, owner: str, duration: Duration) -> Lease | None:
        data, now = self.data, self._clock()
        if data.lease_owner not in ("", owner) and now < data.lease_until:
            return None
        data.epoch += 1
        data.lease_owner, data.lease_until = owner, now + duration
        return Lease(owner=owner, epoch=data.epoch)

    def _holds(self, lease: Lease) -> bool:
        return lease == Lease(owner=self.data.lease_owner, epoch=self.data.epoch)

    def _fence(self, lease: Lease) -> None:
        if not self._holds(lease):
            raise Fenced(f"the lease has passed on from epoch {lease.epoch} to {self.data.epoch}")

    async def renew_lease(self, lease: Lease, duration: Duration) -> bool:
        await self._pause("renew_lease:before")
        held = self._holds(lease)
        if held:
            self.data.lease_until = self._clock() + duration
        await self._pause("renew_lease:after")
        return held

    async def release_lease(self, lease: Lease) -> None:
        await self._pause("release_lease:before")
        if self._holds(lease):
            self.data.lease_owner, self.data.lease_until = "", 0
        await self._pause("release_lease:after")

    # -- controller ---------------------------------------------------------------------------------------------

    async def controller_start(self) -> ControllerStart:
        await self._pause("controller_start:before")
        start = ControllerStart(position=self.data.position, timers=dict(self.data.timers))
        await self._pause("controller_start:after")
        return start

    async def load_states(self, keys: Sequence[str]) -> dict[str, bytes]:
        await self._pause("load_states:before")
        states = {key: self.data.states[key] for key in keys if key in self.data.states}
        await self._pause("load_states:after")
        return states

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        await self._pause("commit_step:before")
        self._fence(lease)
        self._commit_step(commit)
        await self._pause("commit_step:after")

    def _commit_step(self, commit: StepCommit) -> None:
        data = self.data
        for key, state in commit.states.items():
            put(data.states, key, state)
        for key, timers in commit.timers.items():
            put(data.timers, key, timers or None)
        is_old = commit.position < data.restored
        added = [action.id for action in commit.actions if self._add_action(action, commit.at, is_old=is_old)]
        data.incidents.update({(incident.id, incident.episode): incident for incident in commit.incidents})
        data.decisions.extend(commit.decisions)
        data.frozen = data.frozen if commit.frozen is None else commit.frozen
        data.position = commit.position
        # Cancels come after actions: one step may want an action at one entry and take it back at a later one.
        gone = [
            (done, reason)
            for action_id, reason in commit.cancels
            if (done := self._cancel(action_id, reason, commit.at))
        ]
        self._append_audit([commit.audit[name] for name in added if name in commit.audit], commit.at)
        self._append_audit([cancelled(action, reason) for action, reason in gone if is_audited(action)], commit.at)
        self._append_journal([refusal(action, reason) for action, reason in gone], commit.at)

    async def put_rule_set(self, content_hash: str, body: bytes) -> None:
        await self._pause("put_rule_set:before")
        self.data.rule_sets.setdefault(content_hash, body)
        await self._pause("put_rule_set:after")

    async def rule_set(self, content_hash: str) -> bytes | None:
        await self._pause("rule_set:before")
        body = self.data.rule_sets.get(content_hash)
        await self._pause("rule_set:after")
        return body

    # -- retention ----------------------------------------------------------------------------------------------

    async def snapshot(self, lease: Lease, at: Instant) -> int:
        await self._pause("snapshot:before")
        self._fence(lease)
        data = self.data
        if not data.snapshots or data.snapshots[-1].position != data.position:
            data.snapshots.append(KeptSnapshot(data.position, dict(data.states), dict(data.timers)))
        data.snapshots = data.snapshots[-2:]
        position = data.position
        await self._pause("snapshot:after")
        return position

    async def load_snapshot(self) -> tuple[int, dict[str, bytes]] | None:
        await self._pause("load_snapshot:before")
        oldest = self.data.snapshots[0] if self.data.snapshots else None
        found = None if oldest is None else (oldest.position, dict(oldest.states))
        await self._pause("load_snapshot:after")
        return found

    async def snapshot_timers(self, position: int) -> dict[str, tuple[Timer, ...]]:
        return next((dict(one.timers) for one in self.data.snapshots if one.position == position), {})

    async def prune(self, before: Instant, outbox_before: Instant, limit: int) -> int:
        await self._pause("prune:before")
        gone = self._prune(before, outbox_before, limit)
        await self._pause("prune:after")
        return gone

    def _prune(self, before: Instant, outbox_before: Instant, limit: int) -> int:
        data, left = self.data, limit
        replayable = data.snapshots[0].position if data.snapshots else 0
        data.journal, left = drop(data.journal, lambda one: one.at < before and one.last <= replayable, left)
        data.decisions, left = drop(data.decisions, lambda one: one.at < before, left)
        data.dead, left = drop(data.dead, lambda one: one[0] < before, left)
        ended, left = drop(list(data.incidents.items()), lambda kv: is_resolved_before(kv[1], before), left)
        data.incidents = dict(ended)
        kept, left = drop(list(data.history.items()), lambda kv: kv[1].time < before, left)
        data.history = dict(kept)
        rows, left = drop(
            list(data.outbox.items()), lambda kv: kv[1].state in FINISHED and kv[1].at < outbox_before, left
        )
        data.outbox = dict(rows)
        answers, left = drop(list(data.answers.items()), lambda kv: kv[1].at < before, left)
        data.answers = dict(answers)
        return limit - left
