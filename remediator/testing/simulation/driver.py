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


class Thread:
    """One coroutine of a process."""

    def __init__(self, name: str, coroutine: Coroutine[Any, None, None]) -> None:
        self.name = name
        self.coroutine = coroutine
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

    def spawn(self, name: str, coroutine: Coroutine[Any, None, None]) -> None:
        """Add a coroutine that runs beside the others."""
        self.threads.append(Thread(name, coroutine))

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
        for _ in range(limit):
            runnable = [
                (process, thread)
                for process in self.processes
                if process.stalled_until <= self._clock.now
                for thread in process.threads
            ]
            waiting = [(process, thread) for process, thread in runnable if not thread.idle]
            if not waiting:
                for _, thread in runnable:
                    thread.idle = False
                return
            self._step(*waiting[self._random.randrange(len(waiting))])
        raise AssertionError(f"not settled after {limit} steps: something is spinning")

    def _step(self, process: Process, thread: Thread) -> None:
        self.steps += 1
        try:
            point = thread.coroutine.send(None)
        except StopIteration:
            process.threads.remove(thread)
            return
        thread.point = str(point)
        if point == IDLE:
            thread.idle = True
        elif point == BUSY:
            for other in self.processes:
                for each in other.threads:
                    each.idle = False
        self._fault(process, str(point))


class BrokenStore(StoreError):
    """An injected failure of the store."""
