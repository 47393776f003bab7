"""What the record says later: the answers that the scheduler would have given, per dagrun and task instance.

Owns which facts are kept and what they mean for a moment of virtual time. Reads nothing, decides nothing for the core.
Kept are failures, whatever a task instance does from its second try on, and the ends of dagruns: about 500 bytes for
each dagrun and 400 for each of those facts (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from sys import intern

import msgspec

from remediator.model.event import UNMAPPED_INDEX, Event
from remediator.model.time import HOUR, Duration, Instant
from remediator.model.truth import DagRunTruth, TaskTruth

UNSAID: Duration = HOUR
"""A failure so shortly before the record's end, with retries left, may have had a later try that is not recorded."""
NEVER: Instant = 2**62

Place = tuple[str, str, str]
"""(deployment, dag_id, run_id)."""
Name = tuple[str, int]
"""(task_id, map_index)."""

_STATES = {
    "task.started": "running",
    "task.failed": "failed",
    "task.success": "success",
    "task.skipped": "skipped",
    "dagrun.started": "running",
    "dagrun.failed": "failed",
    "dagrun.success": "success",
}
_RANKS = {"running": 0}
_MOVING = frozenset({"running", "up_for_retry"})
_WELL = frozenset({"success", "skipped", "removed"})


class Said(msgspec.Struct, frozen=True, gc=False):
    """From `at` on the record has this try so. retries: what the task may do by itself, None if it was not said."""

    at: Instant
    try_number: int
    state: str
    retries: int | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """From `at` on the record has the dagrun so. ended_at: the end that it names."""

    at: Instant
    state: str
    ended_at: Instant | None = None


