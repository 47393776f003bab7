"""[policy]: what decisions depend on besides rules, deployments and routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from remediator.config.deployments import deployment_policy, infrastructure_policy
from remediator.config.names import check_known
from remediator.config.settings import Deployment, Feed, Infrastructure
from remediator.model.policy import Allow, Budget, Maintenance, Policy, Route
from remediator.model.time import DAY, HOUR, SECOND, Duration
from remediator.rules.toml import Table

RANGES: dict[str, tuple[Duration, Duration]] = {
    "condition_lifetime": (1 * SECOND, 30 * DAY),
    "calm_after": (1 * SECOND, 365 * DAY),
    "lateness": (0, 1 * HOUR),
    "look_delay": (0, 10 * 60 * SECOND),
    "look_again": (1 * SECOND, 1 * HOUR),
    "look_again_max": (1 * SECOND, 1 * HOUR),
    "told_look_every": (1 * SECOND, 1 * DAY),
    "behind_after": (10 * SECOND, 1 * DAY),
    "blind_after": (1 * SECOND, 1 * DAY),
    "hold_max": (1 * SECOND, 1 * DAY),
    "sweep_every": (5 * SECOND, 1 * DAY),
    "survey_every": (5 * SECOND, 1 * DAY),
    "breaker_rest": (1 * SECOND, 7 * DAY),
    "breaker_rest_max": (1 * SECOND, 7 * DAY),
    "proposal_expiry": (1 * SECOND, 7 * DAY),
    "sweep_overlap": (0, 1 * DAY),
    "action_expiry": (10 * SECOND, 7 * DAY),
    "incident_expiry": (1 * HOUR, 365 * DAY),
    "memory": (1 * HOUR, 365 * DAY),
    "self_alert_every": (1 * 60 * SECOND, 7 * DAY),
}
"""Every duration of Policy, with the shortest and the longest that makes sense."""


MAX_SAMPLE = 20
"""Results that the engine remembers of one breaker."""


def read_policy(table: Table) -> Policy:
    """[policy], without deployments and routes."""
    default = Policy()
    durations = {name: table.duration(name, getattr(default, name), low, high) for name, (low, high) in RANGES.items()}
    policy = Policy(
        unclassified_route=table.text("unclassified_route", default.unclassified_route),
        self_route=table.text("self_route", default.self_route),
        never_retry=table.texts("never_retry", default.never_retry),
        never_retry_tags=table.texts("never_retry_tags", default.never_retry_tags),
        max_keys=table.integer("max_keys", default.max_keys, 1, 1_000_000),
        blast_radius=table.integer("blast_radius", default.blast_radius, 1, 100_000),
        changes_per_minute=table.integer("changes_per_minute", default.changes_per_minute, 1, 10_000),
        concurrent_changes=table.integer("concurrent_changes", default.concurrent_changes, 1, 10_000),
        breaker_sample=table.integer("breaker_sample", default.breaker_sample, 1, MAX_SAMPLE),
        breaker_rate=table.number("breaker_rate", default.breaker_rate, 0, 1),
        budget_cap=_read_cap(table.table("budget_cap"), default.budget_cap),
    )
    policy = msgspec.structs.replace(policy, **durations)
    table.close()
    _check_order(table, policy)
    return policy


def _read_cap(table: Table, default: Budget) -> Budget:
    cap = Budget(
        per_hour=table.integer("per_hour", default.per_hour or 0, 0, 10_000),
        per_day=table.integer("per_day", default.per_day or 0, 0, 100_000),
    )
    table.close()
    return cap


def _check_order(table: Table, policy: Policy) -> None:
    if policy.look_again > policy.look_again_max:
        table.fault("look_again", "more than look_again_max", "at most look_again_max")
    if policy.breaker_rest > policy.breaker_rest_max:
        table.fault("breaker_rest", "more than breaker_rest_max", "at most breaker_rest_max")
    if policy.behind_after > policy.blind_after:
        table.fault("behind_after", "more than blind_after", "at most blind_after")


def complete_policy(
    table: Table,
    policy: Policy,
    feeds: Sequence[Feed],
    deployments: Sequence[Deployment],
    infrastructure: Sequence[Infrastructure],
    routes: Mapping[str, Route],
    allow: tuple[Allow, ...],
    maintenance: tuple[Maintenance, ...],
) -> Policy:
    """The policy with what other sections say of it, after a check that it names routes that exist."""
    for key in ("unclassified_route", "self_route"):
        check_known(table, key, getattr(policy, key), routes, "route")
    return msgspec.structs.replace(
        policy,
        feed_lateness={feed.name: feed.lateness for feed in feeds if feed.lateness != policy.lateness},
        deployments={
            **{deployment.name: deployment_policy(deployment) for deployment in deployments},
            **{one.name: infrastructure_policy(one) for one in infrastructure},
        },
        routes=dict(routes),
        allow=allow,
        maintenance=maintenance,
    )
