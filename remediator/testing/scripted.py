"""A scripted scheduler: what it has of each dagrun, and the truth that it answers. Knows no clock."""

from __future__ import annotations

import msgspec

from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant
from remediator.model.truth import DagRunTruth, TaskTruth

Place = tuple[str, str, str]
"""(deployment, dag_id, run_id)."""


class Scheduled(msgspec.Struct):
    """What the scheduler has of one dagrun: the task instances that are not well."""

    state: str = "running"
    ended: Instant | None = None
    tasks: dict[tuple[str, int], TaskTruth] = {}


class Scheduler:
    """Every dagrun runs, and nothing of it is unwell, until something else is said."""

    def __init__(self) -> None:
        self._held: dict[Place, Scheduled] = {}
        self.paused: set[tuple[str, str]] = set()
        """(deployment, dag_id)."""

    def says(
        self, place: Place, task_id: str, state: str, try_number: int, now: Instant, *,
        map_index: int = UNMAPPED_INDEX, dagrun: str = "",
    ) -> None:  # fmt: skip
        """A task instance is so from now on; the dagrun follows from its task instances unless it is said."""
        held = self._held.setdefault(place, Scheduled())
        key = task_id, map_index
        if state == "success":
            held.tasks.pop(key, None)
        else:
            held.tasks[key] = _identified(TaskTruth(task_id, state, try_number, map_index=map_index))
        failed = any(task.state == "failed" for task in held.tasks.values())
        self._become(held, dagrun or ("failed" if failed else "running" if held.tasks else "success"), now)

    def has(self, truth: DagRunTruth, now: Instant) -> None:
        """The dagrun is so from now on, whatever was said before."""
        tasks = {(task.task_id, task.map_index): _identified(task) for task in truth.tasks}
        held = self._held[truth.deployment, truth.dag_id, truth.run_id] = Scheduled(tasks=tasks)
        self._become(held, truth.state, now)

    def ends(self, place: Place, state: str, now: Instant) -> None:
        """The dagrun ends; in success nothing of it is unwell."""
        held = self._held.setdefault(place, Scheduled())
        if state == "success":
            held.tasks.clear()
        self._become(held, state, now)

    def loses(self, place: Place) -> None:
        """The dagrun is not known any more."""
        self._held[place] = Scheduled(state="")

    def truth(self, place: Place) -> DagRunTruth:
        """The answer to a look."""
        held = self._held.setdefault(place, Scheduled())
        return DagRunTruth(*place, state=held.state, tasks=tuple(held.tasks.values()), ended_at=held.ended,
                           paused=place[:2] in self.paused)  # fmt: skip

    @staticmethod
    def _become(held: Scheduled, state: str, now: Instant) -> None:
        held.state = state
        held.ended = now if state in ("failed", "success") else None


def _identified(task: TaskTruth) -> TaskTruth:
    return msgspec.structs.replace(task, instance_id=f"{task.task_id}-{task.map_index}-{task.try_number}")
