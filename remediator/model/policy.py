"""Policy: the part of the configuration that decisions depend on. It travels inside the rule set, hashed with it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from remediator.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant


class Mode(StrEnum):
    """How far a rule or a deployment lets remediator go. Order: observe < approve < act."""

    OBSERVE = "observe"
    APPROVE = "approve"
    ACT = "act"


BUDGET_TARGETS = ("task", "dag", "deployment", "owner", "rule")
"""What changes are counted for: the last two over all deployments, the first three within one."""


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes allowed per target and sliding period; `target` is one of BUDGET_TARGETS. None: no limit."""

    per_hour: int | None = None
    per_day: int | None = None
    target: str = "task"


class Allow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules that may change something: globs over their file, their owner, the deployment and the action; all must fit.

    files: paths as `Rule.file` has them, relative to the rules' folder.
    """

    files: tuple[str, ...] = ("*",)
    owners: tuple[str, ...] = ("*",)
    deployments: tuple[str, ...] = ("*",)
    actions: tuple[str, ...] = ("*",)


class DeploymentPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Airflow, as decisions see it.

    log_hosts: hosts whose log links are this deployment's; a failure that links elsewhere is never acted on.
    serves: globs over the deployments whose infrastructure this is; not empty: this is infrastructure, not an Airflow.
    """

    name: str
    feed: str
    ceiling: Mode = Mode.OBSERVE
    has_api: bool = True
    log_hosts: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a route tells people. kind: an executor's name; receiver: whose credentials; channel: where there."""

    kind: str
    receiver: str = ""
    channel: str = ""


class Maintenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """When nothing may be changed in these deployments (globs): from `begin` to before `end`."""

    deployments: tuple[str, ...]
    begin: Instant
    end: Instant
    reason: str = ""


class ReportTimes(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a report of what happened since the last one is told. at: 'HH:MM' of the zone's day; to: a route."""

    at: tuple[str, ...]
    zone: str = "UTC"
    to: str = "default"


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that rules page or notify, with what is told there; `fallback` is used when it fails.

    pages_per_hour: what is paged beyond that is told as one digest.
    """

    name: str
    destinations: tuple[Destination, ...] = ()
    fallback: str = ""
    pages_per_hour: int = 20


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything outside the rules that a decision reads.

    never_retry: globs over 'deployment/dag_id/task_id'; never_retry_tags: DAG tags with the same meaning.
    budget_cap: what no rule can raise, for every (deployment, dag, task).
    allow: if there is any, a change needs one that fits; if there is none, ceilings alone decide.
    blast_radius: task instances that one change may touch without a person's approval.
    changes_per_minute, concurrent_changes: per deployment; what is more waits.
    breaker_*: a rule that helped in less than `breaker_rate` of its last `breaker_sample` or more changes for one error
    waits, but for one probe after each `breaker_rest`, which is doubled up to `breaker_rest_max` by each in vain.
    proposal_expiry: how long a person has for a yes or no; also the longest that a failure waits for a breaker.
    endpoints: names that `http.request` may send to; None: not known.
    max_keys: keys of state per rule. condition_lifetime: of conditions that say none.
    calm_after: the incident of a rule on single events ends when so long nothing came, unless an event ends it.
    lateness: how much disorder a feed may have, unless feed_lateness says otherwise for that feed.
    look_delay: Airflow announces a failure up to 5.1 s before recording it (measured), so asking at once is vain.
    look_again: first wait before a look is repeated, doubled up to look_again_max.
    behind_after: a feed whose watermark is older than this is catching up.
    blind_after: a feed that was not read for this long is blind.
    told_look_every: how often a dagrun that people were told of is looked at, in case its end was not announced.
    hold_max: the longest a verdict waits for a feed, a thaw or an unreachable scheduler.
    """

    deployments: dict[str, DeploymentPolicy] = {}
    routes: dict[str, Route] = {}
    unclassified_route: str = "default"
    self_route: str = "default"
    never_retry: tuple[str, ...] = ()
    never_retry_tags: tuple[str, ...] = ("remediator:never",)
    budget_cap: Budget = Budget(per_hour=6, per_day=20)
    allow: tuple[Allow, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    report: ReportTimes | None = None
    blast_radius: int = 50
    changes_per_minute: int = 60
    concurrent_changes: int = 50
    breaker_sample: int = 5
    breaker_rate: float = 0.3
    breaker_rest: Duration = 5 * MINUTE
    breaker_rest_max: Duration = HOUR
    proposal_expiry: Duration = HOUR
    endpoints: tuple[str, ...] | None = None
    max_keys: int = 10_000
    condition_lifetime: Duration = HOUR
    calm_after: Duration = 12 * HOUR
    lateness: Duration = 10 * SECOND
    feed_lateness: dict[str, Duration] = {}
    look_delay: Duration = 2 * SECOND
    look_again: Duration = 4 * SECOND
    look_again_max: Duration = 60 * SECOND
    told_look_every: Duration = 10 * MINUTE
    behind_after: Duration = 45 * SECOND
    blind_after: Duration = 5 * MINUTE
    hold_max: Duration = 15 * MINUTE
    sweep_every: Duration = 60 * SECOND
    survey_every: Duration = 60 * SECOND
    sweep_overlap: Duration = 60 * SECOND
    action_expiry: Duration = 30 * MINUTE
    incident_expiry: Duration = 7 * DAY
    memory: Duration = 14 * DAY
    self_alert_every: Duration = 6 * HOUR
