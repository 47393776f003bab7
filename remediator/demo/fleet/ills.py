"""What can be wrong with a stand-in beside failing tasks: components, pools, files, lost heartbeats, logs. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant

LOSSES_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class PoolUse:
    """The slots of a pool that are in use, by the state of what uses or wants them."""

    running: int = 0
    queued: int = 0
    scheduled: int = 0


@dataclass(frozen=True, slots=True)
class ImportFault:
    """A file that cannot be imported."""

    filename: str
    stack_trace: str
    bundle: str = "dags-folder"


@dataclass(frozen=True, slots=True)
class HeartbeatLoss:
    """The scheduler noticed that this attempt gives no heartbeat."""

    at: Instant
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = UNMAPPED_INDEX
    try_number: int = 1


@dataclass(slots=True)
class Ills:
    """Of one deployment. silent: since when a component gives no heartbeat. absent: components that never ran.

    logs: the lines of a try's log, by (task_id, try); lines are what Airflow 3 has, as dictionaries.
    """

    silent: dict[str, Instant] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    pools: dict[str, PoolUse] = field(default_factory=dict)
    import_faults: list[ImportFault] = field(default_factory=list)
    losses: deque[HeartbeatLoss] = field(default_factory=lambda: deque(maxlen=LOSSES_KEPT))
    logs: dict[tuple[str, int], list[dict[str, object]]] = field(default_factory=dict)
