"""The driver: runs coroutines one pause at a time, in an order that a seed decides, on a clock that only it moves.

Owns crashes (a coroutine is closed where it stands) and stalls (it is not resumed for a while).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from random import Random
from typing import Any

from remediator.model.time import Instant
from remediator.store.port import StoreError

IDLE = "idle"
BUSY = "busy"


@types.coroutine
def switch(point: str) -> Generator[str, None, None]:
    """Let the driver decide who runs next; `point` names the place."""
    yield point


class Clock:
    """The virtual clock."""

    def __init__(self, now: Instant) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


def nothing() -> int:
    """What a thread awaits that only the clock wakes."""
    return 0


class Thread:
    """One coroutine of a process. An idle one wakes when time passes, or when what it `awaits` has changed."""

    def __init__(self, name: str, coroutine: Coroutine[Any, None, None], awaits: Callable[[], int]) -> None:
        self.name = name
        self.coroutine = coroutine
        self.awaits = awaits
        self.seen = 0
        self.idle = False
        self.point = ""


class Process:
    """Coroutines that die together, as those of one operating-system process do."""

    def __init__(self, name: str, boot: Callable[[Process], None]) -> None:
        self.name = name
        self.threads: list[Thread] = []
        self.stalled_until: Instant = 0
        self.down_until: Instant | None = None
        self._boot = boot

    def start(self) -> None:
        """Boot it, afresh after a crash."""
        self.down_until = None
        self._boot(self)

    def spawn(self, name: str, coroutine: Coroutine[Any, None, None], awaits: Callable[[], int] = nothing) -> None:
        """Add a coroutine that runs beside the others."""
        self.threads.append(Thread(name, coroutine, awaits))

    def kill(self, until: Instant) -> None:
        """SIGKILL: nothing of what it was doing goes on."""
        for thread in self.threads:
            thread.coroutine.close()
        self.threads.clear()
        self.down_until = until


class Driver:
    """Runs all processes. `fault` is asked after every step and may kill or stall the process that made it."""

    def __init__(self, random: Random, clock: Clock, fault: Callable[[Process, str], None]) -> None:
        self._random = random
        self._clock = clock
        self._fault = fault
        self.processes: list[Process] = []
        self.steps = 0

    def add(self, process: Process) -> None:
        """Start a process."""
        self.processes.append(process)
        process.start()

    def settle(self, limit: int) -> None:
        """Run until everyone who can run is idle, in a random order."""
        runnable, random = self._runnable(), self._random.random
        for _ in range(limit):
            if not runnable:
                self._wake_all()
                return
            if self._step(*runnable[int(random() * len(runnable))]):
                runnable = self._runnable()
        raise AssertionError(f"not settled after {limit} steps: something is spinning")

    def _runnable(self) -> list[tuple[Process, Thread]]:
        now = self._clock.now
        return [
            (process, thread)
            for process in self.processes
            if process.stalled_until <= now
            for thread in process.threads
            if not thread.idle
        ]

    def _wake_all(self) -> None:
        for process in self.processes:
            if process.stalled_until <= self._clock.now:
                for thread in process.threads:
                    thread.idle = False

    def _wake_who_awaited(self) -> None:
        for process in self.processes:
            for thread in process.threads:
                if thread.idle and thread.awaits() != thread.seen:
                    thread.idle = False

    def _step(self, process: Process, thread: Thread) -> bool:
        """One step of one thread. True if other threads can run now than before."""
        self.steps += 1
        try:
            point = str(thread.coroutine.send(None))
        except StopIteration:
            process.threads.remove(thread)
            return True
        thread.point = point
        if point == IDLE:
            thread.idle, thread.seen = True, thread.awaits()
        elif point == BUSY:
            self._wake_who_awaited()
        self._fault(process, point)
        return point in (IDLE, BUSY) or process.stalled_until > self._clock.now or not process.threads


class BrokenStore(StoreError):  # noqa: N818  (a state of affairs, as Fenced is)
    """An injected failure of the store."""
