"""What a change would do, in words for whoever has to approve it. Pure; texts are bounded, names come from Airflow."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from remediator.actions.airflow.rows import NO_STATE, TaskInstanceRow
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant, format_instant

NAMED_LIMIT = 10
"""How many things a text names."""


class Preview(msgspec.Struct, frozen=True):
    """One or two sentences, and how many task instances it would touch (0: none, or nobody knows).

    error: why nobody could say; the text is empty then.
    """

    text: str
    affects: int = 0
    error: str = ""


def of_clear(rows: Sequence[TaskInstanceRow], dag_id: str, run_id: str) -> Preview:
    """What a dry run of a clear listed."""
    where = f"of {dag_id} {run_id}"
    if not rows:
        return Preview(f"clears no task instance {where}")
    text = f"clears {counted(len(rows), 'task instance')} {where}: {named([instance(row) for row in rows])}"
    return Preview(text, len(rows))


def instance(row: TaskInstanceRow) -> str:
    """'load[3] (failed)'"""
    index = "" if row.map_index == UNMAPPED_INDEX else f"[{row.map_index}]"
    return f"{row.task_id}{index} ({row.state or NO_STATE})"


def named(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(names[:NAMED_LIMIT])
    return shown if len(names) <= NAMED_LIMIT else f"{shown} and {len(names) - NAMED_LIMIT} more"


def short_instant(moment: Instant) -> str:
    """'2026-03-02T00:00:00Z', with the fraction of the second if there is one."""
    return format_instant(moment).replace(".000000Z", "Z")


def counted(number: int, noun: str) -> str:
    """'1 dagrun', '3 dagruns'"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
