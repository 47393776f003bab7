"""The rule book: the rule set in force in this process, and how a new one gets in force.

Owns loading, activation and reload. A bad file changes nothing that runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import watchfiles
from structlog.typing import FilteringBoundLogger

from remediator.config.settings import Config
from remediator.model.inputs import Activated
from remediator.model.time import Instant
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules
from remediator.rules.spec import encode_rule_set
from remediator.runtime import audit
from remediator.runtime.beats import Beat, unwatched
from remediator.runtime.logs import Name
from remediator.store.port import Store, StoreError

WATCH_STEP_MS = 500
BEAT_EVERY_S = 10.0


class RuleBook:
    """Holds the compiled rules that matchers use; the controller takes them from the store by their hash.

    reloaded: told of every reload, with its faults if it was rejected.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Callable[[], Instant],
        log: FilteringBoundLogger,
        reloaded: Callable[[Faults | None], None] = lambda faults: None,
    ) -> None:
        self._reloaded = reloaded
        self._config = config
        self._store = store
        self._clock = clock
        self._log = log
        self._wanted = asyncio.Event()
        self.current = compile_rules(config)

    async def activate(self) -> None:
        """Keep the current rule set in the store and journal that it decides from here on."""
        await self._store.put_rule_set(self.current.hash, encode_rule_set(self.current.spec))
        documented = audit.activation(self.current.hash, len(self.current.rules), self._config.daemon.name)
        await self._store.append([Activated(self.current.hash)], self._clock(), audit=[documented])
        self._log.info(Name.RULES_ACTIVATED, rule_set=self.current.hash, rules=len(self.current.rules))

    def want_reload(self) -> None:
        """A SIGHUP came, or a file changed."""
        self._wanted.set()

    async def follow(self, stopping: asyncio.Event, beat: Beat = unwatched) -> None:
        """Reload when wanted, until the stop."""
        watcher = asyncio.create_task(self._watch(stopping)) if self._config.rules.reload else None
        stop = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            beat()
            wanted = asyncio.create_task(self._wanted.wait())
            await asyncio.wait([wanted, stop], timeout=BEAT_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            wanted.cancel()
            if self._wanted.is_set():
                self._wanted.clear()
                await self._reload()
        if watcher is not None:
            await watcher

    async def _watch(self, stopping: asyncio.Event) -> None:
        paths = [path for path in self._config.rule_paths() if path.exists()]
        async for _ in watchfiles.awatch(*paths, stop_event=stopping, step=WATCH_STEP_MS // 5, debounce=WATCH_STEP_MS):
            self._wanted.set()

    async def _reload(self) -> None:
        try:
            fresh = await asyncio.to_thread(compile_rules, self._config)
        except Faults as faults:
            self._log.error(Name.RULES_REJECTED, faults=str(faults), kept=self.current.hash)
            self._reloaded(faults)
            return
        self._reloaded(None)
        if fresh.hash == self.current.hash:
            return
        before, self.current = self.current, fresh
        try:
            await self.activate()
        except StoreError as error:
            self.current = before
            self._wanted.set()
            self._log.error(Name.STORE_FAILED, part="rules", problem=str(error))
            await asyncio.sleep(1)


def compile_rules(config: Config) -> RuleSet:
    """Read and compile all rule files under the configured policy. Raises Faults with everything that is wrong."""
    return RuleSet(load_rules([Path(path) for path in config.rule_paths()], config.policy()))
