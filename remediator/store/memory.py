"""The store in memory: the reference of the contract, and the one that simulations crash at every call.

Each method is one atomic section between two pauses, which are its only awaits. Keeps nothing across processes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from remediator.model.action import CHANGES_TARGET, QUESTIONS, Action
from remediator.model.incident import Incident, Phase
from remediator.model.inputs import Entry, Input
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import MINUTE, Duration, Instant
from remediator.store.audit import AuditEntry, cancelled, is_audited
from remediator.store.chunks import entries_after, refusal
from remediator.store.lattice import history_key, merge
from remediator.store.memory_audit import MemoryAudit, no_pause
from remediator.store.memory_data import (
    FINISHED,
    KeptSnapshot,
    MemoryData,
    OutboxRow,
    drop,
    is_resolved_before,
    latest,
    offered,
    put,
)
from remediator.store.port import (
    ActionRow,
    Claim,
    ControllerStart,
    Counts,
    Fenced,
    Go,
    HistoryRow,
    Lease,
    MatcherBatch,
    StepCommit,
    Timer,
)


class MemoryStore(MemoryAudit):
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

    async def read_journal(self, after: int, limit: int) -> list[Entry]:
        await self._pause("read_journal:before")
        entries = self._read_journal(after, limit)
        await self._pause("read_journal:after")
        return entries

    def _read_journal(self, after: int, limit: int) -> list[Entry]:
        start = bisect_right(self.data.journal, after, key=lambda chunk: chunk.last)
        entries: list[Entry] = []
        for index in range(start, len(self.data.journal)):
            if len(entries) >= max(limit, 1):
                break
            entries += entries_after([self.data.journal[index]], after)
        return entries

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
        added = [action.id for action in commit.actions if self._add_action(action, commit.at)]
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

    def _add_action(self, action: Action, at: Instant) -> bool:
        if action.id in self.data.outbox:
            return False
        lane = self.data.lanes.setdefault(action.lane, {})
        if action.replaces:
            for row in [row for row in lane.values() if row.action.replaces == action.replaces]:
                if row.state == "pending" and not row.doubtful:
                    self._end(row, "refused", "superseded", at)
        self.data.sequence += 1
        row = OutboxRow(seq=self.data.sequence, action=action, at=at, not_before=action.not_before)
        self.data.outbox[action.id] = row
        self.data.lanes.setdefault(action.lane, {})[action.id] = row
        return True

    def _cancel(self, action_id: str, reason: str, at: Instant) -> Action | None:
        row = self.data.outbox.get(action_id)
        if row is None or row.state != "pending" or row.doubtful:
            return None
        self._end(row, "refused", reason, at)
        return row.action

    def _end(self, row: OutboxRow, state: str, detail: str, at: Instant) -> None:
        row.state, row.detail, row.at, row.token = state, detail, at, ""
        lane = self.data.lanes[row.action.lane]
        del lane[row.action.id]
        if not lane:
            del self.data.lanes[row.action.lane]

    async def put_rule_set(self, content_hash: str, body: bytes) -> None:
        await self._pause("put_rule_set:before")
        self.data.rule_sets.setdefault(content_hash, body)
        await self._pause("put_rule_set:after")

    async def rule_set(self, content_hash: str) -> bytes | None:
        await self._pause("rule_set:before")
        body = self.data.rule_sets.get(content_hash)
        await self._pause("rule_set:after")
        return body

    # -- outbox -------------------------------------------------------------------------------------------------

    async def claim(self, worker: str, now: Instant, duration: Duration, limit: int) -> list[Claim]:
        await self._pause("claim:before")
        claims = [self._take(row, worker, now, now + duration) for row in self._claimable(now)[:limit]]
        await self._pause("claim:after")
        return claims

    def _claimable(self, now: Instant) -> list[OutboxRow]:
        # A lane's rows are in order of creation, so sorting lanes by their first row puts the oldest head first.
        lanes = sorted((list(lane.values()) for lane in self.data.lanes.values()), key=lambda rows: rows[0].seq)
        return [row for rows in lanes for row in offered(rows, now)]

    def _take(self, row: OutboxRow, worker: str, now: Instant, until: Instant) -> Claim:
        self.data.sequence += 1
        row.uncertain = row.uncertain or row.state == "claimed"
        row.state, row.token, row.until = "claimed", f"{worker}#{self.data.sequence}", until
        return Claim(action=row.action, token=row.token, until=until, uncertain=row.uncertain, tries=row.tries)

    def _held(self, claim: Claim) -> OutboxRow | None:
        row = self.data.outbox.get(claim.action.id)
        return row if row is not None and row.state == "claimed" and row.token == claim.token else None

    async def confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Go:
        await self._pause("confirm:before")
        go = self._confirm(claim, now, changes_per_minute)
        await self._pause("confirm:after")
        return go

    def _confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Go:
        data, row = self.data, self._held(claim)
        if row is None or now >= row.until:
            return Go.LOST
        if row.doubtful:
            return Go.PROVE
        changes = row.action.kind in CHANGES_TARGET
        if changes and data.frozen:
            return Go.FROZEN
        if now > row.action.not_after:
            return Go.EXPIRED
        return self._count_change(row.action.target, now // MINUTE, changes_per_minute) if changes else Go.YES

    def _count_change(self, target: str, minute: int, allowed: int) -> Go:
        known, count = self.data.rates.get(target, (minute, 0))
        count = count if known == minute else 0
        if count >= allowed:
            return Go.RATE
        self.data.rates[target] = minute, count + 1
        return Go.YES

    async def finish(
        self,
        claim: Claim,
        result: Input | None,
        state: str,
        detail: str,
        at: Instant,
        audit: AuditEntry | None = None,
    ) -> bool:
        await self._pause("finish:before")
        row = self._held(claim)
        if row is not None:
            self._end(row, state, detail, at)
            if row.action.kind in QUESTIONS:
                del self.data.outbox[row.action.id]
            self._append_audit([] if audit is None else [audit], at)
            self._append_journal([] if result is None else [result], at)
        await self._pause("finish:after")
        return row is not None

    async def postpone(self, claim: Claim, not_before: Instant, *, uncertain: bool, detail: str) -> bool:
        await self._pause("postpone:before")
        row = self._held(claim)
        if row is not None:
            row.state, row.token, row.not_before, row.detail = "pending", "", not_before, detail
            row.tries, row.uncertain = row.tries + 1, row.uncertain or uncertain
        await self._pause("postpone:after")
        return row is not None

    # -- read side ----------------------------------------------------------------------------------------------

    async def incidents(self, *, open_only: bool, limit: int) -> list[Incident]:
        await self._pause("incidents:before")
        wanted = [one for one in self.data.incidents.values() if not (open_only and one.phase is Phase.RESOLVED)]
        wanted.sort(key=lambda one: (-one.updated_at, one.id, one.episode))
        await self._pause("incidents:after")
        return wanted[:limit]

    async def incident(self, incident_id: str) -> Incident | None:
        await self._pause("incident:before")
        found = self._incident(incident_id)
        await self._pause("incident:after")
        return found

    def _incident(self, incident_id: str) -> Incident | None:
        ids = {key[0] for key in self.data.incidents if incident_id and key[0].startswith(incident_id)}
        chosen = incident_id if incident_id in ids else ids.pop() if len(ids) == 1 else None
        episodes = [one for one in self.data.incidents.values() if one.id == chosen]
        return max(episodes, key=lambda one: one.episode, default=None)

    async def decisions(self, incident_id: str, limit: int) -> list[Decision]:
        await self._pause("decisions:before")
        found = [one for one in self.data.decisions if one.incident == incident_id]
        await self._pause("decisions:after")
        return latest(found, limit)

    async def actions(self, incident_id: str, limit: int) -> list[ActionRow]:
        await self._pause("actions:before")
        rows = [row for row in self.data.outbox.values() if incident_id in ("", row.action.incident)]
        found = [
            ActionRow(action=row.action, state=row.state, tries=row.tries, detail=row.detail, at=row.at)
            for row in latest(rows, limit)
        ]
        await self._pause("actions:after")
        return found

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        await self._pause("dead_letters:before")
        found = [letter for _, letter in reversed(latest(self.data.dead, limit))]
        await self._pause("dead_letters:after")
        return found

    async def history(self, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
        await self._pause("history:before")
        found = [row for key, row in sorted(self.data.history.items()) if key[:3] == (deployment, dag_id, run_id)]
        await self._pause("history:after")
        return found

    async def counts(self) -> Counts:
        await self._pause("counts:before")
        found = self._counts()
        await self._pause("counts:after")
        return found

    def _counts(self) -> Counts:
        data = self.data
        outbox: dict[str, Counter[str]] = {}
        for row in data.outbox.values():
            outbox.setdefault(row.action.kind, Counter())[row.state] += 1
        waiting = self._read_journal(data.position, 1)
        return Counts(
            journal_head=data.head,
            controller_position=data.position,
            journal_rows=sum(chunk.count for chunk in data.journal),
            dead_letters=len(data.dead),
            outbox={kind: dict(states) for kind, states in outbox.items()},
            incidents_open=sum(one.phase is not Phase.RESOLVED for one in data.incidents.values()),
            timers=sum(map(len, data.timers.values())),
            frozen=data.frozen,
            oldest_unprocessed_at=waiting[0].at if waiting else None,
        )

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
