"""Stories of what only asking the scheduler shows: what holds, what was not asked for, what is said again."""

from __future__ import annotations

from remediator.model.policy import Mode
from remediator.model.truth import Finding
from remediator.rules.spec import Rule, RuleSetSpec
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import CHAT, POLICY, POOL


def test_what_a_survey_could_not_ask_for_goes_on() -> None:
    line = Timeline(RuleSetSpec((POOL,), POLICY))
    line.findings["prod"] = (Finding("pool.full", "pool/etl", "pool.free"),)
    line.at("10m").expect_message().expect_open(1)
    unseen = {"types": ["pool.full"]}
    line.findings["prod"] = (Finding("survey.incomplete", "survey", "survey.complete", attributes=unseen),)
    line.at("12m").expect_open(1)
    line.findings["prod"] = ()
    line.at("14m").expect_open(0)


def test_what_goes_on_at_the_scheduler_is_said_again() -> None:
    again = {"attributes.repeated": True}
    rule = Rule("again", on=("pool.full",), where=again, mode=Mode.ACT, do=(CHAT,))
    line = Timeline(RuleSetSpec((rule,), POLICY))
    line.findings["prod"] = (Finding("pool.full", "pool/etl", "pool.free"),)
    line.at("4m").expect_nothing()
    line.at("8m").expect_message()
