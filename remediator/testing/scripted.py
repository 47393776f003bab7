"""A scripted scheduler: what it has of each dagrun, and the truth that it answers. Knows no clock."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from remediator.engine.state import task_key
from remediator.model.action import Action, DryRun, Retry
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.inputs import Previewed
from remediator.model.time import Instant
from remediator.model.truth import DagRunTruth, TaskTruth

Place = tuple[str, str, str]
"""(deployment, dag_id, run_id)."""
MOST_NAMED = 20


class Scheduled(msgspec.Struct):
    """What the scheduler has of one dagrun: the task instances that are not well, and those that were and are."""

    state: str = "running"
    ended: Instant | None = None
    tasks: dict[tuple[str, int], TaskTruth] = {}
    done: dict[tuple[str, int], TaskTruth] = {}


class Scheduler:
    """Every dagrun runs, and nothing of it is unwell, until something else is said."""

    def __init__(self) -> None:
        self._held: dict[Place, Scheduled] = {}
        self.paused: set[tuple[str, str]] = set()
        """(deployment, dag_id)."""
        self.tags: dict[tuple[str, str], tuple[str, ...] | None] = {}
        """Of the DAGs that have some; None: it does not say."""

    def says(
        self, place: Place, task_id: str, state: str, try_number: int, now: Instant, *,
        map_index: int = UNMAPPED_INDEX, dagrun: str = "",
    ) -> None:  # fmt: skip
        """A task instance is so from now on; the dagrun follows from its task instances unless it is said."""
        held = self._held.setdefault(place, Scheduled())
        key = task_id, map_index
        if state == "success":
            self._finish(held, TaskTruth(task_id, state, try_number, map_index=map_index))
        else:
            held.tasks[key] = _identified(TaskTruth(task_id, state, try_number, map_index=map_index))
        failed = any(task.state == "failed" for task in held.tasks.values())
        self._become(held, dagrun or ("failed" if failed else "running" if held.tasks else "success"), now)

    def has(self, truth: DagRunTruth, now: Instant) -> None:
        """The dagrun is so from now on, whatever was said before. What is not said to be unwell is well by now."""
        held = self._held.setdefault((truth.deployment, truth.dag_id, truth.run_id), Scheduled())
        self._finish(held, *held.tasks.values(), *truth.proved)
        held.tasks = {(task.task_id, task.map_index): _identified(task) for task in truth.tasks}
        self._become(held, truth.state, now)

    def ends(self, place: Place, state: str, now: Instant) -> None:
        """The dagrun ends; in success nothing of it is unwell."""
        held = self._held.setdefault(place, Scheduled())
        if state == "success":
            self._finish(held, *held.tasks.values())
        self._become(held, state, now)

    def loses(self, place: Place) -> None:
        """The dagrun is not known any more."""
        self._held[place] = Scheduled(state="")

    def truth(self, place: Place, proving: Collection[str] = ()) -> DagRunTruth:
        """The answer to a look."""
        held = self._held.setdefault(place, Scheduled())
        done = (task for key, task in held.done.items() if key not in held.tasks)
        return DagRunTruth(*place, state=held.state, tasks=tuple(held.tasks.values()), ended_at=held.ended,
                           paused=place[:2] in self.paused, tags=self.tags.get(place[:2], ()),
                           proved=tuple(task for task in done if _name(task) in proving))  # fmt: skip

    @staticmethod
    def _finish(held: Scheduled, *tasks: TaskTruth) -> None:
        """At the try that was said, or at a later one that it was seen at."""
        for task in tasks:
            key = task.task_id, task.map_index
            known = (one.try_number for one in (held.tasks.get(key), held.done.get(key)) if one is not None)
            tried = max((task.try_number, *known))
            held.tasks.pop(key, None)
            held.done[key] = msgspec.structs.replace(task, state="success", try_number=tried)

    @staticmethod
    def _become(held: Scheduled, state: str, now: Instant) -> None:
        held.state = state
        held.ended = now if state in ("failed", "success") else None


def _name(task: TaskTruth) -> str:
    return task.task_id if task.map_index == UNMAPPED_INDEX else f"{task.task_id}[{task.map_index}]"


def _identified(task: TaskTruth) -> TaskTruth:
    return msgspec.structs.replace(task, instance_id=f"{task.task_id}-{task.map_index}-{task.try_number}")


def previewed(action: Action) -> Previewed:
    """A scheduler that would do what is asked: a retry clears its tasks, every other change touches one."""
    assert isinstance(action.params, DryRun)  # noqa: S101
    change = action.params.change
    if not isinstance(change, Retry):
        return Previewed(action.id, action.key, f"runs DAG {getattr(change, 'dag_id', '')} again", 1)
    names = [task_key(one.task_id, one.map_index) for one in change.tasks]
    what = f"{len(names)} task instance{'s' * (len(names) > 1)} of {change.dag_id} {change.run_id}"
    return Previewed(action.id, action.key, f"clears {what}: {', '.join(names[:MOST_NAMED])}", len(names))


def place_of(given: dict[str, str]) -> Place:
    """Of the words of a story; 'prod', 'sales' and 'r1' unless said. Raises TypeError."""
    if unknown := given.keys() - {"deployment", "dag_id", "run_id"}:
        raise TypeError(f"unknown words: {sorted(unknown)}")
    return given.get("deployment", "prod"), given.get("dag_id", "sales"), given.get("run_id", "r1")
