"""What is wrong, from the rows of a survey. Pure; types and attributes are what the airflow-scheduler rules read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from remediator.actions.airflow.rows import instant_of
from remediator.actions.airflow.survey_rows import (
    ComponentRow,
    HealthRow,
    HeartbeatLoss,
    ImportErrorRow,
    PausedDag,
    PoolUse,
    QueuedDagRun,
    QueuedTask,
)
from remediator.actions.airflow.text import Mask, last_line
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.globs import any_covers
from remediator.model.time import SECOND, Duration, Instant
from remediator.model.truth import Finding

MAX_FINDINGS = 200
MESSAGE_CHARS = 500
SUBJECT_CHARS = 512
NO_LIMIT = -1
UNHEALTHY = "unhealthy"
HOME_BUNDLE = "dags-folder"
"""The bundle that Airflow has unless it is configured otherwise: its files need no further name."""
INCOMPLETE, COMPLETE = "survey.incomplete", "survey.complete"


def of_health(health: HealthRow) -> list[Finding]:
    """Components that ran and give no heartbeat. One that never ran is not deployed, which is no fault."""
    parts = (("scheduler", health.scheduler), ("triggerer", health.triggerer), ("dag_processor", health.dag_processor))
    return [_unhealthy(name, part, health) for name, part in parts if part.status == UNHEALTHY]


def of_pools(pools: Iterable[PoolUse]) -> list[Finding]:
    """Pools without an open slot that something waits for, the most wanted first.

    queued: everything that waits. Airflow queues only what a pool has room for, so that what waits for a full pool is
    'scheduled' there; `starting` is what holds a slot and waits for a worker.
    """
    full = [pool for pool in pools if pool.slots > NO_LIMIT and pool.open_slots <= 0 and _waiting(pool)]
    return [_full(pool) for pool in sorted(full, key=lambda pool: (-_waiting(pool), pool.name))]


def of_import_errors(rows: Iterable[ImportErrorRow], mask: Mask) -> list[Finding]:
    """Files that cannot be imported, in the order given."""
    return [
        Finding(
            "import_error.found",
            _file(row)[:SUBJECT_CHARS],
            "import_error.gone",
            attributes={"message": last_line(row.stack_trace, MESSAGE_CHARS, mask)},
        )
        for row in rows
    ]


def overdue_dagruns(rows: Iterable[QueuedDagRun], now: Instant, limit: Duration) -> list[tuple[QueuedDagRun, Duration]]:
    """Those that have waited for too long, with how long; the longest first."""
    waits = [(row, now - queued) for row in rows if (queued := instant_of(row.queued_at)) is not None]
    return sorted((wait for wait in waits if wait[1] >= limit), key=lambda wait: -wait[1])


def of_dagruns(waits: Iterable[tuple[QueuedDagRun, Duration]], paused: Collection[str]) -> list[Finding]:
    """Dagruns that wait for too long. One of a paused DAG waits because somebody wants it to."""
    return [
        Finding(
            "dagrun.queued_too_long",
            f"dagrun/{row.dag_id}/{row.dag_run_id}"[:SUBJECT_CHARS],
            dag_id=row.dag_id,
            run_id=row.dag_run_id,
            attributes={"queued_for": wait // SECOND, "run_type": row.run_type},
        )
        for row, wait in waits
        if row.dag_id not in paused
    ]


def of_tasks(rows: Iterable[QueuedTask], now: Instant, limit: Duration) -> list[Finding]:
    """Task instances that have waited for a worker for too long, the longest first."""
    waits = [(now - queued, row) for row in rows if (queued := instant_of(row.queued_when)) is not None]
    late = sorted((wait for wait in waits if wait[0] >= limit), key=lambda wait: -wait[0])
    return [_queued_task(row, wait) for wait, row in late]


def of_heartbeats(rows: Iterable[HeartbeatLoss]) -> list[Finding]:
    """Attempts that the scheduler itself found without heartbeat, each once, the latest first."""
    found = {_identity(row): row for row in reversed(list(rows)) if row.dag_id and row.task_id}
    return [_no_heartbeat(row) for row in reversed(found.values())]


def of_paused(rows: Iterable[PausedDag], must_run: Sequence[str]) -> list[Finding]:
    """Paused DAGs that fit a glob of those that must not be."""
    return [
        Finding("dag.paused_unexpectedly", f"dag/{row.dag_id}"[:SUBJECT_CHARS], dag_id=row.dag_id)
        for row in rows
        if row.is_paused and any_covers(must_run, row.dag_id)
    ]


def incomplete(part: str, types: Sequence[str], why: str) -> Finding:
    """This part of the survey has no answer: about findings of these types nothing is known."""
    return Finding(INCOMPLETE, f"survey/{part}", COMPLETE, attributes={"types": list(types), "error": why})


def bounded(parts: Sequence[Sequence[Finding]], most: int = MAX_FINDINGS) -> tuple[Finding, ...]:
    """At most so many, part by part in their order. What is cut is cut from the longest parts: none hides another."""
    kept = [0] * len(parts)
    for rank in range(max(map(len, parts), default=0)):
        for number, part in enumerate(parts):
            if rank < len(part) and sum(kept) < most:
                kept[number] += 1
    return tuple(one for number, part in enumerate(parts) for one in part[: kept[number]])


def _unhealthy(name: str, part: ComponentRow, health: HealthRow) -> Finding:
    attributes = {"last_heartbeat": part.last_heartbeat} if part.last_heartbeat else {}
    if health.metadatabase.status == UNHEALTHY:
        attributes["metadatabase"] = UNHEALTHY
    return Finding(f"{name}.unhealthy", name, f"{name}.healthy", attributes=attributes)


def _waiting(pool: PoolUse) -> int:
    return pool.queued_slots + pool.scheduled_slots


def _full(pool: PoolUse) -> Finding:
    attributes = {
        "slots": pool.slots,
        "occupied": pool.occupied_slots,
        "queued": _waiting(pool),
        "starting": pool.queued_slots,
    }
    return Finding("pool.full", f"pool/{pool.name}"[:SUBJECT_CHARS], "pool.free", attributes=attributes)


def _file(row: ImportErrorRow) -> str:
    return row.filename if row.bundle_name in (None, "", HOME_BUNDLE) else f"{row.bundle_name}/{row.filename}"


def _queued_task(row: QueuedTask, wait: Duration) -> Finding:
    attributes = {"queued_for": wait // SECOND, "pool": row.pool, "try_number": row.try_number}
    return Finding(
        "task.queued_too_long",
        _subject(row.dag_id, row.dag_run_id, row.task_id, row.map_index),
        dag_id=row.dag_id,
        run_id=row.dag_run_id,
        task_id=row.task_id,
        attributes=attributes if row.queue is None else {**attributes, "queue": row.queue},
    )


def _no_heartbeat(row: HeartbeatLoss) -> Finding:
    dag_id, run_id, task_id, map_index, try_number = _identity(row)
    return Finding(
        "task.no_heartbeat",
        _subject(dag_id, run_id, task_id, map_index),
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        attributes={"found_at": row.when, "try_number": try_number},
    )


def _identity(row: HeartbeatLoss) -> tuple[str, str, str, int, int]:
    index = UNMAPPED_INDEX if row.map_index is None else row.map_index
    return row.dag_id or "", row.run_id or "", row.task_id or "", index, row.try_number or 0


def _subject(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    index = "" if map_index == UNMAPPED_INDEX else f"/{map_index}"
    return f"task/{dag_id}/{run_id}/{task_id}"[: SUBJECT_CHARS - len(index)] + index
