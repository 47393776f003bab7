"""The daemon's clock: the store's own where it has one, so that all processes that share it have the same now."""

from __future__ import annotations

import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from remediator.model.time import SECOND, Duration, Instant, format_duration
from remediator.runtime.beats import Beat, unwatched
from remediator.runtime.logs import Name
from remediator.runtime.loops import Wakes
from remediator.store.port import Store, StoreError

FOLLOW_EVERY_S = 10.0
WORTH_SAYING: Duration = 5 * SECOND


def wall() -> Instant:
    """What this machine takes for the time. The only place of a daemon that reads it, but for adapters' own limits."""
    return time.time_ns() // 1_000


def steady() -> Instant:
    """Microseconds that nobody sets: only their differences mean anything."""
    return time.monotonic_ns() // 1_000


class DaemonClock:
    """This machine's wall clock until it has followed a store with a clock of its own; then that one, steadily."""

    def __init__(self, wall: Callable[[], Instant] = wall, steady: Callable[[], Instant] = steady) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead_of_steady: Duration | None = None

    def __call__(self) -> Instant:
        """Now."""
        return self._wall() if self._ahead_of_steady is None else self._ahead_of_steady + self._steady()

    @property
    def wrong_by(self) -> Duration:
        """How far this machine's wall clock is ahead of now; behind if negative."""
        return self._wall() - self()

    async def follow(self, store: Store) -> None:
        """Set it by the store's clock, if there is one. Raises StoreError; it then goes on as it went."""
        asked = self._steady()
        told = await store.now()
        if told is not None:
            self._ahead_of_steady = told - (asked + self._steady()) // 2

    async def run(self, store: Store, wakes: Wakes, log: FilteringBoundLogger, beat: Beat = unwatched) -> None:
        """Follow until the stop, and say so when the machine's clock begins or ends to be wrong."""
        was_wrong = False
        while not wakes.stopping.is_set():
            beat()
            try:
                await self.follow(store)
            except StoreError as error:
                log.error(Name.STORE_FAILED, part="clock", problem=str(error))
            is_wrong = abs(self.wrong_by) > WORTH_SAYING
            if is_wrong != was_wrong:
                write = log.warning if is_wrong else log.info
                write(Name.CLOCK_WRONG if is_wrong else Name.CLOCK_RIGHT, ahead=format_duration(self.wrong_by))
                was_wrong = is_wrong
            await wakes.pause(FOLLOW_EVERY_S)
