"""What the simulation has found, each as the shortest story that tells it."""

from __future__ import annotations

from remediator.engine.state import DagState
from remediator.model.action import Action, Page, Pause
from remediator.model.inputs import Performed, Pressed
from remediator.model.outcome import NOT_DONE, Delivered, Refused
from remediator.model.policy import DeploymentPolicy, Destination, Maintenance, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import START, Timeline

INDEXES = 20
MOST_LOOKS = 12
"""Of one dagrun, for its failures, the clear, and what it brought."""


def spec(*do: Step, pages_per_hour: int = 20, maintenance: tuple[Maintenance, ...] = ()) -> RuleSetSpec:
    route = Route("default", (Destination("pagerduty.page", "pagerduty"),), pages_per_hour=pages_per_hour)
    policy = Policy(
        {"prod": DeploymentPolicy("prod", "feed", Mode.ACT)}, {"default": route}, lateness=10 * SECOND,
        maintenance=maintenance,
    )  # fmt: skip
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=(Step("page", "default"),))
    return RuleSetSpec((rule,), policy)


def story(*do: Step, pages_per_hour: int = 20, maintenance: tuple[Maintenance, ...] = ()) -> Timeline:
    return Timeline(spec(*do, pages_per_hour=pages_per_hour, maintenance=maintenance))


def test_many_mapped_tasks_that_succeed_together_are_seen_by_few_looks() -> None:
    line = story(Step("airflow.retry", backoff=Backoff(SECOND, jitter=0)))
    for index in range(INDEXES):
        line.look_says("load", "failed", 1, map_index=index, dagrun="failed").task_failed("load", 1, map_index=index)
    line.at("20s").expect_retry(*["load"] * INDEXES)
    for index in range(INDEXES):
        line.at(f"{21 + index // 10}s{index % 10 * 100}ms").look_says(
            "load", "success", 2, map_index=index, dagrun="running"
        )
        line.task_success("load", 2, map_index=index)
    line.look_says("load", "success", 2, map_index=0, dagrun="success").dagrun("success").at("5m")
    state = line.core.states["dag:prod/sales"]
    assert isinstance(state, DagState)
    assert state.dagruns["r1"].looks <= MOST_LOOKS
    line.expect_reason(Reason.HELPED, INDEXES)


def test_many_failures_that_are_well_before_their_first_look_are_seen_by_few_looks() -> None:
    line = story(Step("airflow.retry", backoff=Backoff(SECOND, jitter=0)))
    for index in range(INDEXES):
        line.look_says("load", "success", 2, map_index=index).task_failed("load", 1, map_index=index)
    line.unreachable()
    for index in range(INDEXES):
        line.task_success("load", 2, map_index=index)
    line.at("30s").reachable().dagrun("success").at("5m")
    state = line.core.states["dag:prod/sales"]
    assert isinstance(state, DagState)
    assert state.dagruns["r1"].looks <= MOST_LOOKS
    line.expect_nothing()


def test_a_page_that_joined_a_digest_has_told_people_and_is_not_repeated() -> None:
    line = story(Step("airflow.trigger", params={"dag_id": "repair"}), Step("page", "default"), pages_per_hour=0)
    line.fails("load").at("1m").expect_change("airflow.trigger").expect_page()
    line.at("55m").expect_reason(Reason.DID_NOT_HELP, 0).expect_nothing()


def test_nothing_goes_back_under_maintenance_but_right_after_it() -> None:
    window = Maintenance(("prod",), START + 20 * MINUTE, START + 60 * MINUTE, "an upgrade")
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, Step("page", "default"), maintenance=(window,))
    line.answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("59m")
    line.expect_change("airflow.pause", paused=True).expect_page().expect_nothing()
    line.at("61m").expect_change("airflow.pause", paused=False).expect_reason(Reason.UNDONE)


class Slow(Timeline):
    """Whatever lets a DAG go on, and what is told of us, stays in its lane until the story says what became of it."""

    waiting: list[Action]

    def _answer(self, action: Action) -> None:
        lets_go_on = isinstance(action.params, Pause) and not action.params.paused
        if lets_go_on or (isinstance(action.params, Page) and action.params.incident.rule.startswith("self.")):
            self.waiting.append(action)
        else:
            super()._answer(action)


def test_an_undo_that_maintenance_was_faster_than_is_made_after_it() -> None:
    window = Maintenance(("prod",), START + 20 * MINUTE, START + 60 * MINUTE, "an upgrade")
    step = Step("airflow.pause", undo_after=19 * MINUTE)
    line = Slow(spec(step, Step("page", "default"), maintenance=(window,)))
    line.waiting = []
    line.answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("21m").expect_page()
    (undo,) = line.waiting
    assert undo.not_after == window.begin - 1
    line.give(Performed(undo.id, undo.key, undo.kind, Refused("not done before airflow.pause expired"))).at("59m")
    assert line.waiting == [undo]
    line.at("61m")
    assert [one.params for one in line.waiting] == [undo.params, undo.params]


def test_what_a_backup_had_not_told_of_us_yet_is_told_after_it_is_put_back() -> None:
    line = Slow(spec(Step("page", "default"), pages_per_hour=0))
    line.waiting = []
    line.fails("load").at("10s")
    (digest,) = line.waiting
    line.give(Pressed("somebody", "restored", actions=1))
    line.give(Performed(digest.id, digest.key, digest.kind, Refused(NOT_DONE), proved=True)).at("20s")
    anew = [one for one in line.waiting if one.incident == digest.incident]
    assert [one.params for one in anew] == [digest.params, digest.params]
    assert anew[1].id != digest.id


def test_a_pause_during_maintenance_is_known_when_the_retry_that_it_put_off_has_its_turn() -> None:
    window = Maintenance(("prod",), START, START + 60 * MINUTE, "an upgrade")
    line = story(Step("airflow.retry", backoff=Backoff(SECOND, jitter=0)), maintenance=(window,)).fails("load")
    line.at("59m").expect_nothing().scheduler.paused.add(("prod", "sales"))
    line.at("61m").expect_reason(Reason.PAUSED).expect_page().expect_nothing()


def test_a_pause_during_a_long_backoff_is_known_when_the_retry_has_its_turn() -> None:
    line = story(Step("airflow.retry", backoff=Backoff(10 * MINUTE, jitter=0))).fails("load")
    line.at("9m").scheduler.paused.add(("prod", "sales"))
    line.at("11m").expect_reason(Reason.PAUSED).expect_page().expect_nothing()
