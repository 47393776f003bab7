"""Stories of the breaker: a rule that does not help stops, waits, probes, and asks people once for all that wait."""

from __future__ import annotations

import msgspec

from remediator.engine import breakers
from remediator.model.event import Event
from remediator.model.ids import WORLD_KEY
from remediator.model.incident import Incident, Proposal
from remediator.model.inputs import Fact, Pressed
from remediator.model.policy import Mode, Policy
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import PAGE, RETRY, answer, limits, story

REST = 5 * MINUTE
SAMPLE = limits(breaker_sample=3, breaker_rest=REST, breaker_rest_max=HOUR)


def in_vain(line: Timeline, times: int) -> Timeline:
    """So many dagruns fail, are retried, and fail again; the last at 2 minutes for each of them."""
    for number in range(times):
        line.fails("load", run_id=f"r{number}").at(f"{2 * number + 1}m")
        line.fails("load", 2, run_id=f"r{number}").at(f"{2 * number + 2}m")
    return line


def opened(policy: Policy = SAMPLE) -> Timeline:
    """Three retries were in vain: at 6 minutes the breaker is open, and five more failures wait."""
    line = in_vain(story(RETRY, policy=policy), 3)
    line.expect_reason(Reason.BREAKER_OPEN)
    for number in range(5):
        line.fails("load", dag_id=f"d{number}")
    return line.at("6m30s")


def retries(line: Timeline) -> int:
    """Clears that were wanted."""
    return sum(one.kind == "airflow.retry" for one in line.actions)


def alert(line: Timeline) -> Incident:
    """The breaker's own incident."""
    (found,) = (one for one in line.incidents.values() if one.rule == f"self.{breakers.ALERT}")
    return found


def question(line: Timeline) -> Proposal:
    """The one question that all of them lead to."""
    (found,) = (proposal for one in line.incidents.values() for proposal in one.proposals)
    return found


def say(line: Timeline, command: str) -> Timeline:
    """A person answers it."""
    return line.give(Pressed("ann", command, subject=question(line).id, key=WORLD_KEY))


def pages(line: Timeline) -> int:
    """How often somebody was woken."""
    return sum(one.kind == "pagerduty.page" and one.params.event_action == "trigger" for one in line.actions)  # type: ignore[union-attr]


def test_failures_behind_an_open_breaker_wait_and_people_are_asked_once() -> None:
    line = opened()
    assert retries(line) == 3
    assert question(line).key == WORLD_KEY
    assert "4 failures or more wait" in alert(line).status
    line.expect_reason(Reason.BREAKER_WAITS, times=5)
    assert pages(line) == 2  # of the task whose attempts are spent, and of the first that waits
    assert all(one.due is None or one.due > line.now for one in waiting(line))


def waiting(line: Timeline) -> list[object]:
    states = [state for state in line.core.states.values() if state is not None]
    return [case for state in states for run in getattr(state, "dagruns", {}).values() for case in run.cases.values()]


def test_after_the_rest_one_probe_is_let_through_and_the_others_wait_on() -> None:
    line = opened().at("12m")
    assert retries(line) == 4
    line.expect_reason(Reason.BREAKER_PROBES)


def test_a_probe_that_helps_closes_the_breaker_and_all_that_waited_go_on() -> None:
    line = opened().at("12m")
    (probed,) = {one.params.dag_id for one in line.actions if one.kind == "airflow.retry"} - {"sales"}  # type: ignore[union-attr]
    line.look_says("load", "success", 2, dagrun="success", dag_id=probed).at("16m")
    line.expect_reason(Reason.BREAKER_CLOSED)
    assert retries(line) == 8
    assert alert(line).resolution
    assert not any(one.proposals for one in line.incidents.values())
    assert pages(line) == 2


def test_a_probe_in_vain_doubles_the_rest() -> None:
    line = opened().at("12m")
    (probed,) = {one.params.dag_id for one in line.actions if one.kind == "airflow.retry"} - {"sales"}  # type: ignore[union-attr]
    line.fails("load", 2, dag_id=probed).at("13m")
    assert retries(line.at("21m")) == 4
    assert retries(line.at("24m")) == 5


def test_a_yes_closes_it_for_all_that_wait() -> None:
    line = say(opened(), "approve").at("8m")
    assert retries(line) == 8
    line.expect_reason(Reason.APPROVED)
    assert alert(line).resolution


def test_a_no_ends_the_waiting_and_people_are_told_of_each() -> None:
    line = say(opened(), "reject").at("8m")
    assert retries(line) == 3
    line.expect_reason(Reason.REJECTED)
    assert pages(line) == 7
    assert not any(one.proposals for one in line.incidents.values())


def test_after_a_no_nothing_is_tried_for_long() -> None:
    line = say(opened(), "reject").at("2h")
    line.fails("load", dag_id="d7").at("2h5m")
    assert retries(line) == 3
    line.at("6h30m").fails("load", dag_id="d8").at("6h40m")
    assert retries(line) == 4


