"""Actions: intended effects as rows of the outbox. Their id is a hash of their cause, so that a replay adds none."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, get_args

import msgspec

from remediator.model.event import UNMAPPED_INDEX
from remediator.model.incident import Incident
from remediator.model.time import Instant


class Guarantee(StrEnum):
    """What an executor can promise when it does not know whether a call went through."""

    KEYED = "keyed"
    """The target refuses a repeat: send again."""
    PROVABLE = "provable"
    """Looking at the target tells whether it happened: look, then send or not."""
    AT_LEAST_ONCE = "at_least_once"
    """Neither: a repeat is possible, and better than silence."""


class RetryTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """The exact attempt that a clear may touch. Anything else found there is somebody else's.

    group: its innermost task group, as an event named it; '' for none, or if no event said.
    """

    task_id: str
    try_number: int
    map_index: int = UNMAPPED_INDEX
    instance_id: str = ""
    group: str = ""


class Look(msgspec.Struct, frozen=True, tag="airflow.look", omit_defaults=True):
    """Ask the scheduler for one dagrun. Coalesced per deployment by the dispatcher.

    proving: task instances, as 'load' or 'load[3]', of which it must also be told at which try they were done.
    """

    dag_id: str
    run_id: str
    proving: tuple[str, ...] = ()


class Retry(msgspec.Struct, frozen=True, tag="airflow.retry", omit_defaults=True):
    """Clear these failed task instances of one dagrun, with downstream, in one call.

    scope: 'task'; 'group': everything of the innermost task group of each task; 'dagrun': every failed task instance.
    max_affected: task instances that it may touch without asking anybody, downstream ones too; 0: any number.
    never: globs over 'deployment/dag_id/task_id' of what must not run a second time.
    """

    dag_id: str
    run_id: str
    tasks: tuple[RetryTarget, ...]
    why: str = ""
    scope: str = "task"
    max_affected: int = 0
    never: tuple[str, ...] = ()


class Rerun(msgspec.Struct, frozen=True, tag="airflow.rerun", omit_defaults=True):
    """Clear a whole finished dagrun, what succeeded too, so that it runs again from the start. Its conf is kept.

    never: as for a retry. attempt: what failed in it: nothing is done before the dagrun has ended, or once the attempt
    has moved on; None if it is wanted for something else. never_tags: of a DAG that is left alone.
    """

    dag_id: str
    run_id: str
    why: str = ""
    max_affected: int = 0
    never: tuple[str, ...] = ()
    attempt: RetryTarget | None = None
    never_tags: tuple[str, ...] = ()


class Trigger(msgspec.Struct, frozen=True, tag="airflow.trigger", omit_defaults=True):
    """Create a dagrun with this id, which makes a repeat harmless."""

    dag_id: str
    run_id: str
    conf: dict[str, Any] = {}
    logical_date: Instant | None = None
    why: str = ""


class Reprocess(msgspec.Struct, frozen=True, tag="airflow.reprocess", omit_defaults=True):
    """Every data interval that begins in [since, until): existing dagruns are cleared, missing ones created.

    run_id, attempt: the failed dagrun in the range for which it is wanted, and what failed in it: nothing is done
    before that dagrun has ended, or once the attempt has moved on. '' and None if it is wanted for none.
    never_tags: of a DAG that is left alone.
    """

    dag_id: str
    since: Instant
    until: Instant
    why: str = ""
    max_affected: int = 0
    run_id: str = ""
    attempt: RetryTarget | None = None
    never_tags: tuple[str, ...] = ()


class Backfill(msgspec.Struct, frozen=True, tag="airflow.backfill", omit_defaults=True):
    """Airflow's own backfill of the logical dates from `since` to `until`, both included; one per DAG at a time.

    reprocess: 'none', 'failed' or 'completed', as Airflow has it. run_id, attempt: as for a reprocessing; what has not
    ended when it is created Airflow leaves out of it. never_tags: of a DAG that is left alone.
    """

    dag_id: str
    since: Instant
    until: Instant
    reprocess: str = "failed"
    max_active: int = 2
    why: str = ""
    max_affected: int = 0
    never_tags: tuple[str, ...] = ()
    run_id: str = ""
    attempt: RetryTarget | None = None


class CancelBackfill(msgspec.Struct, frozen=True, tag="airflow.cancel_backfill", omit_defaults=True):
    """Cancel the open backfill of the DAG, if it is this one."""

    dag_id: str
    backfill_id: int
    why: str = ""


class Pause(msgspec.Struct, frozen=True, tag="airflow.pause", omit_defaults=True):
    """Stop the DAG from being scheduled, or let it go on.

    since: of an undo, when the change that it takes back was issued: nothing is done if somebody changed it again.
    """

    dag_id: str
    paused: bool = True
    why: str = ""
    since: Instant | None = None


class Pool(msgspec.Struct, frozen=True, tag="airflow.pool", omit_defaults=True):
    """Give a pool so many slots. only_if: nothing is done unless it has so many now; None: whatever it has."""

    pool: str
    slots: int
    only_if: int | None = None
    why: str = ""


class Mark(msgspec.Struct, frozen=True, tag="airflow.mark", omit_defaults=True):
    """Set a failed task instance to 'success', 'failed' or 'skipped' by hand. Never without a person."""

    dag_id: str
    run_id: str
    task: RetryTarget
    state: str
    why: str = ""


class Scale(msgspec.Struct, frozen=True, tag="kubernetes.scale", omit_defaults=True):
    """Give a Deployment or StatefulSet so many replicas. only_if as for a pool."""

    namespace: str
    kind: str
    name: str
    replicas: int
    only_if: int | None = None
    why: str = ""


class Request(msgspec.Struct, frozen=True, tag="http.request", omit_defaults=True):
    """Send JSON to an endpoint of the configuration, which knows address, method and credentials."""

    endpoint: str
    body: dict[str, Any] = {}
    why: str = ""


class Sweep(msgspec.Struct, frozen=True, tag="airflow.sweep"):
    """Ask the scheduler which dagruns have failures that changed since then."""

    since: Instant


class Survey(msgspec.Struct, frozen=True, tag="airflow.survey"):
    """Ask the scheduler for what no event carries: its health, pools, import errors, what waits or hangs."""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Ask for what happened in [since, until), as people read it."""

    since: Instant
    until: Instant