class History:
    """Filled with every event of the record, then asked."""

    def __init__(self) -> None:
        self.last: Instant = 0
        self._tasks: dict[Place, dict[Name, list[Said] | tuple[Said, ...]]] = {}
        self._ends: dict[Place, list[Ended]] = {}

    def add(self, deployment: str, event: Event, received: Instant) -> None:
        """Keep what a look may need. An event from the future counts from when it was received."""
        state = _STATES.get(event.type)
        if state is None or event.dag_id is None or event.run_id is None:
            return
        place, at = (deployment, event.dag_id, event.run_id), min(event.time, received)
        if event.task_id is None:
            self._add_dagrun(place, event, state, at)
            return
        name, number = (event.task_id, event.map_index), event.try_number or 1
        if state == "failed" or number > 1 or name in self._tasks.get(place, ()):  # else it goes well at once
            self._add_try(place, name, Said(at, number, state, event.retries))

    def _add_try(self, place: Place, name: Name, said: Said) -> None:
        tasks = self._tasks.get(place)
        if tasks is None:
            tasks = self._tasks[_shared(place)] = {}
        tasks[name] = [*tasks.get(name, ()), said]

    def _add_dagrun(self, place: Place, event: Event, state: str, at: Instant) -> None:
        ends = self._ends.get(place)
        if state == "running":
            if ends is not None:
                ends.append(Ended(at, state))
            return
        ended = Ended(at, state, min(event.ended_at or event.time, at))
        self._ends[_shared(place)] = [ended] if ends is None else [*ends, ended]
        self._add_final_states(place, event.attributes.get("tasks_state"), at)

    def _add_final_states(self, place: Place, states: object, at: Instant) -> None:
        """Killed tasks raise no event, and what is marked by hand neither: only the dagrun's end tells of them."""
        for task_id, state in states.items() if isinstance(states, dict) else ():
            tasks = self._tasks.get(place, {})
            if state == "failed":
                indexes = [name for name in tasks if name[0] == task_id]
                if not any(_failed_last(tasks[name]) for name in indexes):
                    tries = [said.try_number for name in indexes for said in tasks[name]]
                    self._add_try(place, (task_id, UNMAPPED_INDEX), Said(at, max(tries, default=1), "failed"))
            elif state in _WELL and _failed_last(tasks.get((task_id, UNMAPPED_INDEX), ())):
                last = max(said.try_number for said in tasks[task_id, UNMAPPED_INDEX])
                self._add_try(place, (task_id, UNMAPPED_INDEX), Said(at, last, state))

    # -- asking ---------------------------------------------------------------------------------------------------

    def truth(self, deployment: str, dag_id: str, run_id: str, now: Instant) -> DagRunTruth:
        """The dagrun as its scheduler had it then. What the record never ends is running."""
        place = (deployment, dag_id, run_id)
        ends = self._ends.get(place, [])
        last = max((one for one in ends if one.at <= now), key=lambda one: one.at, default=Ended(0, "running"))
        over = last.at if last.state != "running" else 0
        tasks = tuple(self._tasks_at(place, ends, now, over))
        moves = any(task.state in _MOVING for task in tasks)
        done = tuple(self._done_at(place, now))
        if last.state == "running" or moves:
            return DagRunTruth(*place, state="running", tasks=tasks, proved=done)
        return DagRunTruth(*place, state=last.state, tasks=tasks, ended_at=last.ended_at, proved=done)

    def _done_at(self, place: Place, now: Instant) -> Iterator[TaskTruth]:
        for (task_id, index), said in self._tasks.get(place, {}).items():
            last = max((one for one in said if one.at <= now), key=_order, default=None)
            if last is not None and last.state in _WELL:
                yield TaskTruth(task_id, last.state, last.try_number, map_index=index)

    def _tasks_at(self, place: Place, ends: Sequence[Ended], now: Instant, over: Instant) -> Iterator[TaskTruth]:
        """over: when the dagrun ended: what was under way before has ended too, whatever became of its event."""
        tasks = self._tasks.get(place, {})
        for name, said in tasks.items():
            if isinstance(said, list):
                said = tasks[name] = settled(said, ends, self.last)
            last = max((one for one in said if one.at <= now), key=_order, default=None)
            if last is None or last.state in _WELL or (last.state in _MOVING and last.at < over):
                continue
            task_id, index = name
            yield TaskTruth(
                task_id,
                last.state,
                last.try_number,
                map_index=index,
                instance_id=f"{task_id}-{index}-{last.try_number}",
                ended_at=last.at if last.state == "failed" else None,
            )


def settled(tries: Iterable[Said], ends: Sequence[Ended], last: Instant) -> tuple[Said, ...]:
    """Every failure told apart: 'failed' if nothing runs again by itself, else 'up_for_retry'. last: the record's end.

    It is final when retries are spent, the dagrun ended before the next try (which somebody's clear then made), or no
    next try is recorded, unless the record ends too early to say.
    """
    ordered, found, base = sorted(tries, key=_order), list[Said](), 0
    for number, said in enumerate(ordered):
        if said.state != "failed":
            found.append(said)
            continue
        later = min((one.at for one in ordered[number:] if one.try_number > said.try_number), default=NEVER)
        if _is_final(said, later, base, ends, last):
            base = said.try_number
            found.append(said)
        else:
            found.append(Said(said.at, said.try_number, "up_for_retry", said.retries))
    return tuple(found)


def _is_final(said: Said, later: Instant, base: int, ends: Sequence[Ended], last: Instant) -> bool:
    if any(said.at <= end.at < later for end in ends if end.state != "running"):
        return True
    if said.retries is not None and said.try_number - base > said.retries:
        return True
    return later == NEVER and (said.retries is None or last - said.at > UNSAID)


def _shared(place: Place) -> Place:
    """With the strings that many dagruns have in common kept once."""
    deployment, dag_id, run_id = place
    return intern(deployment), intern(dag_id), run_id


def _order(said: Said) -> tuple[int, int, Instant]:
    return said.try_number, _RANKS.get(said.state, 1), said.at


def _failed_last(said: Sequence[Said]) -> bool:
    return bool(said) and max(said, key=_order).state == "failed"