def test_the_breakers_own_story_tells_the_answer_and_each_probe() -> None:
    line = opened().at("12m")
    (probed,) = {one.params.dag_id for one in line.actions if one.kind == "airflow.retry"} - {"sales"}  # type: ignore[union-attr]
    line.fails("load", 2, dag_id=probed).at("13m")
    say(line, "reject")
    told = [one.reason for one in line.decisions if one.incident == alert(line).id]
    assert told.count(Reason.DID_NOT_HELP) == 1
    assert told.count(Reason.REJECTED) == 1


def test_nobody_waits_for_ever() -> None:
    line = opened(limits(breaker_sample=3, breaker_rest=3 * HOUR, breaker_rest_max=3 * HOUR)).at("68m")
    assert retries(line) == 3
    assert pages(line) == 7


def test_the_question_stays_as_long_as_the_breaker_is_open() -> None:
    line = opened(
        limits(breaker_sample=3, breaker_rest=3 * HOUR, breaker_rest_max=3 * HOUR, self_alert_every=30 * MINUTE)
    )
    say(line.at("50m"), "approve").at("52m")
    assert retries(line) == 8


def test_a_failure_that_ends_by_itself_while_it_waits_is_not_retried() -> None:
    line = opened()
    line.look_says("load", "success", 2, dagrun="success", dag_id="d0").task_success("load", 2, dag_id="d0")
    line.at("7m")
    say(line, "approve").at("9m")
    assert retries(line) == 7


def test_a_second_answer_changes_nothing() -> None:
    line = opened()
    proposal = question(line)
    say(line, "reject")
    line.give(Pressed("bob", "approve", subject=proposal.id, key=WORLD_KEY)).at("8m")
    line.expect_reason(Reason.DUPLICATE)
    assert retries(line) == 3


def test_one_clear_of_many_tasks_is_one_result_also_when_another_one_ends_in_between() -> None:
    line = story(RETRY, policy=SAMPLE)
    for dag_id in ("a", "b"):
        for number in range(4):
            line.fails(f"t{number}", dag_id=dag_id)
    line.at("1m")
    for number in range(4):
        for dag_id in ("a", "b"):
            line.fails(f"t{number}", 2, dag_id=dag_id)
    line.at("2m")
    assert not any(one.reason is Reason.BREAKER_OPEN for one in line.decisions)
    (breaker,) = line.core.ledger.breakers.values()
    assert breaker.results == [False, False]


def test_many_task_instances_of_a_dagrun_are_one_question_and_one_yes() -> None:
    line = story(RETRY, otherwise=(PAGE,))
    for index in range(30):
        line.fails("load", map_index=index, deployment="careful")
    line.at("1m")
    assert sum(one.kind == "pagerduty.page" for one in line.actions) == 1
    assert "30 task instances or more" in question(line).text
    answer(line, "approve", "careful").at("2m")
    (clear,) = (one for one in line.actions if one.kind == "airflow.retry")
    assert len(clear.params.tasks) == 30  # type: ignore[union-attr]


def test_one_of_many_that_recovers_leaves_the_question_to_the_others() -> None:
    line = story(RETRY)
    for index in range(3):
        line.fails("load", map_index=index, deployment="careful")
    line.at("1m")
    line.look_says("load", "success", 2, map_index=0, deployment="careful")
    said = Event("task.success", time=line.now, source="test", deployment="careful", dag_id="sales", run_id="r1",
                 task_id="load", map_index=0, try_number=2)  # fmt: skip
    line.give(Fact(said)).at("2m")
    answer(line, "approve", "careful").at("3m")
    (clear,) = (one for one in line.actions if one.kind == "airflow.retry")
    assert len(clear.params.tasks) == 2  # type: ignore[union-attr]


TRIGGER = Step("airflow.trigger", params={"dag_id": "repair"})


def test_a_probe_of_several_changes_is_one_case_though_only_the_last_can_be_proved() -> None:
    line = in_vain(story(TRIGGER, RETRY, policy=SAMPLE), 3).at("12m")
    assert (triggers(line), retries(line)) == (3, 3)
    for number in range(10):
        line.fails("load", dag_id=f"d{number}").until(line.now + 10 * SECOND)
    assert (triggers(line), retries(line)) == (4, 4)
    line.look_says("load", "success", 2, dagrun="success", dag_id="d0").at("16m")
    line.expect_reason(Reason.BREAKER_CLOSED)
    assert (triggers(line), retries(line)) == (13, 13)


def test_whose_probe_was_delivered_and_goes_no_further_gives_its_turn_away() -> None:
    doubtful = msgspec.structs.replace(RETRY, wait=HOUR)
    line = in_vain(story(RETRY, policy=SAMPLE), 3)
    line.activate(changed(TRIGGER, doubtful))
    line.at("12m").fails("load", dag_id="d0").at("13m").look_says("load", "success", 2, dagrun="success", dag_id="d0")
    line.at("80m").fails("load", dag_id="d1").at("81m")
    assert triggers(line) == 2


def changed(*do: Step) -> RuleSetSpec:
    """The rule does something else from now on."""
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=(PAGE,))
    return RuleSetSpec((rule,), SAMPLE)


def triggers(line: Timeline) -> int:
    """Dagruns that were wanted."""
    return sum(one.kind == "airflow.trigger" for one in line.actions)
