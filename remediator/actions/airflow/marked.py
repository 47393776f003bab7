"""Did a person mark it failed? What the scheduler's event log tells of a failure that nobody wants healed.

Airflow writes the log before it acts: what somebody asked for counts as their wish. Several task instances that are
chosen on a page of Airflow 3 and marked at once are not logged at all (3.3.2): that wish cannot be known. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from remediator.actions.airflow.asked import Lines, asked_for
from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.rows import DagRunRow, TaskInstanceRow, instant_of
from remediator.model.time import SECOND, Duration, Instant

TASK, GROUP, DAGRUN, DAGRUNS = "patch_task_instance", "patch_task_group_instances", "patch_dag_run", "bulk_dag_runs"
EVENTS = (TASK, GROUP, DAGRUN, DAGRUNS)
"""Airflow's names of the calls that set a state by hand."""
FAILED = "failed"
TAKES: Duration = 30 * SECOND
"""How long after it is logged such a call may set what it sets."""
_BEYOND = ("include_upstream", "include_downstream", "include_future", "include_past")


class Wish(msgspec.Struct, frozen=True):
    """Somebody wants it to be failed. owner: who, as the scheduler names them."""

    owner: str
    what: str
    when: str

    def __str__(self) -> str:
        return f"{self.owner or 'somebody'} marked {self.what} failed at {self.when}"


def begun(row: TaskInstanceRow) -> Instant:
    """Since when a call can be about this try: what never ran gets its start with its end, by the call itself."""
    start, end = instant_of(row.start_date), instant_of(row.end_date)
    if start is not None and (end is None or start < end):
        return start
    return max(0, (end or start or 0) - TAKES)


def of_task(row: TaskInstanceRow, lines: Lines) -> Wish | None:
    """The wish that made this try fail, or that it stays so; lines: newest first."""
    since = begun(row)
    for line in _since(lines or (), since):
        if line.event in (TASK, GROUP) and _is_failed(line) and _names(line, row):
            return _wish(line, row.task_id)
    return _of_dagrun(row.dag_run_id, since, lines)


def of_dagrun(run: DagRunRow, lines: Lines) -> Wish | None:
    """The wish that made this dagrun fail, itself or a task of it, since it was queued last."""
    since = instant_of(run.queued_at) or 0
    if run.state != FAILED:
        return None
    for line in _since(lines or (), since):
        if line.event in (TASK, GROUP) and line.run_id == run.dag_run_id and _is_failed(line):
            return _wish(line, line.task_id or "a task of it")
    return _of_dagrun(run.dag_run_id, since, lines)


def _of_dagrun(run_id: str, since: Instant, lines: Lines) -> Wish | None:
    for line in _since(lines or (), since):
        state = _state_of(line, run_id)
        if state is not None:
            return _wish(line, "the dagrun") if state == FAILED else None
    return None


def _state_of(line: LogRow, run_id: str) -> str | None:
    """What the line wants the dagrun to be; None if it says nothing about that."""
    asked = asked_for(line)
    if line.event == DAGRUN and line.run_id == run_id:
        return _text(asked.get("state"))
    if line.event != DAGRUNS:
        return None
    wanted = (_text(one.get("state")) for one in _entities(asked) if one.get("dag_run_id") == run_id)
    return next((state for state in wanted if state is not None), None)


def _entities(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for action in asked.get("actions") or ():
        entities = action.get("entities") if isinstance(action, dict) else None
        yield from (one for one in entities or () if isinstance(one, dict))


def _names(line: LogRow, row: TaskInstanceRow) -> bool:
    """Is the line about this task instance? What it sets beside the one that it names is told by the time alone."""
    asked = asked_for(line)
    if any(_is_true(asked.get(name)) for name in _BEYOND):
        return _just_then(line, row)
    if line.run_id != row.dag_run_id:
        return False
    if line.event == GROUP:
        return row.task_id.startswith(f"{asked.get('group_id')}.") and _just_then(line, row)
    index = asked.get("map_index")
    return line.task_id == row.task_id and (index is None or str(index) == str(row.map_index))


def _just_then(line: LogRow, row: TaskInstanceRow) -> bool:
    ended = instant_of(row.end_date)
    return ended is not None and 0 <= ended - (instant_of(line.when) or 0) <= TAKES


def _since(lines: Sequence[LogRow], since: Instant) -> Iterator[LogRow]:
    return (line for line in lines if (instant_of(line.when) or 0) >= since)


def _is_failed(line: LogRow) -> bool:
    return asked_for(line).get("new_state") == FAILED


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _wish(line: LogRow, what: str) -> Wish:
    return Wish(line.owner or "", what, line.when)
