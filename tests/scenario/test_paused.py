"""A DAG that a person has paused: nothing is run again that would only wait, people are told, and it goes on later."""

from __future__ import annotations

from remediator.model.action import Pause
from remediator.model.outcome import Delivered, Refused
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import Timeline

POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT)},
    routes={
        "default": Route("default", (Destination("pagerduty.page", "pagerduty"),)),
        "chat": Route("chat", (Destination("slack.message", "slack", "#data"),)),
    },
    unclassified_route="chat",
    lateness=10 * SECOND,
)
RETRY = Step("airflow.retry", backoff=Backoff(initial=1 * SECOND, jitter=0))
RERUN = Step("airflow.rerun", verify=30 * MINUTE)
PAUSE = Step("airflow.pause")
PAGE = Step("page", to="default")


class Story(Timeline):
    """Somebody pauses the DAG, or lets it go on."""

    def paused(self, paused: bool = True) -> Story:
        (self.scheduler.paused.add if paused else self.scheduler.paused.discard)(("prod", "sales"))
        return self


def story(*do: Step, otherwise: tuple[Step, ...] = (PAGE,)) -> Story:
    return Story(spec(*do, otherwise=otherwise))


def spec(*do: Step, otherwise: tuple[Step, ...] = (PAGE,)) -> RuleSetSpec:
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=otherwise)
    return RuleSetSpec((rule,), POLICY)


def test_a_retry_waits_until_the_dag_is_resumed_and_is_told_once() -> None:
    line = story(RETRY).paused().fails("load").at("25m")
    line.expect_page().expect_nothing().expect_reason(Reason.PAUSED)
    line.paused(False)
    line.at("40m").expect_retry("load").expect_nothing()
    line.look_says("load", "success", 2, dagrun="success").at("1h").expect_page("resolve").expect_nothing()


def test_so_does_any_other_change_that_would_queue() -> None:
    line = story(RERUN).paused().fails("load").at("25m").expect_page().expect_nothing()
    assert isinstance(line, Story)
    line.paused(False).at("40m").expect_change("airflow.rerun")


def test_without_anybody_to_tell_the_route_for_unknown_failures_is() -> None:
    story(RETRY, otherwise=()).paused().fails("load").at("5m").expect_message().expect_nothing()


def test_a_dag_that_is_paused_and_cleared_by_hand_is_left_to_that_person() -> None:
    line = story(RETRY).paused().fails("load").at("5m").expect_page().expect_nothing()
    line.look_says("load", "queued", 2, dagrun="queued").at("15m").expect_page("resolve").expect_nothing()


def test_what_we_paused_ourselves_holds_nothing() -> None:
    line = story(PAUSE, RETRY).answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("10s")
    line.expect_change("airflow.pause").expect_retry("load")
    line.paused().look_says("load", "failed", 2, dagrun="failed").task_failed("load", 2).at("1m")
    line.expect_reason(Reason.PAUSED, 0)


def test_what_we_had_paused_before_is_still_ours_after_a_second_pause() -> None:
    line = story(PAUSE, RETRY)
    line.answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("2s")
    line.paused().at("1m").expect_change("airflow.pause").expect_retry("load")
    line.answer_with("airflow.pause", Delivered(before="paused"))
    for name in ("b", "c"):
        line.fails(name, run_id=name).until(line.now + MINUTE).expect_change("airflow.pause").expect_retry(name)
    line.expect_nothing().expect_reason(Reason.PAUSED, 0)


def test_what_was_paused_before_our_pause_is_a_persons() -> None:
    line = story(PAUSE, RERUN).answer_with("airflow.pause", Delivered(before="paused")).paused().fails("load")
    line.at("1m").expect_change("airflow.pause").expect_page().expect_nothing().expect_reason(Reason.PAUSED)


def test_an_undo_that_a_person_forestalled_is_told_and_the_pause_is_theirs() -> None:
    once = Step("airflow.pause", undo_after=HOUR)
    line = story(once).answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("10s")
    line.expect_change("airflow.pause", paused=True)
    line.answer_with("airflow.pause", Refused("ann paused or resumed the DAG after us", theirs=True)).at("70m")
    (undo,) = (one for one in line.actions if isinstance(one.params, Pause) and not one.params.paused)
    assert isinstance(undo.params, Pause)
    assert undo.params.since == line.began + 2 * SECOND
    assert any(one.rule == "self.undo_failed" for one in line.incidents.values())
    assert line.core.ledger.our_pauses == {}


def test_a_pause_that_we_only_put_back_is_still_a_persons() -> None:
    resume = Step("airflow.resume", undo_after=10 * MINUTE)
    line = story(resume).answer_with("airflow.pause", Delivered(before="paused")).fails("load").at("1m")
    line.expect_change("airflow.pause", paused=False)
    line.answer_with("airflow.pause", Delivered(before="unpaused")).at("11m").expect_change(
        "airflow.pause", paused=True
    )
    line.paused().activate(spec(RETRY))
    line.fails("other", run_id="r2").at("14m").expect_reason(Reason.PAUSED)
    assert not [one for one in line.actions if one.kind == "airflow.retry"]


def test_our_own_pause_is_forgotten_once_it_is_undone() -> None:
    once = Step("airflow.pause", undo_after=HOUR)
    line = story(once).answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("10s")
    line.expect_change("airflow.pause", paused=True).answer_with("airflow.pause", Delivered(before="paused")).at("70m")
    line.expect_change("airflow.pause", paused=False)
    assert line.core.ledger.our_pauses == {}
