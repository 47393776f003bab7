"""Which task instances a retry of each scope clears, and whether that is more than it may. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from remediator.actions.airflow.note import merged
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.routes import Clearing
from remediator.actions.airflow.rows import TaskInstanceRow
from remediator.actions.airflow.verdict import too_many
from remediator.model.action import Retry, RetryTarget
from remediator.model.globs import covers
from remediator.model.outcome import Refused

GROUP = "group"
DAGRUN = "dagrun"
REMOVED = "removed"
UPSTREAM_FAILED = "upstream_failed"


class Plan(msgspec.Struct, frozen=True):
    """The clear to send. note: what it leaves on all that it touches."""

    clearing: Clearing
    note: str


def group_of(target: RetryTarget) -> str:
    """Its innermost task group, if its members can be told by their ids: a dot alone makes no group."""
    return target.group if target.group and target.task_id.startswith(f"{target.group}.") else ""


def in_groups(targets: Sequence[RetryTarget], rows: Sequence[TaskInstanceRow]) -> tuple[RetryTarget, ...]:
    """Every task of the targets' innermost groups, those of groups within them too; a target in no group is itself.

    Whole tasks: all indices of a mapped one. What the DAG no longer has is left out.
    """
    groups = tuple(f"{group}." for target in targets if (group := group_of(target)))
    members = {row.task_id for row in rows if row.state != REMOVED and groups and row.task_id.startswith(groups)}
    alone = [target for target in targets if not group_of(target)]
    return (*(RetryTarget(task_id, 0) for task_id in sorted(members)), *alone)


def is_planned(retry: Retry) -> bool:
    """Has the scheduler to be asked what the clear would touch before it is sent?"""
    return bool(retry.max_affected or retry.never) or retry.scope in (GROUP, DAGRUN)


def is_grouped(retry: Retry, targets: Sequence[RetryTarget]) -> bool:
    """Are whole groups to run again, what succeeded in them too?"""
    return retry.scope == GROUP and any(group_of(target) for target in targets)


def clearing(retry: Retry, targets: Sequence[RetryTarget], rows: Sequence[TaskInstanceRow]) -> Clearing:
    """What to clear. rows: every task instance of the dagrun, wanted only where `is_grouped`."""
    if retry.scope == DAGRUN:
        return Clearing(retry.dag_id, retry.run_id, None)
    if is_grouped(retry, targets):
        return Clearing(retry.dag_id, retry.run_id, in_groups(targets, rows), only_failed=False)
    return Clearing(retry.dag_id, retry.run_id, tuple(targets))


def planned(
    what: Clearing, rows: Sequence[TaskInstanceRow], retry: Retry, action_id: str, deployment: str
) -> Plan | Refused:
    """After the scheduler's dry run. The note joins what people wrote on all that will be touched."""
    refused = never_again(rows, retry.never, deployment) or too_many(len(rows), retry.max_affected)
    return refused or Plan(what, merged((row.note for row in rows), action_id, retry.why))


def never_again(rows: Sequence[TaskInstanceRow], never: Sequence[str], deployment: str) -> Refused | None:
    """Refused if something that must not run a second time would. What its upstream kept from running has not run."""
    for row in rows:
        name = f"{deployment}/{row.dag_id}/{row.task_id}"
        pattern = next((one for one in never if covers(one, name)), None)
        if pattern is not None and row.state != UPSTREAM_FAILED:
            return Refused(f"it would also run {name} again, which is on the never-retry list ({pattern!r})")
    return None


def never_tagged(dag: DagRow | None, tags: Sequence[str]) -> Refused | None:
    """Refused if the DAG has one of these tags, or if nobody knows whether it has."""
    if not tags:
        return None
    if dag is None or dag.tags is None:
        return Refused("the scheduler does not tell the tags of the DAG, so that nobody knows whether it may run again")
    found = next((tag.name for tag in dag.tags if tag.name in tags), None)
    return None if found is None else Refused(f"the DAG {dag.dag_id} carries the tag {found!r}")
