"""Answers to actions, without performing any: looks by the record's own future, retries by what is assumed of them.

Owns the assumption. What was retried and is assumed to have helped is well from then on, whatever the record says.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from remediator.backtest.history import History, Name, Place
from remediator.model.action import Action, DryRun, LogTail, Look, Retry, Survey, Sweep
from remediator.model.inputs import Answer, Looked, Performed, Previewed, Surveyed, Swept, Tailed
from remediator.model.outcome import Delivered
from remediator.model.time import MINUTE, Duration, Instant
from remediator.model.truth import DagRunTruth, TaskTruth

TOOK: Duration = MINUTE
"""How long a cleared attempt is assumed to run."""


class Assume(StrEnum):
    """What becomes of retries: the cleared attempts run and succeed, or they stay failed as recorded."""

    HELPED = "helped"
    FAILED = "failed"


UNTOLD = "a record says nothing of this"


class Cleared(msgspec.Struct, frozen=True):
    """A task instance that was run again, and when."""

    at: Instant
    try_number: int


class Answers:
    """One drive's answers. Keeps one entry for each task instance that was retried."""

    def __init__(self, history: History, assume: Assume) -> None:
        self._history = history
        self._assume = assume
        self._cleared: dict[Place, dict[Name, Cleared]] = {}

    def to(self, action: Action, now: Instant) -> Answer | Performed:
        """What the outside would have answered."""
        params = action.params
        if isinstance(params, Look):
            truth = self._truth((action.target, params.dag_id, params.run_id), now)
            return Looked(action.id, action.key, params.run_id, truth)
        if isinstance(params, Sweep):
            return Swept(action.id, action.target, params.since, now)
        if isinstance(params, Survey):
            return Surveyed(action.id, action.target, error=UNTOLD)
        if isinstance(params, LogTail):
            return Tailed(action.id, action.key, error=UNTOLD)
        if isinstance(params, DryRun):
            return Previewed(action.id, action.key, error=UNTOLD)
        if isinstance(params, Retry) and self._assume is Assume.HELPED:
            cleared = self._cleared.setdefault((action.target, params.dag_id, params.run_id), {})
            for task in params.tasks:
                cleared[task.task_id, task.map_index] = Cleared(now, task.try_number + 1)
        return Performed(action.id, action.key, action.kind, Delivered(ref=action.id))

    def _truth(self, place: Place, now: Instant) -> DagRunTruth:
        truth = self._history.truth(*place, now)
        cleared = self._cleared.get(place)
        return truth if cleared is None else _helped(truth, cleared, now)


def _helped(truth: DagRunTruth, cleared: dict[Name, Cleared], now: Instant) -> DagRunTruth:
    tasks = [task for task in truth.tasks if (task.task_id, task.map_index) not in cleared]
    truth = msgspec.structs.replace(truth, proved=tuple(_proved(truth, cleared, now)))
    tasks += [
        TaskTruth(task_id, "running", one.try_number, map_index=index, instance_id=f"{task_id}-{index}-again")
        for (task_id, index), one in cleared.items()
        if now < one.at + TOOK
    ]
    if any(task.state in ("running", "up_for_retry") for task in tasks):
        return msgspec.structs.replace(truth, state="running", tasks=tuple(tasks), ended_at=None)
    if truth.state != "failed" or tasks:
        return msgspec.structs.replace(truth, tasks=tuple(tasks))
    ended = max(truth.ended_at or 0, *(one.at + TOOK for one in cleared.values()))
    return msgspec.structs.replace(truth, state="success", tasks=(), ended_at=ended)


def _proved(truth: DagRunTruth, cleared: dict[Name, Cleared], now: Instant) -> Iterator[TaskTruth]:
    """What was cleared is done at the try that the clear made."""
    yield from (task for task in truth.proved if (task.task_id, task.map_index) not in cleared)
    for (task_id, index), one in cleared.items():
        if now >= one.at + TOOK:
            yield TaskTruth(task_id, "success", one.try_number, map_index=index)
