"""Actions: intended effects as rows of the outbox. Their id is a hash of their cause, so that a replay adds none."""

from __future__ import annotations

from enum import StrEnum

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
    """The exact attempt that a clear may touch. Anything else found there is somebody else's."""

    task_id: str
    try_number: int
    map_index: int = UNMAPPED_INDEX
    instance_id: str = ""


class Look(msgspec.Struct, frozen=True, tag="airflow.look"):
    """Ask the scheduler for one dagrun. Coalesced per deployment by the dispatcher."""

    dag_id: str
    run_id: str


class Retry(msgspec.Struct, frozen=True, tag="airflow.retry", omit_defaults=True):
    """Clear these failed task instances of one dagrun, with downstream, in one call."""

    dag_id: str
    run_id: str
    tasks: tuple[RetryTarget, ...]
    why: str = ""


class Sweep(msgspec.Struct, frozen=True, tag="airflow.sweep"):
    """Ask the scheduler which dagruns have failures that changed since then."""

    since: Instant


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


Params = Look | Retry | Sweep | Message | Page | LogLine


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


QUESTIONS = frozenset({"airflow.look", "airflow.sweep"})
"""Actions that change nothing; their answers are inputs of their own."""
CHANGES_TARGET = frozenset({"airflow.retry"})
"""Actions that the freeze stops. Telling people is never frozen."""
