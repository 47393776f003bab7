"""A reload that changes how a rule tells its incidents apart leaves none of them open for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from remediator.model.event import Event
from remediator.model.incident import Phase
from remediator.model.policy import Mode
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE
from remediator.rules.spec import Rule, RuleSetSpec, Selector, Window
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import CHAT, POLICY

ENDED_BY = Selector(("check.passed",))
RULE = Rule("r", on=("check.failed",), mode=Mode.ACT, do=(CHAT,), ended_by=ENDED_BY)


def rules(rule: Rule) -> RuleSetSpec:
    return RuleSetSpec((rule,), POLICY)


def changed(rule: Rule, **fields: Any) -> Rule:
    return msgspec.structs.replace(rule, **fields)


BY_SUBJECT = changed(RULE, group=("deployment", "dag_id", "subject"))


def check(line: Timeline, state: str) -> Timeline:
    """A check of the table 'orders' has this state."""
    event = Event(f"check.{state}", line.now, source="x", deployment="prod", dag_id="sales", subject="orders")
    return line.event(event)


def opened(rule: Rule) -> Timeline:
    """The check fails, and the channel is told."""
    return check(Timeline(rules(rule)), "failed").at("1m").expect_message().expect_nothing().expect_open(1)


CHANGES = {
    "group is given": (RULE, BY_SUBJECT),
    "group is taken away": (BY_SUBJECT, RULE),
    "group is another one": (BY_SUBJECT, changed(RULE, group=("deployment", "subject"))),
    "group has the same value in another place": (RULE, changed(RULE, group=("subject",))),
    "ended_by is given": (changed(RULE, ended_by=None), RULE),
    "ended_by is taken away": (RULE, changed(RULE, ended_by=None)),
    "it counts over time": (RULE, changed(RULE, per=("subject",), window=Window(MINUTE, at_least=2))),
    "it counts over time, per the same": (
        changed(RULE, group=("deployment", "subject")),
        changed(RULE, per=("deployment", "subject"), window=Window(MINUTE, at_least=2)),
    ),
    "it counts over time, all together": (RULE, changed(RULE, window=Window(MINUTE, at_least=2))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_incident_that_its_rule_would_not_find_again_ends_and_whoever_was_told_sees_it(name: str) -> None:
    before, after = CHANGES[name]
    line = opened(before).activate(rules(after)).at("15m")
    line.expect_message(edited=True).expect_nothing().expect_open(0).expect_reason(Reason.RULE_CHANGED)
    (incident,) = line.incidents.values()
    assert incident.resolution == Reason.RULE_CHANGED.value


KEPT = {
    "other steps": changed(RULE, do=(CHAT, CHAT), summary="another"),
    "other ends": changed(RULE, ended_by=Selector(("check.passed", "check.removed"))),
    "another where": changed(RULE, where={"subject": "no_such"}),
}


@pytest.mark.parametrize("name", KEPT)
def test_an_incident_that_its_rule_still_finds_goes_on_until_its_end_comes(name: str) -> None:
    line = opened(RULE).activate(rules(KEPT[name])).at("2h").expect_open(1)
    check(line, "passed").at("121m").expect_open(0).expect_reason(Reason.ENDED_BY_EVENT)


def test_what_goes_on_is_a_new_incident_that_ends_by_its_own_event() -> None:
    line = opened(RULE).activate(rules(BY_SUBJECT)).at("2m")
    check(line, "failed").at("15m").expect_open(1)
    check(line, "passed").at("16m").expect_open(0).expect_reason(Reason.RULE_CHANGED)


def test_a_final_failure_goes_on_in_its_incident_and_ends_by_a_look() -> None:
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(CHAT,))
    line = Timeline(rules(rule)).fails("load").at("1m")
    line.activate(rules(changed(rule, group=("deployment", "dag_id", "task_id")))).at("15m").expect_open(1)
    line.look_says("load", "success", 2, dagrun="success").at("30m").expect_open(0).expect_reason(Reason.RECOVERED)


def test_a_final_failure_that_comes_back_moves_to_the_incident_of_the_new_group() -> None:
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(CHAT,))
    line = Timeline(rules(rule)).fails("load").at("1m")
    line.activate(rules(changed(rule, group=("deployment", "dag_id")))).fails("load", 2).at("2m").expect_open(1)
    assert [one.phase for one in line.incidents.values()] == [Phase.RESOLVED, Phase.FIRING]
