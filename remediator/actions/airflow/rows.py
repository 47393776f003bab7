"""Rows of API v2 as typed values, and what they mean as truths. Unknown fields are ignored, wrong types refused."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from remediator.actions.airflow.errors import TEXT_LIMIT, Lost
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, parse_instant
from remediator.model.truth import TaskTruth

_T = TypeVar("_T")
NO_STATE = "none"
"""How a truth spells Airflow's null state: known to the scheduler, not scheduled yet."""
DONE_STATES = frozenset({"success", "skipped", "removed"})
PROVING_STATES = ("success", "skipped")
"""Those of a task instance that was done, and not taken away."""
OVER_STATES = frozenset({"success", "failed"})
"""Dagruns in these states are over; in any other Airflow still works on them."""
UNFINISHED_STATES: tuple[str | None, ...] = (
    None,
    "scheduled",
    "queued",
    "running",
    "restarting",
    "failed",
    "up_for_retry",
    "up_for_reschedule",
    "upstream_failed",
    "deferred",
    "awaiting_input",
)
"""Every state of Airflow 3.3 that is not in DONE_STATES, null among them."""


class TaskInstanceRow(msgspec.Struct, frozen=True):
    """A task instance as the API has it. `id` changes at every try and at every clear; '': it is no more than named."""

    id: str
    task_id: str
    dag_id: str
    dag_run_id: str
    map_index: int = UNMAPPED_INDEX
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    start_date: str | None = None
    end_date: str | None = None
    note: str | None = None
    operator: str | None = None


class DagRunRow(msgspec.Struct, frozen=True):
    """A dagrun as the API has it."""

    dag_run_id: str
    dag_id: str
    state: str
    end_date: str | None = None
    logical_date: str | None = None
    data_interval_start: str | None = None
    queued_at: str | None = None
    run_type: str = ""
    note: str | None = None
    last_scheduling_decision: str | None = None


class TaskInstancePage(msgspec.Struct, frozen=True):
    """One page. total_entries counts all pages; next_cursor is None on the last one."""

    task_instances: tuple[TaskInstanceRow, ...]
    total_entries: int | None = None
    next_cursor: str | None = None

    @property
    def rows(self) -> tuple[TaskInstanceRow, ...]:
        """The page's rows, under the name that both kinds of page share."""
        return self.task_instances


class DagRunPage(msgspec.Struct, frozen=True):
    """One page of dagruns."""

    dag_runs: tuple[DagRunRow, ...]
    total_entries: int | None = None
    next_cursor: str | None = None

    @property
    def rows(self) -> tuple[DagRunRow, ...]:
        """The page's rows, under the name that both kinds of page share."""
        return self.dag_runs


class TokenAnswer(msgspec.Struct, frozen=True):
    """What /auth/token answers."""

    access_token: str


class _ErrorAnswer(msgspec.Struct, frozen=True):
    """detail: of v2, and of v1 if it has more to say than its title."""

    detail: Any = None
    title: Any = None


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a body raises that is no JSON of the type: its bytes may be no text, and nested without end."""


def decoded(body: bytes, kind: type[_T]) -> _T:
    """An answer as this type. Raises Lost: whoever answers so may have acted all the same."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as fault:
        raise Lost(f"the answer is not what API v2 says: {str(fault)[:120]}") from None


def instant_of(text: str | None) -> Instant | None:
    """An API timestamp -> Instant; None if it is absent or unreadable."""
    try:
        return parse_instant(text) if text else None
    except ValueError:
        return None


def instant_of_date(header: str | None) -> Instant | None:
    """An HTTP Date header -> Instant at whole seconds; None if it is absent or unreadable."""
    try:
        return parse_instant(parsedate_to_datetime(header).isoformat()) if header else None
    except ValueError:
        return None


def task_truth(row: TaskInstanceRow) -> TaskTruth:
    """What the row says, in our words."""
    return TaskTruth(
        task_id=row.task_id,
        state=row.state or NO_STATE,
        try_number=row.try_number,
        map_index=row.map_index,
        instance_id=row.id,
        max_tries=row.max_tries,
        ended_at=instant_of(row.end_date),
        note=row.note or "",
        operator=row.operator or "",
    )


def error_text(body: bytes) -> str:
    """The reason in an error answer, one bounded line. What was sent is never repeated (it may hold secrets)."""
    try:
        answer = msgspec.json.decode(body, type=_ErrorAnswer)
    except UNREADABLE:
        return ""
    return " ".join((_detail_text(answer.detail) or _detail_text(answer.title)).split())[:TEXT_LIMIT]


def _detail_text(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    if isinstance(detail, dict):
        return str(detail.get("reason") or detail.get("message") or "")
    if isinstance(detail, list):
        return "; ".join(_fault_text(item) for item in detail if isinstance(item, dict))
    return ""


def _fault_text(item: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in item.get("loc") or ())
    return f"{place}: {item.get('msg', '')}"
