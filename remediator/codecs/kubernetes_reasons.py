"""What the reasons of Kubernetes events mean: event types, and conditions with their lifetimes.

Names of reasons are the kubelet's, the scheduler's, the node controller's and node-problem-detector's.
"""

from __future__ import annotations

import msgspec

from remediator.codecs.names import snake
from remediator.model.time import HOUR, MINUTE, Duration

POD_GONE: Duration = 1 * HOUR
"""An evicted or preempted pod never comes back; an hour is also how long the API server keeps its events."""
PENDING: Duration = 1 * HOUR
"""The scheduler refreshes a repeated event every 30 minutes; a pod deleted while it waits is never scheduled."""
BACK_OFF: Duration = 10 * MINUTE
"""Back-off grows to 5 minutes and one event of a kind passes client-go's filter each 5 minutes: renewed, or over."""
OUT_OF_MEMORY: Duration = 10 * MINUTE
"""An instant, kept for as long as it takes until the task's failure is noticed and told."""


class Meaning(msgspec.Struct, frozen=True):
    """type: of the event. condition: what begins or, if not `active`, ends with it; '' for none. lifetime: 0: open."""

    type: str
    condition: str = ""
    active: bool = True
    lifetime: Duration = 0


def _begins(type_: str, lifetime: Duration = 0) -> Meaning:
    return Meaning(type_, type_, lifetime=lifetime)


def _ends(type_: str, condition: str) -> Meaning:
    return Meaning(type_, condition, active=False)


_OOM_KILLED = _begins("pod.oom_killed", OUT_OF_MEMORY)
_BACK_OFF = _begins("pod.back_off", BACK_OFF)

REASONS: dict[tuple[str, str], Meaning] = {
    ("Node", "NodeNotReady"): _begins("node.not_ready"),
    ("Node", "NodeReady"): _ends("node.ready", "node.not_ready"),
    ("Node", "NodeNotSchedulable"): _begins("node.not_schedulable"),
    ("Node", "NodeSchedulable"): _ends("node.schedulable", "node.not_schedulable"),
    ("Node", "NodeHasDiskPressure"): _begins("node.disk_pressure"),
    ("Node", "NodeHasNoDiskPressure"): _ends("node.no_disk_pressure", "node.disk_pressure"),
    ("Node", "NodeHasInsufficientMemory"): _begins("node.memory_pressure"),
    ("Node", "NodeHasSufficientMemory"): _ends("node.no_memory_pressure", "node.memory_pressure"),
    ("Node", "NodeHasInsufficientPID"): _begins("node.pid_pressure"),
    ("Node", "NodeHasSufficientPID"): _ends("node.no_pid_pressure", "node.pid_pressure"),
    ("Node", "OOMKilling"): _OOM_KILLED,
    ("Node", "SystemOOM"): _OOM_KILLED,
    ("Pod", "OOMKilling"): _OOM_KILLED,
    ("Pod", "OOMKilled"): _OOM_KILLED,
    ("Pod", "Evicted"): _begins("pod.evicted", POD_GONE),
    ("Pod", "Preempted"): _begins("pod.preempted", POD_GONE),
    ("Pod", "Preempting"): _begins("pod.preempted", POD_GONE),
    ("Pod", "FailedScheduling"): _begins("pod.failed_scheduling", PENDING),
    ("Pod", "Scheduled"): _ends("pod.scheduled", "pod.failed_scheduling"),
    ("Pod", "BackOff"): _BACK_OFF,
    ("Pod", "CrashLoopBackOff"): _BACK_OFF,
    ("Pod", "ImagePullBackOff"): _BACK_OFF,
}
"""By the kind of the object too: the node controller also says NodeNotReady of every pod on the node."""


def meaning_of(kind: str, reason: str, message: str) -> Meaning:
    """What an event of this reason on an object of this kind means: 'kubernetes.<reason>' unless it is listed."""
    known = REASONS.get((kind, reason))
    if known is not None:
        return known
    if kind == "Pod" and "OOMKilled" in message:
        return _OOM_KILLED
    if kind == "Pod" and reason == "Failed" and message.endswith(("ImagePullBackOff", "CrashLoopBackOff")):
        return _BACK_OFF
    return Meaning(f"kubernetes.{snake(reason) or 'other'}")


def waiting_for(meaning: Meaning, reason: str, message: str) -> str | None:
    """'ImagePullBackOff' or 'CrashLoopBackOff', as the pod's status says it, for a pod that is held back."""
    if meaning is not _BACK_OFF:
        return None
    is_image = "ImagePullBackOff" in (reason, message.rpartition(" ")[2]) or "pulling image" in message
    return "ImagePullBackOff" if is_image else "CrashLoopBackOff"
