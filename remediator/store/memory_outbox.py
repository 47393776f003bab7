"""The outbox of the store in memory: how actions get in, are claimed, confirmed, finished, postponed or taken back.

Each method is one atomic section between two pauses, as everywhere in that store.
"""

from __future__ import annotations

from remediator.model.action import CHANGES_TARGET, QUESTIONS, Action
from remediator.model.inputs import Input
from remediator.model.time import MINUTE, Duration, Instant
from remediator.store.audit import AuditEntry
from remediator.store.memory_audit import MemoryAudit
from remediator.store.memory_data import OutboxRow, offered
from remediator.store.port import Claim, Go


class MemoryOutbox(MemoryAudit):
    """The part of `memory.MemoryStore` that dispatchers use."""

    def _add_action(self, action: Action, at: Instant, *, is_old: bool) -> bool:
        """is_old: it is decided on what came before the store was restored."""
        if action.id in self.data.outbox:
            return False
        lane = self.data.lanes.setdefault(action.lane, {})
        if action.replaces:
            for row in [row for row in lane.values() if row.action.replaces == action.replaces]:
                if row.state == "pending" and not row.doubtful:
                    self._end(row, "refused", "superseded", at)
        self.data.sequence += 1
        row = OutboxRow(seq=self.data.sequence, action=action, at=at, not_before=action.not_before)
        row.uncertain = row.doubtful = is_old and action.kind not in QUESTIONS
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
