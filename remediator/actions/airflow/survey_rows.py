"""Rows of what a survey asks, the same in API v1 and v2. Unknown fields are ignored, wrong types refused."""

from __future__ import annotations

import msgspec

from remediator.model.event import UNMAPPED_INDEX


class ComponentRow(msgspec.Struct, frozen=True):
    """One component's health. status: 'healthy', 'unhealthy', None if it never ran, as where it is not deployed."""

    status: str | None = None
    latest_scheduler_heartbeat: str | None = None
    latest_triggerer_heartbeat: str | None = None
    latest_dag_processor_heartbeat: str | None = None

    @property
    def last_heartbeat(self) -> str | None:
        """Under whichever name it came."""
        return self.latest_scheduler_heartbeat or self.latest_triggerer_heartbeat or self.latest_dag_processor_heartbeat


class HealthRow(msgspec.Struct, frozen=True):
    """What the health endpoint tells, with status 200 whatever it is."""

    scheduler: ComponentRow
    metadatabase: ComponentRow = ComponentRow()
    triggerer: ComponentRow = ComponentRow()
    dag_processor: ComponentRow = ComponentRow()


class PoolUse(msgspec.Struct, frozen=True):
    """A pool and what is in it, in slots. slots, open_slots: -1 for no limit.

    queued: holds a slot and waits for a worker. scheduled: waits for a slot, or for another of Airflow's limits.
    """

    name: str
    slots: int
    open_slots: int
    occupied_slots: int = 0
    queued_slots: int = 0
    scheduled_slots: int = 0


class PoolPage(msgspec.Struct, frozen=True):
    """One page of pools."""

    pools: tuple[PoolUse, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[PoolUse, ...]:
        """The page's rows."""
        return self.pools


class ImportErrorRow(msgspec.Struct, frozen=True):
    """A file of DAGs that cannot be imported. filename: within the bundle (v2), absolute (v1)."""

    filename: str
    stack_trace: str = ""
    bundle_name: str | None = None
    timestamp: str | None = None


class ImportErrorPage(msgspec.Struct, frozen=True):
    """One page of import errors, oldest first."""

    import_errors: tuple[ImportErrorRow, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[ImportErrorRow, ...]:
        """The page's rows."""
        return self.import_errors


class QueuedDagRun(msgspec.Struct, frozen=True):
    """A dagrun that waits. queued_at: None in API v1, which does not tell."""

    dag_id: str
    dag_run_id: str
    run_type: str = ""
    queued_at: str | None = None


class QueuedDagRunPage(msgspec.Struct, frozen=True):
    """One page of waiting dagruns."""

    dag_runs: tuple[QueuedDagRun, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[QueuedDagRun, ...]:
        """The page's rows."""
        return self.dag_runs


class QueuedTask(msgspec.Struct, frozen=True):
    """A task instance that waits for a worker."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int = UNMAPPED_INDEX
    try_number: int = 0
    queued_when: str | None = None
    pool: str = ""
    queue: str | None = None


class QueuedTaskPage(msgspec.Struct, frozen=True):
    """One page of waiting task instances."""

    task_instances: tuple[QueuedTask, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[QueuedTask, ...]:
        """The page's rows."""
        return self.task_instances


class HeartbeatLoss(msgspec.Struct, frozen=True):
    """A line of the event log: the scheduler found an attempt without heartbeat and is about to fail it."""

    when: str
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None


class HeartbeatLossPage(msgspec.Struct, frozen=True):
    """One page of such lines, newest first."""

    event_logs: tuple[HeartbeatLoss, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[HeartbeatLoss, ...]:
        """The page's rows."""
        return self.event_logs


class PausedDag(msgspec.Struct, frozen=True):
    """A DAG that is paused."""

    dag_id: str
    is_paused: bool | None = True


class PausedDagPage(msgspec.Struct, frozen=True):
    """One page of paused DAGs."""

    dags: tuple[PausedDag, ...]
    total_entries: int = 0

    @property
    def rows(self) -> tuple[PausedDag, ...]:
        """The page's rows."""
        return self.dags
