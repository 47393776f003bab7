"""Stories of whose doing a success is: what our change made is counted for its rule, what anybody else made is not."""

from __future__ import annotations

import pytest

from remediator.model.action import Look
from remediator.model.event import ErrorInfo, Event
from remediator.model.outcome import Delivered, Unknown
from remediator.model.reasons import Reason
from remediator.model.truth import DagRunTruth, TaskTruth
from remediator.rules.spec import Step
from remediator.testing.timeline import START, Timeline
from tests.scenario.test_brakes import RETRY, story

REPROCESS = Step("airflow.reprocess")
BACKFILL = Step("airflow.backfill", params={"reprocess": "failed"})


def rates(line: Timeline) -> list[tuple[int, int]]:
    return [(rate.helped, rate.in_vain) for rate in line.core.ledger.rates.values()]


def said(line: Timeline, part: str) -> bool:
    return any(part in one.text for one in line.decisions)


def cleared() -> Timeline:
    """Our clear of try 1 was made at 5 s, and its try runs."""
    return story(RETRY).fails("load", retries=0).at("5s").expect_retry("load")


def ends_well(line: Timeline, try_number: int) -> Timeline:
    line.look_says("load", "success", try_number, dagrun="success")
    return line.dagrun("success").at("5m").expect_open(0)


def running(line: Timeline, try_number: int, max_tries: int) -> Timeline:
    """Any look from now on finds it so."""
    task = TaskTruth("load", "running", try_number, max_tries=max_tries)
    line.scheduler.has(DagRunTruth("prod", "sales", "r1", "running", (task,)), line.now)
    return line


def test_the_try_that_our_clear_made_is_our_help() -> None:
    line = ends_well(cleared(), 2).expect_reason(Reason.HELPED)
    assert rates(line) == [(1, 0)]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_later_try_that_a_person_cleared_is_theirs(is_told: bool) -> None:
    line = cleared()
    if is_told:
        line.task_failed("load", 2)
    ends_well(line, 3).expect_reason(Reason.HELPED, 0).expect_reason(Reason.RECOVERED, 1 + is_told)
    assert said(line, "fixed by somebody else, at try 3; airflow.retry made try 2")
    assert rates(line) == []
    assert not line.core.ledger.breakers


def test_a_try_that_airflow_gave_our_clear_is_our_help() -> None:
    line = story(RETRY).fails("load", 2, retries=1).at("5s").expect_retry("load")
    ends_well(line.task_failed("load", 3, retries=1), 4).expect_reason(Reason.HELPED)
    assert rates(line) == [(1, 0)]


def test_how_many_tries_our_clear_gave_is_read_where_no_event_told() -> None:
    line = story(RETRY).fails("load", 2, retries=None).at("5s").expect_retry("load")
    running(line, 3, max_tries=4).at("2m")
    ends_well(line, 5).expect_reason(Reason.HELPED)
    other = story(RETRY).fails("load", 2, retries=None).at("5s").expect_retry("load")
    running(other, 3, max_tries=3).at("2m")
    running(other, 5, max_tries=5).at("4m")
    ends_well(other, 5).expect_reason(Reason.HELPED, 0)


def test_our_failed_try_that_a_person_marks_as_well_is_theirs() -> None:
    line = cleared().task_failed("load", 2)
    ends_well(line, 2).expect_reason(Reason.HELPED, 0)
    assert said(line, "somebody else set try 2, which had failed, to success")
    assert rates(line) == []


def test_the_attempt_itself_that_a_person_marks_as_well_is_theirs() -> None:
    line = story(RETRY).answer_with("airflow.retry", Unknown("timed out")).fails("load").at("5s")
    ends_well(line, 1).expect_reason(Reason.HELPED, 0)
    assert rates(line) == []


def test_a_clear_of_which_nobody_knows_whether_it_was_made_claims_nothing() -> None:
    line = story(RETRY).answer_with("airflow.retry", Unknown("timed out")).fails("load").at("5s")
    ends_well(line, 2).expect_reason(Reason.HELPED, 0)
    assert said(line, "whether airflow.retry was made is not known")
    assert rates(line) == []


def test_a_clear_whose_answer_was_lost_is_known_by_its_note() -> None:
    line = story(RETRY).answer_with("airflow.retry", Unknown("timed out")).fails("load").at("5s")
    (retry,) = (one for one in line.actions if one.kind == "airflow.retry")
    done = TaskTruth("load", "success", 2, note=f"remediator {retry.id}")
    line.scheduler.has(DagRunTruth("prod", "sales", "r1", "success", proved=(done,)), line.now)
    line.dagrun("success").at("5m").expect_reason(Reason.HELPED)


def test_only_what_is_under_way_has_to_be_proved() -> None:
    line = story(RETRY).fails("load").fails("merge").at("5s")
    ends_well(line.look_says("merge", "success", 2), 2)
    asked = [one.params.proving for one in line.actions if isinstance(one.params, Look)]
    assert asked[0] == ()
    assert set(asked[1:]) == {("load", "merge")}


# -- changes of the failed dagrun beyond the retry --------------------------------------------------------------------


def dated(line: Timeline, **fields: object) -> Timeline:
    """try 1 of load fails in the dagrun of START."""
    line.look_says("load", "failed", 1)
    error = ErrorInfo(type="KeyError", message="x")
    return line.event(Event("task.failed", line.now, source="s", deployment="prod", dag_id="sales", run_id="r1",
                            task_id="load", try_number=1, error=error, logical_date=START, retries=0))  # fmt: skip


