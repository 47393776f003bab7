"""What to make of what was found around a scaling. Pure.

How an earlier call is proved: the API server keeps the name under which a field was set last (managedFields). Ours
names the action and how many replicas there were before it, so that a call whose answer was lost can still be undone.
"""

from __future__ import annotations

import re

import msgspec

from remediator.actions.kubernetes.errors import Answered, Fault, NotSent
from remediator.actions.kubernetes.rows import ObjectRow, ScaleRow
from remediator.actions.port import Preview
from remediator.model.action import Scale
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import MINUTE, SECOND, Duration

SOON: Duration = 5 * SECOND
LATER: Duration = 15 * SECOND
ASKED_MAX: Duration = 5 * MINUTE
PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


class Seen(msgspec.Struct, frozen=True):
    """The scale that was found, and what is known of earlier calls of this action.

    ours: how many replicas there were before the earlier call that is still in force; None: none is.
    traced: whether that could be looked up at all.
    """

    scale: ScaleRow
    ours: int | None = None
    traced: bool = False


class Send(msgspec.Struct, frozen=True):
    """What was seen allows the call, as long as it still has this version."""

    replicas: int
    version: str


def path_of(wanted: Scale) -> str | None:
    """Where the workload is; None if no workload can be called so."""
    plural = PLURALS.get(wanted.kind)
    if plural is None or not _NAMESPACE.fullmatch(wanted.namespace) or not _NAME.fullmatch(wanted.name):
        return None
    return f"/apis/apps/v1/namespaces/{wanted.namespace}/{plural}/{wanted.name}"


def manager_of(action_id: str, before: int) -> str:
    """The name under which our call sets the number."""
    return f"remediator:{action_id}:{before}"


def ours_of(found: ObjectRow, action_id: str) -> int | None:
    """How many replicas there were before this action's call, if what it set is still in force."""
    mark = f"remediator:{action_id}:"
    for one in found.metadata.managed_fields:
        before = one.manager.removeprefix(mark)
        if one.subresource == "scale" and before != one.manager and before.isdigit():
            return int(before)
    return None


def before(wanted: Scale, seen: Seen, *, uncertain: bool) -> Send | Outcome:
    """Shall it be scaled now?"""
    now = seen.scale.spec.replicas
    if seen.ours is not None:
        return delivered(wanted, str(seen.ours), "found by its mark")
    if now == wanted.replicas:
        return delivered(wanted, _unproved(wanted) if uncertain and not seen.traced else str(now), "already")
    if wanted.only_if not in (None, now):
        why = _unexpected(wanted, now)
        return Unknown(f"{why}; an earlier call may have been changed since") if uncertain else Refused(why)
    return Send(now, seen.scale.metadata.resource_version)


def previewed(scale: ScaleRow, wanted: Scale) -> Preview:
    """What the call would change, and whether its precondition forbids it."""
    now = scale.spec.replicas
    if now == wanted.replicas:
        return Preview(f"changes nothing: {named(wanted)} has {now} replicas")
    refused = "" if wanted.only_if in (None, now) else _unexpected(wanted, now)
    return Preview(f"gives {named(wanted)} {wanted.replicas} replicas instead of {now}", refused=refused)


def _unexpected(wanted: Scale, now: int) -> str:
    return f"{named(wanted)} has {now} replicas, not {wanted.only_if}"


def look_failed(fault: Fault, wanted: Scale, *, uncertain: bool) -> Outcome:
    """The look before the call failed; nothing was sent by this call."""
    if isinstance(fault, Answered) and is_final(fault):
        why = f"{named(wanted)}: {fault}"
        return Unknown(f"cannot look whether it was scaled: {why}") if uncertain else Refused(why)
    return RetryAfter(wait(fault, LATER), f"{named(wanted)}: {fault}", uncertain=uncertain)


def refused(fault: Answered | NotSent, wanted: Scale, *, uncertain: bool) -> Outcome:
    """The call surely changed nothing."""
    why = f"{named(wanted)}: {fault}"
    if isinstance(fault, NotSent) or not is_final(fault):
        return RetryAfter(wait(fault, LATER), why, uncertain=uncertain)
    return Refused(why)


def after(wanted: Scale, send: Send, seen: Seen | Fault, fault: Fault) -> Outcome:
    """The look after a call whose answer did not tell."""
    again = RetryAfter(wait(fault, SOON), f"{named(wanted)}: {fault}", uncertain=True)
    if isinstance(seen, Fault):
        return again
    if seen.ours is not None:
        return delivered(wanted, str(seen.ours), "found by its mark")
    if seen.scale.spec.replicas == wanted.replicas and not seen.traced:
        # It was the other number a moment ago: whoever did it, it is taken back to what it was.
        return delivered(wanted, str(send.replicas), "found as wanted")
    return again


def delivered(wanted: Scale, before: str, how: str) -> Delivered:
    """It has so many replicas now. before: '' if nobody knows any more."""
    return Delivered(ref=f"{wanted.kind} {wanted.namespace}/{wanted.name}", detail=how, before=before)


def named(wanted: Scale) -> str:
    """'Deployment airflow/worker'"""
    return f"{wanted.kind} {wanted.namespace}/{wanted.name}"


def is_unclear(fault: Fault) -> bool:
    """May the call have been done all the same? (A proxy answers for a server that may have acted.)"""
    return not isinstance(fault, NotSent) and not (isinstance(fault, Answered) and fault.status < 500)


def is_final(fault: Answered) -> bool:
    """Would the same call be refused for ever?"""
    return fault.status < 500 and fault.status not in (408, 409, 425, 429)


def wait(fault: Fault, otherwise: Duration) -> Duration:
    """What the answer asked for, bounded, or our own pause."""
    asked = fault.retry_after_s if isinstance(fault, Answered) else None
    return otherwise if asked is None else min(asked * SECOND, ASKED_MAX)


def _unproved(wanted: Scale) -> str:
    """What it had before a call that nothing proves: the precondition says, or nobody knows any more."""
    return "" if wanted.only_if is None else str(wanted.only_if)
