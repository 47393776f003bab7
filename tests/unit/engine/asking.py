"""Asking for explanations as a daemon would: over the saved states of a story, which must stay as they are."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from remediator.engine.explain import explain, keys_of, live_of
from remediator.engine.explain_views import Check, Explained, RuleView
from remediator.engine.saved import encode_state
from remediator.model.event import ErrorInfo, Event
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step, Window
from remediator.testing.timeline import FEED, START, Timeline

PAGER = Destination("pagerduty.page", "pager")
RETRY = Step("airflow.retry", max_attempts=2, backoff=Backoff(10 * SECOND, jitter=0), verify=5 * MINUTE)
RESET = Rule(
    id="reset",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    where={"error.message": {"matches": "reset"}},
    budget=(Budget(per_hour=3), Budget(per_hour=5, target="deployment")),
    do=(RETRY,),
    otherwise=(Step("page", to="oncall"),),
)
OBSERVER = Rule(id="observer", on=("task.failed_finally",), priority=90, do=(RETRY,))
SECOND_BEST = Rule(
    id="second", on=("task.failed_finally",), mode=Mode.ACT, priority=10, do=(Step("page", to="oncall"),)
)
MANY = Rule(
    id="many",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    per=("deployment",),
    window=Window(10 * MINUTE, at_least=3),
    cool_down=HOUR,
    once_within=2 * HOUR,
    do=(Step("page", to="oncall"),),
)
POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", FEED, Mode.ACT, log_hosts=("airflow.example.com",))},
    routes={name: Route(name, (PAGER,)) for name in ("oncall", "default")},
)


def spec(*rules: Rule, **policy: object) -> RuleSetSpec:
    return RuleSetSpec(rules, msgspec.structs.replace(POLICY, **policy))


def failure(task_id: str = "load", try_number: int = 1, **fields: object) -> Event:
    error = ErrorInfo("ConnectionError", "connection reset by peer")
    event = Event("task.failed", START, deployment="prod", dag_id="sales", run_id="r1", task_id=task_id,
                  try_number=try_number, error=error)  # fmt: skip
    return msgspec.structs.replace(event, **fields)


def saved(story: Timeline) -> dict[str, bytes]:
    core = story.core
    shared = {WORLD_KEY: core.world, LEDGER_KEY: core.ledger, CONDITIONS_KEY: core.conditions}
    keyed = {key: state for key, state in core.states.items() if state is not None}
    return {key: encode_state(state) for key, state in {**shared, **keyed}.items()}


def ask(story: Timeline, event: Event, *only: str) -> list[Explained]:
    """As a daemon would: only the keys that are asked for are loaded; and nothing is changed."""
    rules, states = story.rule_set(story.core.world.rule_set), saved(story)
    found = {key: states[key] for key in keys_of(rules, event, only) if key in states}
    before = dict(found)
    views = explain(rules, event, live_of(found), only)
    assert found == before
    assert saved(story) == states
    return views


def rule_in(view: Explained, rule_id: str) -> RuleView:
    return next(rule for rule in view.rules if rule.rule == rule_id)


def check(checks: Iterable[Check], name: str) -> Check:
    return next(one for one in checks if one.name == name)


def refusals(view: RuleView) -> list[str]:
    return [one.name for one in view.steps[0].checks if one.verdict in ("no", "wait")]
