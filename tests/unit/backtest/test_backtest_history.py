"""Looks answered from the record's future: what was final at a moment, and what was about to run again."""

from __future__ import annotations

import pytest

from remediator.backtest.answers import Answers, Assume
from remediator.backtest.history import History
from remediator.model.action import Action, Look, Retry, RetryTarget
from remediator.model.event import Event
from remediator.model.inputs import Looked
from remediator.model.time import HOUR, MINUTE, SECOND, Instant

START: Instant = 1_800_000_000 * SECOND
Fact = tuple[int, str, int]
"""(second, type, try), of the task 't'."""


def task(second: int, kind: str, number: int = 1, *, retries: int | None = 1, index: int = -1) -> Event:
    return Event(f"task.{kind}", START + second * SECOND, dag_id="d", run_id="r", task_id="t", try_number=number,
                 retries=retries, map_index=index)  # fmt: skip


def dagrun(second: int, kind: str, **states: str) -> Event:
    return Event(f"dagrun.{kind}", START + second * SECOND, dag_id="d", run_id="r", attributes={"tasks_state": states})


def history(*events: Event, until: int = 100_000) -> History:
    found = History()
    for event in events:
        found.add("prod", event, event.time)
    found.last = START + until * SECOND
    return found


def seen(given: History, second: int) -> tuple[str, list[tuple[str, int]]]:
    truth = given.truth("prod", "d", "r", START + second * SECOND)
    return truth.state, [(one.state, one.try_number) for one in truth.tasks]


def test_a_failure_that_runs_again_by_itself_is_up_for_retry_until_it_runs() -> None:
    given = history(task(10, "failed"), task(70, "started", 2), task(80, "success", 2), dagrun(81, "success"))
    assert seen(given, 9) == ("running", [])
    assert seen(given, 10) == ("running", [("up_for_retry", 1)])
    assert seen(given, 70) == ("running", [("running", 2)])
    assert seen(given, 80) == ("running", [])
    assert seen(given, 81) == ("success", [])


def test_the_last_failure_is_final() -> None:
    given = history(task(10, "failed"), task(70, "started", 2), task(71, "failed", 2), dagrun(75, "failed"))
    assert seen(given, 72) == ("running", [("failed", 2)])
    assert seen(given, 75) == ("failed", [("failed", 2)])


def test_what_somebody_cleared_after_the_dagrun_had_ended_was_final_until_then() -> None:
    given = history(
        task(10, "failed", retries=3),  # AirflowFailException: final with tries left
        dagrun(12, "failed"),
        dagrun(500, "started"),
        task(501, "started", 2, retries=3),
        task(502, "success", 2, retries=3),
        dagrun(503, "success"),
    )
    assert seen(given, 11) == ("running", [("failed", 1)])
    assert seen(given, 400) == ("failed", [("failed", 1)])
    assert seen(given, 500) == ("running", [("failed", 1)])
    assert seen(given, 501) == ("running", [("running", 2)])
    assert seen(given, 503) == ("success", [])


def test_spent_retries_make_a_failure_final_though_somebody_cleared_it_later() -> None:
    given = history(
        task(10, "failed", retries=0), task(900, "started", 2, retries=0), task(950, "failed", 2, retries=0)
    )
    assert seen(given, 11)[1] == [("failed", 1)]
    assert seen(given, 901)[1] == [("running", 2)]
    assert seen(given, 951)[1] == [("failed", 2)]


def test_a_clear_gives_new_tries() -> None:
    given = history(
        task(10, "failed", 1), task(20, "failed", 2), dagrun(21, "failed"),
        task(300, "failed", 3), task(330, "started", 4), task(340, "failed", 4), dagrun(341, "failed"),
    )  # fmt: skip
    assert [seen(given, at)[1] for at in (11, 21, 301, 331, 341)] == [
        [("up_for_retry", 1)], [("failed", 2)], [("up_for_retry", 3)], [("running", 4)], [("failed", 4)],
    ]  # fmt: skip


