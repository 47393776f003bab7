"""How what a rule says ends: by an event, late or not, and by itself when nothing more comes."""

from __future__ import annotations

import msgspec
import pytest
from test_detector_edges import POLICY, fired, held, rule, say, story

from remediator.model.event import ConditionInfo, Event
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Route
from remediator.model.reasons import Reason
from remediator.model.time import DAY, HOUR, MINUTE, SECOND
from remediator.rules.spec import During, RuleSetSpec, Selector, Sequence, Window
from remediator.testing.timeline import START, Timeline


def test_an_incident_stays_open_while_its_firings_are_swallowed() -> None:
    line = story(rule(window=Window(MINUTE, at_least=2), once_within=HOUR))
    for second in range(1, 600, 10):
        say(line, f"a@{second}s")
    line.expect_open(1)
    line.at("3h").expect_open(0)


def test_what_many_dags_have_in_common_is_of_no_task_and_of_no_dagrun() -> None:
    line = story(rule(on=("task.failed_finally",), per=(), window=Window(HOUR, at_least=2), once_within=MINUTE))
    for number, dag in enumerate(("one", "two", "three", "four")):
        line.at(f"{number * 2 + 1}m").fails("load", dag_id=dag).at(f"{number * 2 + 2}m")
    (found,) = (one for one in line.incidents.values() if one.dag_id == "" and one.rule == "r")
    assert found.failures > 1
    assert (found.task_id, found.dagruns) == ("", ())


def test_an_end_that_is_older_than_the_hold_does_not_stop_it() -> None:
    line = say(story(held()), "a@20s").at("25s")
    assert fired(say(line, "end@5s").at("2m")) == 1


def test_a_beginning_that_comes_after_its_own_end_is_over() -> None:
    line = say(story(held()), "end@20s").at("5m")
    say(line, "a@10s").at("30m").expect_open(0).expect_reason(Reason.LATE)
    assert fired(line) == 0
    assert fired(say(line, "a@31m").at("1h")) == 1


def test_a_beginning_as_old_as_its_end_or_newer_is_not_over() -> None:
    line = say(story(held()), "end@20s").at("5m")
    assert fired(say(line, "a@20s").at("30m")) == 1


def test_a_window_counts_nothing_that_is_older_than_its_end() -> None:
    two = rule(window=Window(10 * MINUTE, at_least=2), ended_by=Selector(("end",)))
    line = say(story(two), "a@10s", "end@20s").at("2m")
    assert fired(say(line, "a@15s", "a@16s").at("4m")) == 0


def test_an_end_that_comes_late_leaves_what_is_newer_than_it() -> None:
    three = rule(window=Window(10 * MINUTE, at_least=3), ended_by=Selector(("end",)))
    line = say(story(three), "a@20s", "a@21s").at("45s")
    assert fired(say(line, "end@5s").at("59s").at("1m")) == 0
    assert fired(say(line, "a@60s").at("3m")) == 1


def test_ends_without_a_beginning_take_no_room_from_what_matters() -> None:
    few = msgspec.structs.replace(POLICY, max_keys=3)
    line = story(held(), policy=few)
    for number in range(20):
        say(line, f"end@{number}m", subject=f"s{number}")
    line.at("21m")
    assert sum(line.core.ledger.detectors.values()) <= 1
    line.at("3h")
    assert line.core.ledger.detectors == {}
    assert not any(one.rule == "self.rule_limit" for one in line.incidents.values())


def test_a_sequence_calms_down_too_and_tells_the_next_time() -> None:
    chain = rule(on=(), sequence=Sequence(MINUTE, (Selector(("a",)), Selector(("b",)))))
    line = say(story(chain), "a@1s", "b@2s").at("30s").expect_message().expect_open(1)
    line.at("2m").expect_message(edited=True).expect_open(0)
    say(line, "a@3m", "b@181s").at("4m").expect_message().expect_open(1)


def failures(line: Timeline, second: int, dag_id: str) -> Timeline:
    at = START + second * SECOND
    return line.until(max(at, line.now)).event(Event("a", at, deployment="prod", dag_id=dag_id, subject="x"))


@pytest.mark.parametrize("ended_by", [None, Selector(("end",))])
def test_incidents_of_a_group_finer_than_per_end_with_their_key(ended_by: Selector | None) -> None:
    finer = rule(window=Window(MINUTE, at_least=1), group=("deployment", "dag_id"), ended_by=ended_by)
    line = story(finer)
    for second, dag_id in enumerate(("sales", "orders", "stock"), start=1):
        failures(line, second, dag_id)
    line.at("30s").expect_open(3)
    say(line, "end@40s")
    line.at("10m").expect_open(0)


def test_an_incident_whose_group_is_changed_by_a_reload_still_ends() -> None:
    before = rule(window=Window(MINUTE, at_least=1), ended_by=Selector(("end",)), group=("deployment",))
    line = failures(story(before), 1, "sales").at("30s").expect_open(1)
    line.activate(RuleSetSpec((msgspec.structs.replace(before, group=("deployment", "dag_id")),), POLICY))
    failures(line, 40, "sales").at("1m")
    say(line, "end@70s").at("2m")
    line.expect_open(0)


def test_what_is_told_once_a_day_is_told_every_day() -> None:
    line = say(story(rule(once_within=DAY)), "a@1s").at("1m").expect_message()
    say(line, "a@49h").at("50h").expect_message(edited=True).expect_message()


def test_the_incident_of_a_single_event_ends_when_long_nothing_came() -> None:
    line = say(story(rule(per=())), "a@1s").at("1m").expect_message()
    say(line, "a@11h").at("22h").expect_message(edited=True).expect_open(1)
    line.at("24h").expect_message(edited=True).expect_open(0).expect_reason(Reason.CALMED)


def test_a_scope_may_name_what_a_pattern_found() -> None:
    evicted = During("pod.evicted", scope="pod/airflow/{match.pod}")
    where = {"error.message": {"matches": r"Pod (?P<pod>\S+) "}}
    one = rule(on=("task.failed_finally",), per=(), where=where, during=(evicted,))
    api = DeploymentPolicy("api", "feed", Mode.ACT)
    line = story(one, policy=msgspec.structs.replace(POLICY, deployments={**POLICY.deployments, "api": api}))
    condition = ConditionInfo("pod.evicted", "pod/airflow/x1")
    line.event(Event("pod.evicted", START, deployment="api", subject="pod/airflow/x1", condition=condition))
    line.at("10s").fails("load", deployment="api", error="E: Pod x1 returned a failure").at("1m")
    line.expect_reason(Reason.RULE_RESPONDS).expect_reason(Reason.RULE_ERROR, 0)


def test_a_notification_leaves_pagers_out_where_others_are_told() -> None:
    both = Route(
        "default", (Destination("pagerduty.page", "pagerduty"), Destination("slack.message", "slack", "#data"))
    )
    line = say(story(rule(per=()), policy=msgspec.structs.replace(POLICY, routes={"default": both})), "a@1s").at("5s")
    line.expect_message().expect_nothing()
