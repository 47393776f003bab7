"""What the stand-in scheduler holds: dagruns of chained task instances, and what was changed beside them."""

from __future__ import annotations

import msgspec

from remediator.actions.airflow.rows import NO_STATE
from remediator.engine.state import task_key
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant

POOL = "small"
POOL_SLOTS = 10
DONE = frozenset({"success", "skipped", "removed"})


class Plan(msgspec.Struct, frozen=True):
    """How a task behaves. fails: how many of its tries fail in all; error: '' is silent on the last try.

    indexes: how many instances it is mapped to; 0: it is not mapped.
    """

    fails: int
    retries: int = 0
    error: str = "ConnectionError: connection reset by peer"
    silent: bool = False
    indexes: int = 0


class Instance(msgspec.Struct):
    """One task instance."""

    task_id: str
    plan: Plan
    map_index: int = UNMAPPED_INDEX
    state: str = NO_STATE
    try_number: int = 0
    max_tries: int = 0
    number: int = 0
    note: str = ""
    ended_at: Instant | None = None
    updated_at: Instant = 0
    cleared: dict[int, set[str]] = {}
    """try -> who cleared it."""
    marked: set[int] = set()
    """The tries that a person set to success."""
    story: list[tuple[Instant, str, int]] = []
    """(at, state, try) of every change."""

    @property
    def name(self) -> str:
        """As everybody calls it: 't1', or 't1[3]'."""
        return task_key(self.task_id, self.map_index)


class Changed(msgspec.Struct, frozen=True):
    """Something was given another value: 'pool small', or 'dag0' is paused. who: as in clears"""

    at: Instant
    thing: str
    before: int
    after: int
    who: str


class DagRun(msgspec.Struct):
    """One dagrun: a chain of tasks, some of them mapped."""

    deployment: str
    dag_id: str
    run_id: str
    instances: list[Instance]
    state: str = "running"
    ended_at: Instant | None = None
    updated_at: Instant = 0
    clears: int = 0
    note: str = ""