def test_the_records_end_makes_no_failure_final_that_has_tries_left() -> None:
    assert seen(history(task(10, "failed"), until=60), 20)[1] == [("up_for_retry", 1)]
    assert seen(history(task(10, "failed"), until=2 * HOUR // SECOND), 20)[1] == [("failed", 1)]
    assert seen(history(task(10, "failed", retries=None), until=60), 20)[1] == [("failed", 1)]


def test_killed_tasks_are_known_from_the_dagruns_end() -> None:
    given = history(task(5, "started", 2), dagrun(90, "failed", t="failed", other="failed", down="upstream_failed"))
    assert seen(given, 89) == ("running", [("running", 2)])
    truth = given.truth("prod", "d", "r", START + 90 * SECOND)
    assert {(one.task_id, one.state, one.try_number) for one in truth.tasks} == {
        ("t", "failed", 2),
        ("other", "failed", 1),
    }


def test_the_end_of_a_dagrun_says_nothing_of_mapped_tasks_that_failed() -> None:
    given = history(task(5, "failed", 2, index=3), dagrun(90, "failed", t="failed"))
    assert seen(given, 90) == ("failed", [("failed", 2)])


def test_what_was_marked_by_hand_is_well_at_the_dagruns_end() -> None:
    given = history(task(5, "failed", 2), dagrun(90, "success", t="success"))
    assert seen(given, 89)[1] == [("failed", 2)]
    assert seen(given, 90) == ("success", [])


def test_a_try_without_an_end_has_ended_with_its_dagrun() -> None:
    assert seen(history(task(5, "started", 2), dagrun(90, "success")), 91) == ("success", [])


def test_an_event_from_the_future_counts_from_its_receipt() -> None:
    given = History()
    given.add("prod", task(500, "failed", 2), START + 10 * SECOND)
    given.last = START
    assert seen(given, 11)[1] == [("failed", 2)]


def test_the_order_of_arrival_does_not_matter() -> None:
    events = [task(10, "failed"), task(70, "started", 2), task(80, "success", 2), dagrun(81, "success")]
    moments = range(0, 100, 5)
    assert [seen(history(*events), at) for at in moments] == [seen(history(*reversed(events)), at) for at in moments]


def test_what_goes_well_at_once_needs_no_memory() -> None:
    given = history(*(task(at, kind) for at in range(100) for kind in ("started", "success")))
    assert given._tasks == {}


# -- assumed outcomes ---------------------------------------------------------------------------------------------


def look(answers: Answers, second: int) -> tuple[str, list[tuple[str, int]]]:
    action = Action("a", "l", "k", "prod", Look("d", "r"), 0, 0)
    answer = answers.to(action, START + second * SECOND)
    assert isinstance(answer, Looked)
    assert answer.truth is not None
    return answer.truth.state, [(one.state, one.try_number) for one in answer.truth.tasks]


@pytest.mark.parametrize(
    ("assume", "later"),
    [(Assume.HELPED, ("success", [])), (Assume.FAILED, ("failed", [("failed", 1)]))],
)
def test_what_was_retried_is_as_assumed(assume: Assume, later: tuple[str, list[tuple[str, int]]]) -> None:
    answers = Answers(history(task(10, "failed", retries=0), dagrun(12, "failed")), assume)
    retry = Action("b", "l", "k", "prod", Retry("d", "r", (RetryTarget("t", 1),)), 0, 0)
    answers.to(retry, START + 20 * SECOND)
    if assume is Assume.HELPED:
        assert look(answers, 21) == ("running", [("running", 2)])
    assert look(answers, 20 + MINUTE // SECOND) == later


def test_a_retry_helps_only_the_tasks_that_it_named() -> None:
    other = Event("task.failed", START, dag_id="d", run_id="r", task_id="u", try_number=1, retries=0)
    answers = Answers(history(task(10, "failed", retries=0), other, dagrun(12, "failed")), Assume.HELPED)
    retry = Action("b", "l", "k", "prod", Retry("d", "r", (RetryTarget("t", 1),)), 0, 0)
    answers.to(retry, START + 20 * SECOND)
    assert look(answers, 100) == ("failed", [("failed", 1)])
