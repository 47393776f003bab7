"""A long life with ever new DAGs, dagruns, subjects and conditions: what is remembered of it does not grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from remediator.engine import breakers, firing, forgetting, incident, world
from remediator.engine.detector_state import DetectorState
from remediator.engine.saved import encode_state
from remediator.engine.state import DagState, State
from remediator.model.event import ConditionInfo, Event
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import DAY, HOUR, MINUTE, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Selector, Step, Window
from remediator.testing.timeline import Timeline

POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT)},
    routes={"default": Route("default", (Destination("slack.message", "slack", "#data"),))},
    lateness=10 * SECOND,
    memory=HOUR,
    incident_expiry=DAY,
    calm_after=HOUR,
    told_look_every=6 * HOUR,
    sweep_every=6 * HOUR,
    survey_every=6 * HOUR,
)
TELL = Step("notify", to="default")
PAUSE = Step("airflow.pause", params={"dag_id": "feeder"}, undo_after=HOUR)
RETRY = Step("airflow.retry", max_attempts=2, backoff=Backoff(SECOND, jitter=0), verify=5 * MINUTE)
BUDGETS = (Budget(per_day=5), Budget(per_day=900, target="dag"), Budget(per_day=900, target="owner"))
RULES = (
    Rule("retried", on=("task.failed_finally",), mode=Mode.ACT, budget=BUDGETS, do=(RETRY,), otherwise=(TELL,)),
    Rule("single", on=("check.failed",), mode=Mode.ACT, do=(TELL, PAUSE), ended_by=Selector(("check.passed",))),
    Rule("counted", on=("spike",), mode=Mode.ACT, per=("subject",), window=Window(10 * MINUTE, at_least=1), do=(TELL,)),
    Rule("held", on=("down",), mode=Mode.ACT, per=("subject",), hold_for=HOUR, ended_by=Selector(("up",)), do=(TELL,)),
)
EVERY = 12 * HOUR
ROUNDS = 36
CAP = 6
"""Of what is bounded by number: small, so that this life comes to it."""


def live(line: Timeline, number: int) -> None:
    """Half a day in which everything has a name that was never heard before."""
    name, fresh = f"n{number}", number % 2
    line.fails("load", dag_id=name, run_id=f"manual__{name}")
    line.until(line.now + MINUTE)
    if fresh:
        line.look_says("load", "success", 2, dagrun="success", dag_id=name, run_id=f"manual__{name}")
    said = ["check.failed", "spike", "down", *(["check.passed", "up"] if fresh else [])]
    for one in said:
        line.event(Event(one, line.now, deployment="prod", dag_id="fixed", subject=name))
        line.until(line.now + SECOND)
    for kind, scope in (("node.not_ready", name), (f"condition.{name}", "")):
        line.event(Event("node", line.now, deployment="prod", condition=ConditionInfo(kind, scope)))
    line.until(line.now + EVERY)


def sizes(line: Timeline) -> dict[str, int]:
    """What is saved of each kind of state, in bytes, and how many keys."""
    core = line.core
    kept = [state for state in core.states.values() if state is not None]

    def total(states: list[State]) -> int:
        return sum(len(encode_state(state)) for state in states)

    return {
        "world": total([core.world]),
        "ledger": total([core.ledger]),
        "conditions": total([core.conditions]),
        "DAGs": total([state for state in kept if isinstance(state, DagState)]),
        "detectors": total([state for state in kept if isinstance(state, DetectorState)]),
        "keys": 100 * len(kept),
    }


CAPPED = (
    (firing, "MAX_SUBJECTS"),
    (incident, "MAX_EPISODES"),
    (world, "MAX_EPISODES"),
    (breakers, "MAX_RESULTS"),
)


@dataclass
class Life:
    """The story, and how much was remembered after each of its rounds."""

    line: Timeline
    sizes: list[dict[str, int]]


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    with pytest.MonkeyPatch.context() as patch:
        for module, name in CAPPED:
            patch.setattr(module, name, CAP)
        lived = Life(Timeline(RuleSetSpec(RULES, POLICY), sparse=True), [])
        for number in range(ROUNDS):
            live(lived.line, number)
            lived.sizes.append(sizes(lived.line))
        yield lived


@pytest.mark.parametrize("kind", ["world", "ledger", "conditions", "DAGs", "detectors", "keys"])
def test_what_is_remembered_does_not_grow(life: Life, kind: str) -> None:
    third = ROUNDS // 3
    middle = max(one[kind] for one in life.sizes[third : 2 * third])
    late = max(one[kind] for one in life.sizes[2 * third :])
    assert late <= 1.05 * middle + 100


def test_of_too_many_dagruns_in_trouble_the_oldest_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "MAX_DAGRUNS", CAP)
    told = Rule("told", on=("task.failed_finally",), mode=Mode.ACT, do=(TELL,))
    line = Timeline(RuleSetSpec((told,), POLICY))
    for number in range(3 * CAP):
        line.fails("load", run_id=f"asset_triggered__{number:02}").until(line.now + 10 * SECOND)
    state = line.core.states["dag:prod/sales"]
    assert isinstance(state, DagState)
    assert sorted(state.dagruns) == [f"asset_triggered__{number:02}" for number in range(2 * CAP, 3 * CAP)]
    line.expect_open(1).expect_reason(Reason.LIMIT_REACHED, 2 * CAP)
    line.task_success("load", run_id="asset_triggered__99").until(line.now + MINUTE).expect_open(0)


def test_the_life_was_lived(life: Life) -> None:
    kinds = {one.kind for one in life.line.actions}
    assert {"airflow.retry", "airflow.pause", "slack.message"} <= kinds
    assert {one.rule for one in life.line.incidents.values()} >= {"retried", "single", "counted", "held"}
    assert life.line.core.ledger.spent
    assert {"node.not_ready", f"condition.n{ROUNDS - 1}"} <= life.line.core.conditions.places["prod"].keys()
