"""What the `detail` of EventBridge events tells, by detail-type. A member of an unexpected type counts as missing.

Environments and commands of containers are left out: they hold secrets in shapes that no pattern knows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from remediator.codecs.attributes import MAX_DEPTH
from remediator.codecs.masking import MASK, is_secret_key
from remediator.codecs.names import joined, snake
from remediator.model.event import ConditionInfo
from remediator.model.time import MINUTE, Duration

SPOT_NOTICE: Duration = 2 * MINUTE
"""How long before the interruption EC2 says so (EC2 User Guide, "Spot Instance interruption notices")."""
UNTIL_NOTICED: Duration = 8 * MINUTE
"""Airflow gives a task up after 5 minutes without a heartbeat (task_instance_heartbeat_timeout), then tells of it."""
MAX_CONTAINERS = 10
"""As many as an ECS task definition may have."""
_UNSAFE = frozenset({"environment", "environmentFiles", "secrets", "command", "entryPoint", "userData"})

Detail = dict[str, Any]


class Told(msgspec.Struct, gc=False):
    """What an event is made of besides its envelope."""

    type: str
    subject: str | None = None
    attributes: dict[str, Any] = {}
    condition: ConditionInfo | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


Teller = Callable[[Detail], Told]


def told_by(detail_type: str) -> Teller | None:
    """Who reads details of this type; None if nobody does."""
    return _TELLERS.get(detail_type)


def generic(type_: str, detail: Any) -> Told:
    """An event whose detail is kept as it is, as far as it is safe."""
    return Told(type_, attributes={"detail": _safe(detail, 1)})


def _spot_interruption(detail: Detail) -> Told:
    type_ = "instance.interruption_warning"
    scope = _instance(detail)
    return Told(
        type_,
        scope,
        {"instance_id": _text(detail, "instance-id"), "action": _text(detail, "instance-action")},
        ConditionInfo(type_, scope, lifetime=SPOT_NOTICE + UNTIL_NOTICED) if scope else None,
    )


def _rebalance(detail: Detail) -> Told:
    attributes = {"instance_id": _text(detail, "instance-id")}
    return Told("instance.rebalance_recommendation", _instance(detail), attributes)


def _instance_state(detail: Detail) -> Told:
    state = _text(detail, "state")
    attributes = {"instance_id": _text(detail, "instance-id"), "state": state}
    return Told(f"instance.{snake(state) or 'unknown'}", _instance(detail), attributes)


def _ecs_task(detail: Detail) -> Told:
    status, arn = _text(detail, "lastStatus"), _text(detail, "taskArn")
    containers = [one for one in _list(detail, "containers") if isinstance(one, dict)][:MAX_CONTAINERS]
    cluster = _tail(_text(detail, "clusterArn"))
    attributes = {
        "cluster": cluster,
        "task_arn": arn,
        "task_definition": _tail(_text(detail, "taskDefinitionArn")),
        "group": _text(detail, "group"),
        "launch_type": _text(detail, "launchType"),
        "capacity_provider": _text(detail, "capacityProviderName"),
        "availability_zone": _text(detail, "availabilityZone"),
        "container_instance": _tail(_text(detail, "containerInstanceArn")),
        "started_by": _text(detail, "startedBy"),
        "desired_status": _text(detail, "desiredStatus"),
        "stop_code": _text(detail, "stopCode"),
        "stopped_reason": _text(detail, "stoppedReason"),
        "containers": [_container(one) for one in containers],
        "exit_codes": [code for one in containers if (code := _whole(one, "exitCode")) is not None],
        "reason": next(filter(_is_out_of_memory, (_text(one, "reason") for one in containers)), ""),
    }
    return Told(
        f"ecs_task.{snake(status) or 'unknown'}",
        joined("ecs_task", cluster, _tail(arn)) if cluster else joined("ecs_task", _tail(arn)),
        attributes,
        started_at=_moment(detail, "startedAt"),
        ended_at=_moment(detail, "stoppedAt"),
    )


def _container(one: Detail) -> Detail:
    kept = {
        "name": _text(one, "name"),
        "last_status": _text(one, "lastStatus"),
        "exit_code": _whole(one, "exitCode"),
        "reason": _text(one, "reason"),
    }
    return {key: value for key, value in kept.items() if value not in (None, "")}


def _batch_job(detail: Detail) -> Told:
    status, job_id = _text(detail, "status"), _text(detail, "jobId")
    said = detail.get("container")
    container: Detail = said if isinstance(said, dict) else {}
    attributes = {
        "job_id": job_id,
        "job_name": _text(detail, "jobName"),
        "job_queue": _tail(_text(detail, "jobQueue")),
        "job_definition": _tail(_text(detail, "jobDefinition")),
        "status_reason": _text(detail, "statusReason"),
        "attempts": len(_list(detail, "attempts")) or None,
        "exit_code": _whole(container, "exitCode"),
        "reason": _text(container, "reason"),
        "log_stream": _text(container, "logStreamName"),
    }
    return Told(
        f"batch_job.{snake(status) or 'unknown'}",
        joined("batch_job", job_id),
        attributes,
        started_at=_moment(detail, "startedAt"),
        ended_at=_moment(detail, "stoppedAt"),
    )


_TELLERS: dict[str, Teller] = {
    "EC2 Spot Instance Interruption Warning": _spot_interruption,
    "EC2 Instance Rebalance Recommendation": _rebalance,
    "EC2 Instance State-change Notification": _instance_state,
    "ECS Task State Change": _ecs_task,
    "Batch Job State Change": _batch_job,
}


def _instance(detail: Detail) -> str | None:
    return joined("instance", _text(detail, "instance-id"))


def _is_out_of_memory(reason: str) -> bool:
    """ECS says "OutOfMemoryError: Container killed due to memory usage"."""
    return reason.startswith("OutOfMemory")


def _text(detail: Detail, key: str) -> str:
    value = detail.get(key)
    return value.strip() if isinstance(value, str) else ""


def _whole(detail: Detail, key: str) -> int | None:
    value = detail.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list(detail: Detail, key: str) -> list[Any]:
    value = detail.get(key)
    return value if isinstance(value, list) else []


def _tail(arn: str) -> str:
    """'arn:aws:ecs:us-west-2:111122223333:task/cluster1/c13b' -> 'c13b'."""
    return arn.rpartition("/")[2]


def _moment(detail: Detail, key: str) -> datetime | None:
    """ECS writes ISO 8601, Batch milliseconds since 1970."""
    value = detail.get(key)
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        if isinstance(value, int) and value > 0:
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _safe(value: Any, depth: int) -> Any:
    """Without environments, and with the value masked of `{name: PASSWORD, value: …}`."""
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, list):
        return [_safe(one, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    named = next((name for key in ("name", "key") if isinstance(name := value.get(key), str)), "")
    hidden = ("value", "Value") if is_secret_key(named) else ()
    return {key: MASK if key in hidden else _safe(one, depth + 1) for key, one in value.items() if key not in _UNSAFE}
