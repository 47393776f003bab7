"""From the file to the target: what a step says in TOML is what the engine wants changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from remediator.model.event import Event
from remediator.model.inputs import Pressed
from remediator.model.policy import DeploymentPolicy, Mode, Policy, Route
from remediator.model.time import HOUR, SECOND, parse_instant
from remediator.rules.changes import CHANGES
from remediator.rules.load import read_rules
from remediator.rules.spec import RuleSetSpec
from remediator.rules.toml import parse_document
from remediator.testing.timeline import START, Timeline

POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT)},
    routes={"default": Route("default")},
    lateness=10 * SECOND,
)
FIRST, NEXT = parse_instant("2026-11-01T00:00:00Z"), parse_instant("2026-11-02T00:00:00Z")


@dataclass(frozen=True)
class Case:
    """A step, and what becomes of it; kind: the action's, if it is another than the step's."""

    action: str
    keys: str
    wanted: dict[str, Any]
    kind: str = ""
    asks: bool = False


CASES = (
    Case("airflow.retry", 'scope = "dagrun"', {"scope": "dagrun", "dag_id": "sales", "run_id": "r1"}),
    Case("airflow.rerun", "", {"dag_id": "sales", "run_id": "r1"}),
    Case(
        "airflow.reprocess",
        'dag_id = "{event.dag_id}_daily"\nsince = 2026-11-01T01:00:00+01:00\nuntil = "2026-11-02T00:00:00Z"',
        {"dag_id": "sales_daily", "since": FIRST, "until": NEXT},
    ),
    Case(
        "airflow.backfill",
        'since = "2026-11-01T00:00:00Z"\nuntil = "2026-11-02T00:00:00Z"\nreprocess = "none"\nmax_active = 3',
        {"dag_id": "sales", "since": FIRST, "until": NEXT, "reprocess": "none", "max_active": 3},
    ),
    Case(
        "airflow.trigger",
        'dag_id = "fix_{event.dag_id}"\nconf = { a = ["{event.task_id}", 1] }\nlogical_date = "2026-11-01T00:00:00Z"',
        {"dag_id": "fix_sales", "conf": {"a": ["load", 1]}, "logical_date": FIRST},
    ),
    Case("airflow.pause", "", {"dag_id": "sales", "paused": True}),
    Case("airflow.resume", 'dag_id = "{event.dag_id}"', {"dag_id": "sales", "paused": False}, "airflow.pause"),
    Case(
        "airflow.pool",
        'pool = "{event.dag_id}_pool"\nslots = 8\nonly_if = 4',
        {"pool": "sales_pool", "slots": 8, "only_if": 4},
    ),
    Case("airflow.mark", 'state = "skipped"', {"dag_id": "sales", "run_id": "r1", "state": "skipped"}, asks=True),
    Case(
        "kubernetes.scale",
        'namespace = "etl"\nkind = "Deployment"\nname = "{event.dag_id}-worker"\nreplicas = 0',
        {"namespace": "etl", "kind": "Deployment", "name": "sales-worker", "replicas": 0, "only_if": None},
    ),
    Case(
        "http.request",
        'endpoint = "tickets"\nbody = { title = "{event.task_id} {{failed}}", urgent = true }',
        {"endpoint": "tickets", "body": {"title": "load {failed}", "urgent": True}},
    ),
)


def rules_of(text: str) -> RuleSetSpec:
    document = parse_document(text, "a.toml")
    rules = read_rules(document, POLICY, "a.toml")
    document.check()
    return RuleSetSpec(tuple(rules), POLICY)


def step(action: str, keys: str) -> str:
    return f'[[rule.do]]\naction = "{action}"\n{keys}\n'


def test_every_kind_is_a_case() -> None:
    assert [case.action for case in CASES] == list(CHANGES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
def test_a_failure_is_answered_with_the_change_as_it_is_written(case: Case) -> None:
    backoff = 'backoff = { initial = "1s", jitter = 0 }' if case.action == "airflow.retry" else ""
    head = '[[rule]]\nid = "a"\nmode = "act"\non = "task.failed_finally"\n'
    line = Timeline(rules_of(head + step(case.action, f"{case.keys}\n{backoff}"))).fails("load").at("1m")
    for proposal in [one for incident in line.incidents.values() for one in incident.proposals]:
        assert case.asks
        line.give(Pressed("ann", "approve", subject=proposal.id, key=proposal.key)).at("2m")
    kind = case.kind or case.action
    (action,) = (one for one in line.actions if one.kind == kind)
    assert {name: getattr(action.params, name) for name in case.wanted} == case.wanted


@pytest.mark.parametrize("case", [case for case in CASES if not CHANGES[case.action].answers], ids=lambda c: c.action)
def test_so_is_an_event_and_what_a_detector_finds(case: Case) -> None:
    keys = case.keys.replace("{event.task_id}", "load")
    stateful = 'per = ["deployment", "dag_id"]\nwindow = { length = "1h", at_least = 2 }\n'
    for more in ("", stateful):
        head = f'[[rule]]\nid = "a"\nmode = "act"\non = "check.failed"\n{more}'
        line = Timeline(rules_of(head + step(case.action, keys)))
        for second in (1, 2):
            line.event(Event("check.failed", START + second * SECOND, deployment="prod", dag_id="sales", subject="x"))
        line.until(START + HOUR // 2)
        kind = case.kind or case.action
        action = next(one for one in line.actions if one.kind == kind)
        assert {name: getattr(action.params, name) for name in case.wanted} == case.wanted
