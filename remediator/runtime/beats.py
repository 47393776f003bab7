"""Beats: when each part of this process last went round, so that a probe can tell one that stands still.

Goes by steady time only: a clock that is set makes no part look stuck. Decides nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from remediator.model.time import MINUTE, SECOND, Duration, Instant, format_duration

STUCK_AFTER: Duration = 2 * MINUTE
"""For parts whose every turn asks the store or a broker once; each such wait is bounded by about a minute."""
SEVERAL_WAITS: Duration = 5 * MINUTE
"""For parts that ask the store several times in one turn: a store that is slow each time is no reason to restart."""
LONG_WORK: Duration = 10 * MINUTE
"""For a snapshot of a large store."""
LONG_CALL: Duration = 30 * MINUTE
"""For one turn to a target: a look at hundreds of dagruns is as many reads of a scheduler that may be slow."""

Beat = Callable[[], None]


def awake() -> Instant:
    """Microseconds that the machine was awake for: a suspended one makes no part look stuck."""
    return time.monotonic_ns() // 1_000


def unwatched() -> None:
    """The beat of a part that nobody watches."""


class Beats:
    """The parts of one process. steady: microseconds that nobody sets: only differences mean anything."""

    def __init__(self, steady: Callable[[], Instant] = awake) -> None:
        self._steady = steady
        self._parts: dict[str, tuple[Instant, Duration]] = {}
        self._calls: dict[object, tuple[str, Instant, Duration]] = {}

    def part(self, name: str, stuck_after: Duration = STUCK_AFTER) -> Beat:
        """Watch a part from now on. It calls what is returned at least each `stuck_after`, also while it waits."""

        def beat() -> None:
            self._parts[name] = self._steady(), stuck_after

        beat()
        return beat

    @contextlib.contextmanager
    def during(self, name: str, stuck_after: Duration) -> Iterator[None]:
        """Watch one call, of which several may be under way: it is to end within `stuck_after`."""
        call = object()
        self._calls[call] = name, self._steady(), stuck_after
        try:
            yield
        finally:
            del self._calls[call]

    def stuck(self) -> list[str]:
        """What stands still, and for how long, a text for each; empty if all is well."""
        now = self._steady()
        watched = [(name, now - at, allowed) for name, (at, allowed) in self._parts.items()]
        watched += [(name, now - at, allowed) for name, at, allowed in self._calls.values()]
        return [
            f"{name} for {format_duration(still // SECOND * SECOND)}"
            for name, still, allowed in watched
            if still >= allowed
        ]