class LogTail(msgspec.Struct, frozen=True, tag="airflow.log", omit_defaults=True):
    """Ask for the end of a failed try's log, for the people who are told of it."""

    dag_id: str
    run_id: str
    task_id: str
    try_number: int
    map_index: int = UNMAPPED_INDEX


class Message(msgspec.Struct, frozen=True, tag="slack.message", omit_defaults=True):
    """Post the incident, or edit it in place when `ref` names the message that carries it."""

    incident: Incident
    channel: str
    ref: str = ""


class Page(msgspec.Struct, frozen=True, tag="pagerduty.page", omit_defaults=True):
    """Trigger or resolve one alert. `dedup_key` makes a repeat harmless."""

    incident: Incident
    event_action: str
    dedup_key: str


class LogLine(msgspec.Struct, frozen=True, tag="log", omit_defaults=True):
    """Write the incident to the daemon's own log."""

    incident: Incident
    text: str


Change = Retry | Rerun | Trigger | Reprocess | Backfill | CancelBackfill | Pause | Pool | Mark | Scale | Request
"""What changes something at the target."""


class DryRun(msgspec.Struct, frozen=True, tag="preview"):
    """Ask what the change would touch if it were made now, for the people who are asked whether it may be."""

    change: Change


Params = Look | Sweep | Survey | Report | LogTail | DryRun | Message | Page | LogLine | Change


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """One intended effect.

    lane: actions of one lane are done in order, one in flight; a lane delays no other.
    key: the state key whose step receives the outcome.
    target: the deployment, or the receiver of the route, whose credentials the executor uses.
    not_after: past this instant it is refused instead of done.
    replaces: a pending action of the same lane with the same value is superseded by this one ('' for none).
    """

    id: str
    lane: str
    key: str
    target: str
    params: Params
    not_before: Instant
    not_after: Instant
    incident: str = ""
    replaces: str = ""

    @property
    def kind(self) -> str:
        """'airflow.look', 'airflow.retry', …: the name of its executor."""
        return str(self.params.__struct_config__.tag)


QUESTIONS = frozenset({"airflow.look", "airflow.sweep", "airflow.survey", "airflow.log", "preview", "report"})
"""Actions that change nothing; their answers are inputs of their own."""
PREVIEWED = frozenset({"airflow.retry", "airflow.rerun", "airflow.reprocess", "airflow.backfill"})
"""Changes whose extent only the scheduler knows: its dry run is asked before people are."""
CHANGE_STEPS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Change)) | {"airflow.resume"}
"""What the steps of rules call them: letting a DAG go on is the other direction of pausing it."""
CHANGES_TARGET = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Change))
"""Actions that the freeze stops. Telling people is never frozen."""
