"""The event types that codecs and the engine are known to give, for hints; any other dotted word may come too.

Knows no codec: the names are the contract between codecs and rules.
"""

from __future__ import annotations

from remediator.model.globs import covers
from remediator.rules.fields import ATTRIBUTES
from remediator.rules.globs import is_glob
from remediator.rules.toml import near

_RUN_STATES = ("started", "running", "success", "failed", "aborted", "other")
HEALTHS = ("scheduler", "triggerer", "dag_processor", "metadatabase")
TYPES: frozenset[str] = frozenset(
    (
        *(f"{subject}.{state}" for subject in ("task", "dagrun", "query", "job") for state in _RUN_STATES),
        "task.skipped",
        "task.failed_finally",
        "dataset.updated",
        "check.passed",
        "check.failed",
        "check.skipped",
        "node.not_ready",
        "node.ready",
        "node.not_schedulable",
        "node.schedulable",
        "node.disk_pressure",
        "node.no_disk_pressure",
        "node.memory_pressure",
        "node.no_memory_pressure",
        "node.pid_pressure",
        "node.no_pid_pressure",
        "pod.oom_killed",
        "pod.evicted",
        "pod.preempted",
        "pod.failed_scheduling",
        "pod.scheduled",
        "pod.back_off",
        "instance.interruption_warning",
        "instance.rebalance_recommendation",
        *(
            f"instance.{state}"
            for state in ("pending", "running", "stopping", "stopped", "shutting_down", "terminated")
        ),
        *(f"ecs_task.{state}" for state in ("provisioning", "pending", "activating", "running", "deactivating")),
        *(f"ecs_task.{state}" for state in ("stopping", "deprovisioning", "stopped", "deleted")),
        *(f"batch_job.{state}" for state in ("submitted", "pending", "runnable", "starting", "running")),
        *(f"batch_job.{state}" for state in ("succeeded", "failed")),
        "alert.firing",
        "alert.resolved",
        *(f"{part}.{health}" for part in HEALTHS for health in ("healthy", "unhealthy")),
        "task.queued_too_long",
        "task.no_heartbeat",
        "dagrun.queued_too_long",
        "pool.full",
        "pool.free",
        "import_error.found",
        "import_error.gone",
        "dag.paused_unexpectedly",
    )
)
"""All that are known by name."""
CLOSED_FAMILIES = ("task", "dagrun", "query", "dataset", "check", "node", "pod", "alert", *HEALTHS)
"""First words of types that are all known; other words may be a producer's own, whatever they are like."""
_FAMILIES = frozenset(one.partition(".")[0] for one in TYPES)
NEARLY = 0.75
"""How alike two first words are that are taken for one."""
_NO_ATTEMPT = ("task_id", "try_number", "retries", "operator", "log_url", "error.type", "error.message", "error.trace")
_NO_RUN = ("dag_id", "run_id", "run_type", "logical_date", "clear_number", "dag_version", *_NO_ATTEMPT)
NEVER_CARRIED: dict[str, tuple[str, ...]] = {
    "dagrun": ("task_id", "try_number", "retries", "operator", "log_url"),
    "dataset": ("error.type", "error.message", "error.trace", "inputs", "outputs"),
    "check": ("error.type", "error.message", "error.trace", "inputs", "outputs"),
    "node": _NO_RUN,
    "pod": _NO_RUN,
    "instance": _NO_RUN,
    "ecs_task": _NO_RUN,
    "batch_job": _NO_RUN,
    "alert": _NO_RUN,
}
"""By family: fields that events of these types have not."""


def is_known(on: str) -> bool:
    """Whether events of the type, or of a type that the glob covers, are known to come."""
    if not is_glob(on):
        return on in TYPES
    return any(covers(on, one) for one in TYPES)


def is_misspelt(on: str) -> bool:
    """Whether a type or glob is surely not meant so: of a family whose types are all known, or nearly such a word."""
    if is_known(on):
        return False
    word = family(on)
    return word in CLOSED_FAMILIES or (word not in _FAMILIES and bool(near(word, CLOSED_FAMILIES, NEARLY)))


def near_type(on: str) -> str:
    """The nearest known type, '' if there is none or for a glob."""
    return "" if is_glob(on) else near(on, TYPES)


def family(on: str) -> str:
    """The first word of a type or glob, '' if a glob leaves it open."""
    word = on.partition(".")[0]
    return "" if is_glob(word) else word


def never_carried(on: tuple[str, ...], field: str) -> bool:
    """Whether no event of these types has the field, as far as is known."""
    if not on or field.startswith(ATTRIBUTES):
        return False
    return all(field in NEVER_CARRIED.get(family(one), ()) for one in on)
