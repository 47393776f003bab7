"""What a change would do, in words for whoever has to approve it. Pure; texts are bounded, names come from Airflow."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from remediator.actions.airflow.rows import NO_STATE, TaskInstanceRow
from remediator.actions.port import Preview
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.outcome import Refused
from remediator.model.time import Instant, format_instant

NAMED_LIMIT = 20
"""How many things a text names."""
DOWNSTREAM = "downstream"
"""What is not named itself, but follows from what is."""


Name = tuple[str, int]
"""(task_id, map_index), UNMAPPED_INDEX for the whole task."""


def of_clear(
    rows: Sequence[TaskInstanceRow],
    dag_id: str,
    run_id: str,
    *,
    meant: Collection[Name] | None = None,
    refused: Refused | None = None,
) -> Preview:
    """What a dry run of a clear listed. meant: what it names; the rest follows from it and comes last. None: all.

    Airflow's own order changes from one call to the next: what failed comes first, then by name.
    """
    where = f"of {dag_id} {run_id}"
    if not rows:
        return Preview(f"clears no task instance {where}", refused=reason_of(refused))
    ordered = sorted(rows, key=lambda row: (_follows(row, meant), row.state != "failed", row.task_id, row.map_index))
    names = named([instance(row, DOWNSTREAM if _follows(row, meant) else "") for row in ordered])
    text = f"clears {counted(len(rows), 'task instance')} {where}: {names}"
    return Preview(text, len(rows), reason_of(refused))


def _follows(row: TaskInstanceRow, meant: Collection[Name] | None) -> bool:
    names = {(row.task_id, row.map_index), (row.task_id, UNMAPPED_INDEX)}
    return meant is not None and names.isdisjoint(meant)


def reason_of(refused: Refused | None) -> str:
    """'' for none."""
    return "" if refused is None else refused.reason


def instance(row: TaskInstanceRow, more: str = "") -> str:
    """'load[3] (failed)', 'end (upstream_failed, downstream)'; without a state where a dry run of API v1 tells none."""
    index = "" if row.map_index == UNMAPPED_INDEX else f"[{row.map_index}]"
    state = row.state or (NO_STATE if row.id else "")
    said = ", ".join(part for part in (state, more) if part)
    return f"{row.task_id}{index} ({said})" if said else f"{row.task_id}{index}"


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
