"""The daemon's clock: the store's own where it has one, so that all processes that share it have the same now."""

from __future__ import annotations

import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from remediator.model.time import MINUTE, SECOND, Duration, Instant, format_duration
from remediator.runtime.beats import Beat, unwatched
from remediator.runtime.logs import Name
from remediator.runtime.loops import Wakes
from remediator.store.port import Store, StoreError

FOLLOW_EVERY_S = 10.0
WORTH_SAYING: Duration = 5 * SECOND
JUMP: Duration = MINUTE
"""How far this machine's clock may be set ahead at once and is believed right away."""
LASTS: Duration = 30 * SECOND
"""For how long a longer jump must have lasted. What is journalled is never taken back: no glitch may get there."""
SAME: Duration = SECOND
"""By how much a jump may change meanwhile: a clock is slewed by far less."""
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""That of Linux which goes on while the machine is suspended: what was asked before that is old afterwards."""


def wall() -> Instant:
    """What this machine takes for the time. The only place of a daemon that reads it, but for adapters' own limits."""
    return time.time_ns() // 1_000


def steady() -> Instant:
    """Microseconds that nobody sets: only their differences mean anything."""
    return time.clock_gettime_ns(STEADY) // 1_000


class PatientClock:
    """A wall clock that goes on steadily through a jump ahead, until that has lasted. Back it goes at once."""

    def __init__(self, wall: Callable[[], Instant], steady: Callable[[], Instant]) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()
        self._latest: Instant = 0
        self._claimed: tuple[Duration, Instant] | None = None

    def __call__(self) -> Instant:
        """Now."""
        steady = self._steady()
        ahead = self._wall() - steady
        known = max(self._latest, self._ahead + steady)  # no harm comes from a time that was told already
        if ahead + steady <= known + JUMP or self._has_lasted(ahead, steady):
            self._ahead, self._claimed = ahead, None
        self._latest = max(self._latest, self._ahead + steady)
        return self._ahead + steady

    def _has_lasted(self, ahead: Duration, steady: Instant) -> bool:
        if self._claimed is None or abs(ahead - self._claimed[0]) > SAME:
            self._claimed = ahead, steady
        return steady - self._claimed[1] >= LASTS


class DaemonClock:
    """This machine's clock until it has followed a store with a clock of its own; then that one, steadily."""

    def __init__(self, wall: Callable[[], Instant] = wall, steady: Callable[[], Instant] = steady) -> None:
        self._wall = wall
        self._steady = steady
        self._patient = PatientClock(wall, steady)
        self._ahead_of_steady: Duration | None = None

    def __call__(self) -> Instant:
        """Now."""
        return self._patient() if self._ahead_of_steady is None else self._ahead_of_steady + self._steady()

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
