"""The gate before one deployment's API: so many calls at once, so many a second, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from remediator.actions.airflow.errors import NotSent


class Pace:
    """Calls spread evenly over time after a first burst of one second's worth. Pure: the caller has the clock."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = max(0.0, 1.0 - self._interval)
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        return max(0.0, self._next - self._burst - now)

    def spend(self, now: float) -> None:
        """A call starts."""
        self._next = max(self._next, now) + self._interval


class Gate:
    """At most `concurrency` calls hold it; after `longest_s` of waiting a call is NotSent.

    per_second: calls that start in a second; 0 sets no limit.
    """

    def __init__(self, concurrency: int, per_second: float, longest_s: float) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._pace = Pace(per_second)
        self._longest_s = longest_s

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a slot for one call and its retries. Raises NotSent."""
        until = _now() + self._longest_s
        await self._slot()
        try:
            await self._slow_down(until)
            yield
        finally:
            self._slots.release()

    def another(self) -> None:
        """A further request of a call that has its turn: those that come after it pay for it."""
        self._pace.spend(_now())

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(self._longest_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NotSent(f"too many calls are under way: none was done within {self._longest_s:g} s") from None

    async def _slow_down(self, until: float) -> None:
        wait = self._pace.wait(_now())
        if _now() + wait > until:
            raise NotSent(f"too many calls: the rate leaves no room within {self._longest_s:g} s")
        # Spent before the wait, so that those who wait meanwhile line up behind it.
        self._pace.spend(_now())
        if wait:
            await asyncio.sleep(wait)


def _now() -> float:
    return asyncio.get_running_loop().time()
