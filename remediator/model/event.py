"""The event: one normalised fact, whatever format it came in.

Owns the field names that rules, journal, CLI and console share. Holds no format's knowledge.
"""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.model.time import Duration, Instant

UNMAPPED_INDEX = -1
"""`map_index` of a task instance that is not mapped, as Airflow has it."""


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What failed. Separate fields because any can be empty: a MemoryError has no message."""

    type: str | None = None
    message: str | None = None
    trace: str | None = None


class ConditionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state of infrastructure that holds from one event to another, such as a node that is not ready.

    name: the type of the event that begins it, 'node.not_ready'.
    scope: what it holds for: 'node/ip-10-0-3-7', 'instance/i-0abc', 'pod/etl/load-4k2'.
    active: False: it has ended.
    lifetime: how long it holds unless it is renewed or ended; 0: as long as the policy says.
    """

    name: str
    scope: str
    active: bool = True
    lifetime: Duration = 0


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact with its event time. `None` means that the producer did not say.

    type: 'task.started|failed|success|skipped', 'dagrun.started|failed|success', 'dataset.updated',
        'check.passed|failed', or any dotted word of a CloudEvents producer; 'task.failed_finally' is derived by us.
    deployment: '' until the deployment map has named one.
    datasets: 'namespace/name' each.
    attributes: what is not a field, by the producer's names; nested tables allowed.
    """

    type: str
    time: Instant
    source: str = ""
    namespace: str = ""
    deployment: str = ""
    subject: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int = UNMAPPED_INDEX
    try_number: int | None = None
    retries: int | None = None
    run_type: str | None = None
    logical_date: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    clear_number: int | None = None
    dag_version: int | None = None
    operator: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    error: ErrorInfo | None = None
    log_url: str | None = None
    job: str | None = None
    lineage_run: str | None = None
    parent_run: str | None = None
    root_job: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    condition: ConditionInfo | None = None
    attributes: dict[str, Any] = {}


TASK_TERMINAL = frozenset({"task.failed", "task.success", "task.skipped"})
DAGRUN_TERMINAL = frozenset({"dagrun.failed", "dagrun.success"})
TERMINAL = TASK_TERMINAL | DAGRUN_TERMINAL


def compact(event: Event) -> Event:
    """The event as a fact needs it: failures whole, the rest only its identity and times."""
    if event.type == "task.failed" or event.type not in TERMINAL:
        return event
    return Event(
        type=event.type,
        time=event.time,
        source=event.source,
        namespace=event.namespace,
        deployment=event.deployment,
        dag_id=event.dag_id,
        run_id=event.run_id,
        task_id=event.task_id,
        map_index=event.map_index,
        try_number=event.try_number,
        ended_at=event.ended_at,
        clear_number=event.clear_number,
        owner=event.owner if event.type == "dagrun.failed" else None,
        tags=event.tags if event.type == "dagrun.failed" else (),
    )
