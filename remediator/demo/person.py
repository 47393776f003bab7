"""The person who does something by hand now and then: clears a failure before the daemon does, or fixes one.

Owns when and what. Acts through the virtual scheduler, as a click in Airflow's console does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from remediator.demo.fleet.state import DagRun
from remediator.demo.fleet.world import World
from remediator.model.time import SECOND, Duration, Instant

LOOKS_EVERY_S = 0.25
CLEARS_EVERY: Duration = 15 * SECOND
CLEARS_WITHIN: Duration = 1 * SECOND
"""So soon after the failure that the daemon still waits: the race that it must notice it lost."""
FIXES_EVERY: Duration = 20 * SECOND
FIXES_AFTER: Duration = 12 * SECOND
"""Long enough for the page to have arrived."""


class Person:
    """One operator for all deployments. cleared, fixed: how many dagruns so far."""

    def __init__(self, worlds: Iterable[World], clock: Callable[[], Instant]) -> None:
        self._worlds = list(worlds)
        self._clock = clock
        self._clears_at = self._fixes_at = clock() + 10 * SECOND
        self.cleared = 0
        self.fixed = 0

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            self.look(self._clock())
            await asyncio.sleep(LOOKS_EVERY_S)

    def look(self, now: Instant) -> None:
        """Do what there is to do at this moment: at most one clear and one fix."""
        for world in self._worlds:
            for run in list(world.state.runs.values()):
                if run.state == "failed" and run.end_date is not None:
                    self._consider(world, run, now - run.end_date, now)

    def _consider(self, world: World, run: DagRun, age: Duration, now: Instant) -> None:
        failed = [instance for instance in run.tasks.values() if instance.state == "failed"]
        if len(failed) != 1:
            return
        if age <= CLEARS_WITHIN and now >= self._clears_at and failed[0].task_id == "extract":
            self._clears_at = now + CLEARS_EVERY
            self.cleared += 1
            world.person_clears(run.dag_id, run.run_id, now, "cleared by hand")
        elif age >= FIXES_AFTER and now >= self._fixes_at and failed[0].task_id == "transform":
            self._fixes_at = now + FIXES_EVERY
            self.fixed += 1
            world.person_marks(run.dag_id, run.run_id, failed[0].task_id, "success", now)
