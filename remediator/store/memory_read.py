"""What the reading methods of the store in memory answer: the journal, stories, and counts. Changes nothing.

Each method is one atomic section between two pauses, as everywhere in that store.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

from remediator.model.incident import Incident, Phase
from remediator.model.inputs import Entry
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import Instant
from remediator.store.chunks import entries_after
from remediator.store.memory_audit import MemoryAudit
from remediator.store.memory_data import latest
from remediator.store.port import ActionRow, Counts, HistoryRow


class MemoryReads(MemoryAudit):
    """The part of `memory.MemoryStore` that people, reports and the controller read."""

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

    async def decisions_since(self, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
        await self._pause("decisions_since:before")
        numbered = enumerate(self.data.decisions, start=1)
        found = [(number, one) for number, one in numbered if (one.at, number) > (since, after)]
        found.sort(key=lambda pair: (pair[1].at, pair[0]))
        await self._pause("decisions_since:after")
        return found[:limit]

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