@pytest.mark.parametrize("step", [REPROCESS, BACKFILL])
def test_running_the_failed_dagrun_again_is_proved_by_looks(step: Step) -> None:
    line = dated(story(step)).at("10s").look_says("load", "running", 2, dagrun="running").at("1m")
    ends_well(line, 2).expect_reason(Reason.HELPED)
    assert rates(line) == [(1, 0)]
    assert not said(line, "somebody else")


@pytest.mark.parametrize("step", [REPROCESS, BACKFILL])
def test_running_the_failed_dagrun_again_in_vain_feeds_the_breaker(step: Step) -> None:
    line = dated(story(step)).at("10s").look_says("load", "running", 2, dagrun="running").at("1m")
    line.fails("load", 2).at("5m").expect_reason(Reason.DID_NOT_HELP)
    assert rates(line) == [(0, 1)]
    assert [one.results for one in line.core.ledger.breakers.values()] == [[False]]


def test_a_backfill_may_take_its_time_to_come_to_the_failed_dagrun() -> None:
    line = dated(story(BACKFILL)).at("5m").expect_reason(Reason.DID_NOT_HELP, 0)
    line.at("30m").expect_reason(Reason.DID_NOT_HELP).expect_change("airflow.backfill").expect_page()


@pytest.mark.parametrize("step", [REPROCESS, BACKFILL])
def test_the_failed_dagrun_is_named_so_that_its_end_is_waited_for(step: Step) -> None:
    line = dated(story(step)).at("10s")
    (wanted,) = (one.params for one in line.actions if one.kind == step.action)
    assert wanted.run_id == "r1"
    assert (wanted.attempt.task_id, wanted.attempt.try_number) == ("load", 1)


def test_running_other_dagruns_again_claims_nothing() -> None:
    since = "2020-01-01T00:00:00Z"
    step = Step("airflow.reprocess", params={"since": since, "until": "2020-01-02T00:00:00Z"})
    line = dated(story(step)).at("10s").expect_change("airflow.reprocess", run_id="", attempt=None)
    ends_well(line, 2).expect_reason(Reason.HELPED, 0)
    assert said(line, "load is well after airflow.reprocess")
    assert rates(line) == []


def test_rerunning_another_dagrun_claims_nothing() -> None:
    step = Step("airflow.rerun", params={"run_id": "r0"})
    line = dated(story(step)).at("10s").expect_change("airflow.rerun", run_id="r0")
    ends_well(line, 2).expect_reason(Reason.HELPED, 0)
    assert rates(line) == []


def test_what_is_well_after_a_change_and_a_message_is_not_said_to_be_somebody_elses() -> None:
    line = story(Step("airflow.trigger", params={"dag_id": "repair"}), Step("notify", to="chat")).fails("load")
    line.answer_with("airflow.trigger", Delivered()).at("1m")
    ends_well(line, 2)
    assert said(line, "load is well after airflow.trigger")
    assert not said(line, "somebody else")


# -- another dagrun ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "well", "is_over"),
    [
        ("scheduled__2026-11-22T00:00:00+00:00", "scheduled__2026-11-23T00:00:00+00:00", True),
        ("scheduled__2026-11-22T00:00:00+00:00", "scheduled__2026-11-21T00:00:00+00:00", False),
        ("scheduled__2026-11-22T00:00:00+00:00", "manual__2026-11-23T00:00:00+00:00", False),
        ("asset_triggered__2026-11-22T00:00:00+00:00", "asset_triggered__2026-11-23T00:00:00+00:00", True),
        ("asset_triggered__2026-11-22T00:00:00+00:00", "scheduled__2026-11-23T00:00:00+00:00", False),
        ("manual__2026-11-22T00:00:00+00:00", "scheduled__2026-11-23T00:00:00+00:00", False),
        ("manual__2026-11-22T00:00:00+00:00", "asset_triggered__2026-11-23T00:00:00+00:00", False),
        ("manual__2026-11-22T00:00:00+00:00", "manual__2026-11-23T00:00:00+00:00", False),
        ("manual__2026-11-22T00:00:00+00:00", "manual__2026-11-22T00:00:00+00:00", True),
        ("backfill__2026-11-22T00:00:00+00:00", "scheduled__2026-11-23T00:00:00+00:00", False),
    ],
)
def test_which_dagrun_ends_an_incident(failed: str, well: str, is_over: bool) -> None:
    line = story(Step("page", to="default")).fails("load", run_id=failed).at("1m").expect_page()
    line.look_says("load", "success", 2, dagrun="success", run_id=well)
    line.task_success("load", 2, run_id=well).at("2m").expect_open(0 if is_over else 1)


def test_the_kind_that_an_event_names_counts_more_than_an_id() -> None:
    line = story(Step("page", to="default"))
    base = {"source": "s", "deployment": "prod", "dag_id": "sales", "task_id": "load", "try_number": 1}
    line.look_says("load", "failed", 1, run_id="fix-42")
    line.event(Event("task.failed", line.now, run_id="fix-42", run_type="manual", **base)).at("1m").expect_page()  # type: ignore[arg-type]
    line.event(Event("task.success", line.now, run_id="night-7", run_type="scheduled", **base)).at("2m").expect_open(1)  # type: ignore[arg-type]
