"""The matcher: from a source's batches to committed facts, matches and dead letters. Keeps nothing that counts.

Owns the order poll, prepare, commit. A refused commit means a new owner: the batch is dropped and re-read.
"""

from __future__ import annotations

from collections.abc import Callable

from remediator.model.time import SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.runtime.intake import Intake, Prepared, prepare
from remediator.sources.port import Source, SourceBatch
from remediator.store.port import Store, StoreError

MARK_EVERY: Duration = SECOND
"""At most one watermark row per partition and second while records flow."""
IDLE_MARK_EVERY: Duration = 5 * SECOND
"""And every five seconds while none do: enough for `behind_after` and `blind_after`."""


class Matcher:
    """One feed's matcher. `rules` gives the rule set to match with; `seen` is told what was committed."""

    def __init__(
        self,
        intake: Intake,
        source: Source,
        store: Store,
        clock: Callable[[], Instant],
        rules: Callable[[], RuleSet],
        seen: Callable[[str, Prepared], None] = lambda feed, prepared: None,
    ) -> None:
        self._intake = intake
        self._source = source
        self._store = store
        self._clock = clock
        self._rules = rules
        self._seen = seen
        self._marked: dict[tuple[str, int], Instant] = {}

    async def run_once(self) -> int:
        """Poll once and commit what came. Returns the number of records. Raises StoreError, having lost nothing."""
        batches = await self._source.poll()
        records = 0
        for number, batch in enumerate(batches):
            now = self._clock()
            mark = self._may_mark(batch, now)
            prepared = prepare(self._intake, self._rules(), batch, now, mark=mark)
            if prepared is None:
                continue
            try:
                await self._commit(batch, prepared, now if mark else None)
            except StoreError:
                for left in batches[number:]:
                    await self._source.reseek(left.topic, left.partition)
                raise
            records += prepared.records
        return records

    async def _commit(self, batch: SourceBatch, prepared: Prepared, marked: Instant | None) -> None:
        if await self._store.commit_batch(prepared.batch):
            if marked is not None:
                self._marked[batch.topic, batch.partition] = marked
            self._seen(self._intake.feed, prepared)
        else:
            await self._source.reseek(batch.topic, batch.partition)

    def _may_mark(self, batch: SourceBatch, now: Instant) -> bool:
        last = self._marked.get((batch.topic, batch.partition), 0)
        return now - last >= (MARK_EVERY if batch.records else IDLE_MARK_EVERY)
