"""The parts of the store in memory that only ever grow: journal, audit chain and answers.

Each method is one atomic section between two pauses, as everywhere in that store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from remediator.model.action import QUESTIONS
from remediator.model.inputs import Input, Pressed
from remediator.model.time import Instant
from remediator.store.audit import AuditEntry, AuditPage, chain, pruned
from remediator.store.chunks import encode_chunks, place_chunks
from remediator.store.memory_data import MemoryData
from remediator.store.port import Answer


async def no_pause(point: str) -> None:
    """Go on at once."""


class MemoryAudit:
    """What every other part of `memory.MemoryStore` stands on: the data, the pauses, and who may append."""

    def __init__(self, data: MemoryData, pause: Callable[[str], Awaitable[None]]) -> None:
        self.data = data
        self._pause = pause

    def _append_journal(self, inputs: Sequence[Input], at: Instant) -> int:
        """Take the next positions and write there; the one place that does. Returns the last position."""
        data = self.data
        data.journal.extend(place_chunks(data.head, encode_chunks(inputs), at))
        data.head += len(inputs)
        return data.head

    def _append_audit(self, entries: Sequence[AuditEntry], at: Instant) -> None:
        rows, self.data.audit_head = chain(self.data.audit_head, entries, at)
        self.data.audit.extend(rows)

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        await self._pause("restored:before")
        held = [row for lane in self.data.lanes.values() for row in lane.values() if row.action.kind not in QUESTIONS]
        for row in held:
            row.state, row.token, row.not_before, row.tries = "pending", "", 0, 0
            row.uncertain = row.doubtful = True
        self.data.frozen = True
        self._append_audit([audit], at)
        self.data.restored = self._append_journal([msgspec.structs.replace(pressed, actions=len(held))], at)
        await self._pause("restored:after")
        return len(held)

    async def answer(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
        await self._pause("answer:before")
        found = self.data.answers.get(pressed.subject)
        if found is None:
            found = Answer(pressed.subject, pressed.command, pressed.actor, at)
            self.data.answers[pressed.subject] = found
            self._append_audit([audit], at)
            self._append_journal([pressed], at)
            found = msgspec.structs.replace(found, is_new=True)
        await self._pause("answer:after")
        return found

    async def answered(self, proposal: str) -> Answer | None:
        await self._pause("answered:before")
        found = self.data.answers.get(proposal)
        await self._pause("answered:after")
        return found

    async def audit(self, after: int, limit: int, since: Instant = 0) -> AuditPage:
        await self._pause("audit:before")
        rows = [row for row in self.data.audit if row.seq > after and row.at >= since]
        page = AuditPage(self.data.audit_head, rows[:limit])
        await self._pause("audit:after")
        return page

    async def prune_audit(self, before: Instant, at: Instant, limit: int) -> int:
        await self._pause("prune_audit:before")
        data, count = self.data, 0
        while count < min(limit, len(data.audit)) and data.audit[count].at < before:
            count += 1
        if count:
            last = data.audit[count - 1]
            data.audit_head = msgspec.structs.replace(data.audit_head, anchor_seq=last.seq, anchor_hash=last.hash)
            del data.audit[:count]
            self._append_audit([pruned(last.seq, last.hash)], at)
        await self._pause("prune_audit:after")
        return count
