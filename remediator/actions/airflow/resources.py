"""DAGs, pools, backfills and the event log of API v2 as typed values. Unknown fields are ignored, as in `rows`."""

from __future__ import annotations

import msgspec


class TagRow(msgspec.Struct, frozen=True):
    """A tag of a DAG."""

    name: str


class DagRow(msgspec.Struct, frozen=True):
    """A DAG as the API has it.

    next_dagrun_data_interval_*: the interval that comes next; both ends are the same where dagruns have no interval.
    """

    dag_id: str
    is_paused: bool = False
    has_import_errors: bool = False
    is_stale: bool = False
    tags: tuple[TagRow, ...] | None = ()
    next_dagrun_data_interval_start: str | None = None
    next_dagrun_data_interval_end: str | None = None


class PoolRow(msgspec.Struct, frozen=True):
    """A pool as the API has it. slots: -1 for any number."""

    name: str
    slots: int
    include_deferred: bool = False
    occupied_slots: int = 0
    queued_slots: int = 0


class BackfillRow(msgspec.Struct, frozen=True):
    """A backfill as the API has it. completed_at: None while it is open, up to half a minute after its last dagrun."""

    id: int
    dag_id: str
    from_date: str
    to_date: str
    reprocess_behavior: str
    created_at: str
    completed_at: str | None = None
    is_paused: bool = False


class BackfillPage(msgspec.Struct, frozen=True):
    """The latest backfills of one DAG, newest first."""

    backfills: tuple[BackfillRow, ...]


class PlannedDagRun(msgspec.Struct, frozen=True):
    """One dagrun that a backfill would create or run again. logical_date: None if its schedule has no dates."""

    logical_date: str | None = None


class BackfillPlan(msgspec.Struct, frozen=True):
    """What a backfill's dry run lists."""

    backfills: tuple[PlannedDagRun, ...]


class LogRow(msgspec.Struct, frozen=True):
    """One line of the event log. extra: what was asked for, as JSON; it does not say that it happened.

    is_noteless: of API v1, where a clear is asked for without its note.
    """

    when: str
    event: str
    run_id: str | None = None
    task_id: str | None = None
    owner: str | None = None
    extra: str | None = None
    is_noteless: bool = False


class LogPage(msgspec.Struct, frozen=True):
    """Lines of the event log, newest first."""

    event_logs: tuple[LogRow, ...]
    total_entries: int | None = None


class Count(msgspec.Struct, frozen=True):
    """How many there are; the page itself is not wanted."""

    total_entries: int
