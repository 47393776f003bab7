"""Stories of what is changed for a time: it is changed back then, whatever stands in the way meanwhile."""

from __future__ import annotations

import pytest

from remediator.engine.state import DagState
from remediator.model.action import Action, Pause
from remediator.model.inputs import Pressed
from remediator.model.outcome import FROZEN, Delivered, FinalOutcome, Refused, Unknown
from remediator.model.policy import Maintenance, Mode
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.testing.timeline import START, Timeline
from tests.scenario.test_brakes import PAGE, POLICY, limits, story


def test_a_change_of_the_dag_is_made_and_taken_back_in_time() -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, PAGE, otherwise=()).answer_with("airflow.pause", Delivered(before="unpaused"))
    line.fails("load").at("1m").expect_change("airflow.pause", paused=True).expect_page()
    line.at("29m").expect_nothing()
    line.at("31m").expect_change("airflow.pause", paused=False).expect_reason(Reason.UNDONE)


def test_an_undo_waits_for_the_thaw() -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, otherwise=()).answer_with("airflow.pause", Delivered(before="unpaused"))
    line.fails("load").at("1m").expect_change("airflow.pause", paused=True)
    line.freeze().at("3h").expect_page().expect_nothing().expect_reason(Reason.UNDONE, 0).expect_reason(
        Reason.FROZEN, 2
    )
    line.thaw().expect_change("airflow.pause", paused=False).expect_nothing()
    assert not any(state.undos for state in line.core.states.values() if isinstance(state, DagState))


class FrozenOnTheWay(Timeline):
    """The freeze is pressed after the undo was issued, before it is performed."""

    def outcome_of(self, action: Action) -> FinalOutcome | None:
        if not isinstance(action.params, Pause) or action.params.why != "undone":
            return super().outcome_of(action)
        if self.core.world.now > self.began + 31 * MINUTE:
            return Delivered()
        self.give(Pressed("ann", "freeze"))
        return Refused(FROZEN)


def test_an_undo_that_the_freeze_caught_on_its_way_is_made_after_the_thaw() -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(pause,))
    line = FrozenOnTheWay(RuleSetSpec((rule,), POLICY)).answer_with("airflow.pause", Delivered(before="unpaused"))
    line.fails("load").at("1m").expect_change("airflow.pause", paused=True)
    line.at("3h").expect_page().expect_change("airflow.pause", paused=False).expect_nothing()
    line.thaw().expect_change("airflow.pause", paused=False).expect_nothing()
    ids = [one.id for one in line.actions if one.kind == "airflow.pause"]
    assert len(ids) == len(set(ids)) == 3


def test_an_undo_that_a_thaw_leaves_to_maintenance_is_made_after_that() -> None:
    window = Maintenance(("prod",), START + 40 * MINUTE, START + 2 * HOUR, "an upgrade")
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, otherwise=(), policy=limits(maintenance=(window,)))
    line.answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("20m")
    line.expect_change("airflow.pause", paused=True)
    line.look_says("load", "success", 2, dagrun="success").dagrun("success").at("25m")
    line.freeze().at("50m").thaw().at("119m").expect_nothing()
    line.at("121m").expect_change("airflow.pause", paused=False)


def test_what_a_person_had_done_already_is_not_taken_back() -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, otherwise=()).answer_with("airflow.pause", Delivered(before="paused", detail="already"))
    line.fails("load").at("1m").expect_change("airflow.pause", paused=True)
    line.at("2h")
    assert sum(one.kind == "airflow.pause" for one in line.actions) == 1


@pytest.mark.parametrize("outcome", [Delivered(detail="found to be so"), Unknown("no answer")])
def test_what_cannot_be_taken_back_is_told(outcome: Delivered | Unknown) -> None:
    pool = Step("airflow.pool", params={"pool": "p", "slots": 64}, undo_after=30 * MINUTE)
    line = story(pool, otherwise=()).answer_with("airflow.pool", outcome).fails("load").at("1m")
    line.expect_change("airflow.pool", slots=64).expect_message()
    assert any(one.rule == "self.undo_failed" for one in line.incidents.values())


@pytest.mark.parametrize("outcome", [
    Refused("not done before airflow.pause expired"),
    Refused("gave up after 51 tries: not reachable"),
    Unknown("not done before airflow.pause expired, and an earlier call may have acted"),
])  # fmt: skip
def test_an_undo_that_nobody_answered_is_told_and_tried_again(outcome: Refused | Unknown) -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, otherwise=()).answer_with("airflow.pause", Delivered(before="unpaused"))
    line.fails("load").at("1m").expect_change("airflow.pause", paused=True)
    line.answer_with("airflow.pause", outcome).at("31m").expect_change("airflow.pause", paused=False)
    (told,) = (one for one in line.incidents.values() if one.rule == "self.undo_failed")
    assert told.status.endswith("; it is tried again")
    line.answer_with("airflow.pause", Delivered(before="paused")).at("33m").expect_change("airflow.pause", paused=False)
    assert line.incidents[told.id].resolution
    ids = [one.id for one in line.actions if one.kind == "airflow.pause"]
    assert len(ids) == len(set(ids)) == 3


def test_an_undo_is_not_tried_for_ever() -> None:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = story(pause, otherwise=()).answer_with("airflow.pause", Delivered(before="unpaused")).fails("load").at("1m")
    line.answer_with("airflow.pause", Refused("not done before airflow.pause expired")).at("3h")
    assert sum(one.kind == "airflow.pause" for one in line.actions) == 1 + 49
