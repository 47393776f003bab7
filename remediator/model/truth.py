"""Truths: what the scheduler answered when it was asked."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.model.event import UNMAPPED_INDEX
from remediator.model.time import Instant


class TaskTruth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task instance. `instance_id` changes at every try and clear."""

    task_id: str
    state: str
    try_number: int
    map_index: int = UNMAPPED_INDEX
    instance_id: str = ""
    max_tries: int = 0
    ended_at: Instant | None = None
    note: str = ""
    operator: str = ""


class DagRunTruth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dagrun as the scheduler has it.

    state: 'queued', 'running', 'success', 'failed', or '' if the scheduler does not know the dagrun.
    tasks: every task instance that is neither success, skipped nor removed; one that is missing here is done.
    complete: False if there were more task instances than the look may read. paused: its DAG is, so that nothing of it
    would run. tags: its DAG's; None: the scheduler would not say. Both are asked for only where a task instance failed.
    proved: of the task instances that the look was to prove those that are success or skipped; one that is in neither
    list is gone, or could not be read.
    """

    deployment: str
    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskTruth, ...] = ()
    ended_at: Instant | None = None
    complete: bool = True
    paused: bool = False
    proved: tuple[TaskTruth, ...] = ()
    tags: tuple[str, ...] | None = ()


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is wrong at the scheduler at the moment and that no event tells.

    type: of the event that begins it, 'pool.full'. ended: of the event that ends it, 'pool.free'; '' if nothing does.
    subject: what it is about, 'pool/default_pool'; with the type and the ids it makes the finding's identity.
    """

    type: str
    subject: str
    ended: str = ""
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    attributes: dict[str, Any] = {}


class DagRunRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dagrun that a sweep found worth a look."""

    dag_id: str
    run_id: str
    ended_at: Instant | None = None
