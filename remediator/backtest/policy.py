"""The policy of a backtest: what a configuration says, or one open deployment for each namespace that was found.

Owns what differs from a live policy: the record is read as fast as it was written; nothing changes at the scheduler
that the record does not tell, so that nothing is swept or looked at again and again; and every route has one
destination, so that one telling is counted once whatever the configuration sends where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import DAY, Duration
from remediator.rules.load import load_rules
from remediator.rules.spec import Rule, RuleSetSpec

NEVER: Duration = 36_500 * DAY
FEED = "backtest"


def load_open(paths: Sequence[Path]) -> RuleSetSpec:
    """Rules without a configuration, under a policy that has every route which they name. Raises Faults."""
    spec = load_rules(paths, None)
    policy = spec.policy
    named = {step.to for rule in spec.rules for step in (*rule.do, *rule.otherwise, *rule.on_resolve) if step.to}
    names = sorted(named | {policy.unclassified_route, policy.self_route})
    routes = {name: Route(name, (Destination("log", channel=name),)) for name in names}
    return RuleSetSpec(spec.rules, msgspec.structs.replace(policy, routes=routes))


def open_deployments(policy: Policy, hosts: Mapping[str, Iterable[str]], airflows: Collection[str]) -> Policy:
    """One deployment for each name: an Airflow, which may be changed and whose log links are trusted, or where such
    run, which concerns all of them."""
    deployments = {
        name: DeploymentPolicy(name, FEED, ceiling=Mode.ACT, log_hosts=tuple(sorted(found)))
        if name in airflows
        else DeploymentPolicy(name, FEED, has_api=False, serves=("*",))
        for name, found in sorted(hosts.items())
    }
    return msgspec.structs.replace(policy, deployments=deployments)


def for_backtest(spec: RuleSetSpec, policy: Policy, *, as_if_act: bool) -> RuleSetSpec:
    """The rules under this policy in virtual time. as_if_act: every rule and deployment as if it were promoted."""
    routes = {name: msgspec.structs.replace(route, destinations=_one(route)) for name, route in policy.routes.items()}
    rules, deployments = spec.rules, policy.deployments
    if as_if_act:
        rules = tuple(_promoted(rule) for rule in rules)
        deployments = {name: msgspec.structs.replace(one, ceiling=Mode.ACT) for name, one in policy.deployments.items()}
    policy = msgspec.structs.replace(
        policy,
        routes=routes,
        deployments=deployments,
        sweep_every=NEVER,
        told_look_every=NEVER,
        behind_after=NEVER,
        hold_max=NEVER,
        blind_after=NEVER,
    )
    return RuleSetSpec(rules, policy)


def _one(route: Route) -> tuple[Destination, ...]:
    return (Destination("log", channel=route.name),) if route.destinations else ()


def _promoted(rule: Rule) -> Rule:
    return rule if rule.mode is Mode.ACT else msgspec.structs.replace(rule, mode=Mode.ACT)
