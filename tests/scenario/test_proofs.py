"""Stories of proofs that do not come: a person hears of it, and the scheduler is not asked without end."""

from __future__ import annotations

import msgspec

from remediator.engine.state import DagState
from remediator.model.action import Retry
from remediator.model.event import Event
from remediator.model.outcome import Delivered, Refused
from remediator.model.reasons import Reason
from remediator.rules.spec import Step
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import RETRY, story


def looks(line: Timeline) -> int:
    return sum(one.kind == "airflow.look" for one in line.actions)


def test_a_cleared_task_that_never_begins_is_told() -> None:
    line = story(RETRY).fails("load").at("30s").expect_retry("load")
    line.look_says("load", "queued", 1, dagrun="queued").at("30m").expect_nothing()
    line.at("40m").expect_page().expect_reason(Reason.UNVERIFIED)
    asked = looks(line)
    line.at("24h").expect_nothing()
    assert looks(line) - asked <= 24 * 6


def test_what_succeeds_after_it_was_told_is_nobody_elses_doing() -> None:
    line = story(RETRY).fails("load").at("30s").expect_retry("load")
    line.look_says("load", "queued", 1, dagrun="queued").at("40m").expect_page()
    line.look_says("load", "success", 2, dagrun="success").dagrun("success").at("41m").expect_page("resolve")
    assert not any("somebody else" in one.text for one in line.decisions)


def test_a_task_that_runs_for_longer_than_its_proof_was_to_take_is_waited_for() -> None:
    line = story(RETRY).fails("load").at("2h").expect_retry("load").expect_nothing()
    line.look_says("load", "success", 2, dagrun="success").dagrun("success").at("3h").expect_reason(Reason.HELPED)


def test_a_task_that_its_upstream_keeps_from_running_was_not_helped() -> None:
    line = story(Step("airflow.rerun")).fails("load").at("30s").expect_change("airflow.rerun")
    line.look_says("load", "upstream_failed", 1, dagrun="failed").at("5m")
    line.expect_page().expect_reason(Reason.DID_NOT_HELP)
    asked = looks(line)
    line.at("24h").expect_nothing()
    assert looks(line) - asked <= 24 * 6


def test_what_a_person_cleared_first_is_theirs_though_our_clear_named_it_too() -> None:
    line = story(RETRY).answer_with("airflow.retry", Delivered(left=("merge",)))
    line.fails("load").fails("merge").at("10s").expect_retry("load", "merge")
    for task_id in ("load", "merge"):
        line.look_says(task_id, "running", 2, dagrun="running")
    line.look_says("load", "success", 2).look_says("merge", "success", 2, dagrun="success").dagrun("success").at("5m")
    line.expect_reason(Reason.HELPED).expect_open(0)
    assert any("merge was cleared by somebody else" in one.text for one in line.decisions)
    assert [(rate.helped, rate.in_vain) for rate in line.core.ledger.rates.values()] == [(1, 0)]


def test_a_dagrun_that_is_too_large_for_a_look_is_not_looked_at_every_few_seconds() -> None:
    line = story()
    truth = line.scheduler.truth
    line.scheduler.truth = lambda *asked: msgspec.structs.replace(truth(*asked), complete=False)  # type: ignore[method-assign]
    line.fails("load").dagrun("failed").at("1h")
    assert looks(line) <= 90


def test_a_clear_of_a_group_knows_the_group_that_the_event_named() -> None:
    line = story(Step("airflow.retry", params={"scope": "group"}))
    failure = Event("task.failed", line.now, source="story", deployment="prod", dag_id="sales", run_id="r1",
                    task_id="part.v1.load", try_number=1, attributes={"task_group": "part.v1"})  # fmt: skip
    line.look_says("part.v1.load", "failed").event(failure).at("1m")
    (retry,) = (one.params for one in line.actions if isinstance(one.params, Retry))
    assert [one.group for one in retry.tasks] == ["part.v1"]


def test_a_change_that_does_not_end_the_failure_is_not_the_end_of_the_story() -> None:
    repair = Step("airflow.trigger", params={"dag_id": "repair"})
    line = story(repair, otherwise=()).fails("load").at("15m").expect_change("airflow.trigger").expect_nothing()
    line.at("25m").expect_page().expect_reason(Reason.DID_NOT_HELP)
    line.at("12h").expect_nothing()


def test_what_is_well_after_a_change_of_ours_is_nobody_elses_doing() -> None:
    line = story(Step("airflow.trigger", params={"dag_id": "repair"})).fails("load").at("5m")
    line.look_says("load", "success", 2, dagrun="success").dagrun("success").at("6m").expect_open(0)
    assert any("load is well after airflow.trigger" in one.text for one in line.decisions)


def waits(line: Timeline) -> set[str]:
    """What the one case has waited for."""
    (state,) = (one for one in line.core.states.values() if isinstance(one, DagState))
    return set(state.dagruns["r1"].cases["load"].waits)


def test_the_proof_of_a_change_and_the_beginning_of_a_cleared_task_are_waited_for_by_different_names() -> None:
    repair = Step("airflow.trigger", params={"dag_id": "repair"})
    line = story(repair, otherwise=()).fails("load").at("15m")
    assert waits(line) == {"proof"}
    line = story(RETRY).fails("load").at("10s").expect_retry("load").look_says("load", "queued", 1, dagrun="queued")
    assert waits(line.at("30m")) == {"beginning"}


def test_a_dagrun_that_failed_without_a_failed_task_is_told_once() -> None:
    line = story(RETRY)
    line.scheduler.ends(("prod", "sales", "r1"), "failed", line.now)
    line.dagrun("failed").at("1m").expect_page().expect_nothing()
    line.dagrun("failed", happened="0s").at("5h").expect_nothing()


def test_what_a_person_marked_failed_is_left_to_them_and_pages_nobody() -> None:
    wish = Refused("ann marked load failed at 2026-11-23T08:00:00Z", theirs=True)
    line = story(RETRY).answer_with("airflow.retry", wish).fails("load").at("10s").expect_retry("load")
    line.dagrun("failed").at("24h").expect_nothing().expect_reason(Reason.LEFT_ALONE).expect_open(0)
    assert [one.resolution.partition(":")[0] for one in line.incidents.values()] == ["left_alone"]
    (state,) = (one for one in line.core.states.values() if isinstance(one, DagState))
    assert not any(state.budgets.values())


def test_of_several_failures_only_the_one_that_a_person_marked_is_theirs() -> None:
    line = story(RETRY).answer_with("airflow.retry", Delivered(left=("merge",), theirs=("merge",)))
    line.fails("load").fails("merge").at("10s").expect_retry("load", "merge").expect_reason(Reason.LEFT_ALONE)
    line.look_says("merge", "failed", 1).look_says("load", "success", 2, dagrun="failed").dagrun("failed").at(
        "5m"
    ).expect_reason(Reason.HELPED).expect_open(0)
    line.at("24h").expect_nothing()
