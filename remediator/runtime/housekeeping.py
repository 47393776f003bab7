"""Housekeeping: gauges, snapshots, retention. Nothing here decides; a failure here only waits for its next turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from remediator.config.settings import StoreSettings
from remediator.engine import feeds
from remediator.engine.ledger_state import LedgerState
from remediator.engine.saved import decode_ledger_state, decode_world_state
from remediator.model.ids import LEDGER_KEY, WORLD_KEY
from remediator.model.policy import Policy
from remediator.model.time import HOUR, SECOND, Duration, Instant
from remediator.runtime.beats import Beat, unwatched
from remediator.runtime.controller import Controller
from remediator.runtime.logs import Name
from remediator.runtime.loops import Wakes
from remediator.runtime.metrics import Metrics
from remediator.runtime.report import rates_by_place
from remediator.runtime.standing import breakers_by_rule, oldest_wait, open_proposals
from remediator.runtime.surface_accounts import MOST_INCIDENTS, loss_of
from remediator.runtime.wiring import WatchedSource
from remediator.store.port import Fenced, Store, StoreError

EVERY_S = 2.0
STANDING_EVERY: Duration = 10 * SECOND
"""Open incidents are read for it, which may be thousands."""
PRUNE_EVERY: Duration = HOUR
PRUNE_LIMIT = 1_000
"""Rows of one pruning transaction: small, so that matcher and controller hardly wait for it."""


class Housekeeper:
    """Runs in every process; only the one that decides keeps snapshots and prunes."""

    def __init__(
        self,
        store: Store,
        settings: StoreSettings,
        controller: Controller,
        sources: Mapping[str, WatchedSource],
        policy: Callable[[], Policy],
        metrics: Metrics,
        clock: Callable[[], Instant],
        log: FilteringBoundLogger,
        beat: Beat = unwatched,
    ) -> None:
        self._store = store
        self._settings = settings
        self._controller = controller
        self._sources = sources
        self._policy = policy
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._beat = beat
        self._snapshot_at: int | None = None
        self._pruned: Instant = 0
        self._stood: Instant = 0
        self._problems: dict[str, str] = {}

    async def run(self, wakes: Wakes) -> None:
        """Until the stop."""
        while not wakes.stopping.is_set():
            self._beat()
            self._report_feeds()
            try:
                await self.measure()
                if self._controller.lease is not None:
                    await self._keep_small(wakes)
            except Fenced:
                pass  # another process keeps house now
            except StoreError as error:
                self._log.error(Name.STORE_FAILED, part="housekeeping", problem=str(error))
            await wakes.pause(EVERY_S)

    def _report_feeds(self) -> None:
        """One line when a feed's trouble begins, changes or ends."""
        for name, source in self._sources.items():
            problem, before = source.problem, self._problems.get(name)
            self._metrics.healthy(name, not problem)
            if problem == before:
                continue
            self._problems[name] = problem
            if problem:
                self._log.warning(Name.FEED_LOST, feed=name, problem=problem)
            else:
                self._log.info(Name.FEED_CONNECTED, feed=name)

    async def measure(self) -> None:
        """Bring the gauges up to date; those of what waits every STANDING_EVERY only."""
        counts = await self._store.counts()
        now = self._clock()
        self._metrics.sizes(counts)
        self._metrics.lease(self._controller.lease is not None)
        oldest = counts.oldest_unprocessed_at
        self._metrics.controller_lag(now - oldest if oldest is not None else 0)
        states = await self._store.load_states([WORLD_KEY, LEDGER_KEY])
        body = states.get(LEDGER_KEY)
        ledger = decode_ledger_state(body) if body is not None else LedgerState()
        self._report_losses(ledger, now)
        await self._report_standing(ledger, now)
        body = states.get(WORLD_KEY)
        if body is None:
            return
        known = decode_world_state(body).feeds
        for name, feed in known.items():
            self._metrics.blind(name, feed.blind)
            mark = feeds.watermark(known, name, self._policy())
            if mark:
                self._metrics.watermark_age(name, now - mark)

    async def _report_standing(self, ledger: LedgerState, now: Instant) -> None:
        if now - self._stood < STANDING_EVERY:
            return
        self._stood = now
        found = open_proposals(await self._store.incidents(open_only=True, limit=MOST_INCIDENTS), now)
        self._metrics.standing(len(found), oldest_wait(found, now) or 0, breakers_by_rule(ledger))

    def _report_losses(self, ledger: LedgerState, now: Instant) -> None:
        rates = {}
        for name, deployment in self._policy().deployments.items():
            rates[deployment.feed, name] = loss_of(ledger, name, now)
        self._metrics.losses(rates)
        by_place = rates_by_place(ledger).items()
        self._metrics.rates({place: (rate.helped, rate.in_vain) for place, rate in by_place})

    async def _keep_small(self, wakes: Wakes) -> None:
        lease, now = self._controller.lease, self._clock()
        if lease is None or now - self._pruned < PRUNE_EVERY:
            return
        position = (await self._store.counts()).controller_position
        if self._snapshot_at is None or position - self._snapshot_at >= self._settings.snapshot_every:
            self._snapshot_at = await self._store.snapshot(lease, now)
            self._log.info(Name.STORE_SNAPSHOT, position=self._snapshot_at)
        gone = 0
        while not wakes.stopping.is_set():
            self._beat()
            count = await self._store.prune(
                now - self._settings.retention, now - self._settings.outbox_retention, PRUNE_LIMIT
            )
            gone += count
            if not count:
                break
        gone += await self._prune_audit(wakes, now)
        self._pruned = now
        if gone:
            self._log.info(Name.STORE_PRUNED, rows=gone, seconds=(self._clock() - now) / SECOND)

    async def _prune_audit(self, wakes: Wakes, now: Instant) -> int:
        """Only if it is configured: otherwise the audit is kept for ever."""
        retention, gone = self._settings.audit_retention, 0
        while retention is not None and not wakes.stopping.is_set():
            self._beat()
            count = await self._store.prune_audit(now - retention, now, PRUNE_LIMIT)
            gone += count
            if count < PRUNE_LIMIT:
                break
        return gone
