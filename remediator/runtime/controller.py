"""The controller: the one that decides. Reads the journal, steps the core, commits state and effects together.

Owns the lease's use and the ticks. Decides nothing itself; drops all cached state whenever a commit failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from remediator.engine.core import SHARED_KEYS, Changes, Core
from remediator.model.inputs import Activated, Entry, Pressed, Tick
from remediator.model.time import SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import decode_rule_set
from remediator.runtime import audit
from remediator.store.audit import AuditEntry
from remediator.store.port import Fenced, Lease, StepCommit, Store, StoreError

READ_LIMIT = 1_000
LEASE_DURATION: Duration = 15 * SECOND
CACHED_STATES = 20_000


class Controller:
    """One candidate for the lease. `decided` is told of every committed change."""

    def __init__(
        self,
        name: str,
        store: Store,
        clock: Callable[[], Instant],
        decided: Callable[[Changes, Sequence[Entry]], None] = lambda changes, entries: None,
        lease_duration: Duration = LEASE_DURATION,
    ) -> None:
        self._lease_duration = lease_duration
        self._name = name
        self._store = store
        self._clock = clock
        self._decided = decided
        self._lease: Lease | None = None
        self._renewed: Instant = 0
        self._core: Core | None = None
        self._rule_sets: dict[str, RuleSet] = {}
        self._ticked = 0

    @property
    def is_leader(self) -> bool:
        """Does it believe to hold the lease? A commit tells for sure."""
        return self._lease is not None

    @property
    def lease(self) -> Lease | None:
        """The lease it believes to hold."""
        return self._lease

    async def run_once(self) -> bool:
        """Decide on what the journal has. True if anything was done. Raises StoreError; nothing is lost by it."""
        try:
            return await self._run_once()
        except Fenced:
            self._drop()
            self._lease = None
            return False
        except StoreError:
            self._drop()
            raise

    async def resign(self) -> None:
        """Give the lease up, so that another takes over at once."""
        lease, self._lease = self._lease, None
        self._drop()
        if lease is not None:
            await self._store.release_lease(lease)

    def _drop(self) -> None:
        self._core = None
        self._ticked = 0

    async def _run_once(self) -> bool:
        lease = await self._hold_lease()
        if lease is None:
            return False
        core = self._core or await self._load()
        await self._tick_if_due(core)
        entries = of_one_life(await self._store.read_journal(core.position, READ_LIMIT))
        if not entries:
            return False
        await self._provide(entries)
        self._core = None  # until the commit has succeeded, what the core holds did not happen
        changes = await self._step(core, entries)
        documented = audit.wanted(changes, core.states, self._rule_sets.get(core.world.rule_set))
        await self._store.commit_step(lease, _commit_of(changes, self._clock(), documented))
        self._core = core
        core.evict(CACHED_STATES)
        self._forget_rule_sets(core.world.rule_set)
        self._decided(changes, entries)
        return True

    async def _hold_lease(self) -> Lease | None:
        now = self._clock()
        if self._lease is None:
            self._lease = await self._store.acquire_lease(self._name, self._lease_duration)
            self._renewed = now
            self._drop()
        elif now - self._renewed >= self._lease_duration // 3:
            self._renewed = now
            if not await self._store.renew_lease(self._lease, self._lease_duration):
                raise Fenced
        return self._lease

    async def _load(self) -> Core:
        start = await self._store.controller_start()
        core = Core(start.position, start.timers, lambda name: self._rule_sets[name])
        found = await self._store.load_states(list(SHARED_KEYS))
        await self._provide_rule_set(core.rule_set_of(found))
        core.load(SHARED_KEYS, found)
        self._core = core
        return core

    async def _tick_if_due(self, core: Core) -> None:
        """Journal that time has passed, once: the next tick waits until this one was decided on."""
        due, now = core.next_due(), self._clock()
        if due is not None and due <= max(now, core.world.now) and core.position >= self._ticked:
            self._ticked = await self._store.append([Tick()], now)

    async def _provide(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(entry.input, Activated):
                await self._provide_rule_set(entry.input.rule_set)

    async def _step(self, core: Core, entries: Sequence[Entry]) -> Changes:
        core.take(entries)
        while missing := sorted(core.advance()):
            core.load(missing, await self._store.load_states(missing))
        return core.collect()

    def _forget_rule_sets(self, current: str) -> None:
        """Every step goes by the rule set of the latest activation, so that no other is asked for again."""
        self._rule_sets = {name: rules for name, rules in self._rule_sets.items() if name == current}

    async def _provide_rule_set(self, content_hash: str) -> None:
        if not content_hash or content_hash in self._rule_sets:
            return
        body = await self._store.rule_set(content_hash)
        if body is None:
            raise StoreError(f"rule set {content_hash} is activated in the journal but missing in the store")
        self._rule_sets[content_hash] = RuleSet(decode_rule_set(body))


def of_one_life(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Those before a restore by themselves: what comes of them is to be proved, what comes of the restore is not."""
    for index, entry in enumerate(entries):
        if index and isinstance(entry.input, Pressed) and entry.input.command == "restored":
            return entries[:index]
    return entries


def _commit_of(changes: Changes, at: Instant, documented: dict[str, AuditEntry]) -> StepCommit:
    return StepCommit(
        position=changes.position,
        at=at,
        states=changes.states,
        timers=changes.timers,
        actions=changes.actions,
        cancels=changes.cancels,
        incidents=changes.incidents,
        decisions=changes.decisions,
        audit=documented,
    )
