"""Scheduled reports: one for each time, none twice, and after a long silence one and not many."""

from __future__ import annotations

import msgspec

from remediator.engine.reports import following, previous
from remediator.model.action import Action
from remediator.model.inputs import Activated, Reported
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, ReportTimes, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, format_instant, parse_instant
from remediator.rules.spec import RuleSetSpec
from remediator.testing.timeline import START, Timeline

TWICE = ReportTimes(("08:00", "20:00"), "UTC", "chat")
POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT, has_api=False)},
    routes={"chat": Route("chat", (Destination("pagerduty.page", "pd"), Destination("slack.message", "slack", "#d")))},
    report=TWICE,
    self_route="chat",
    unclassified_route="chat",
)


class Reporting(Timeline):
    """Answers the question for a report, unless `silent`; counts the questions."""

    silent = False
    asked: tuple[Action, ...] = ()

    def _answer(self, action: Action) -> None:
        if action.kind != "report":
            super()._answer(action)
            return
        self.asked = (*self.asked, action)
        if not self.silent:
            self._give(Reported(action.id, "3 healed", "Rules:\n- r: 3 of 3"))

    def spans(self) -> list[tuple[str, str]]:
        """The reported times, as day and hour."""
        params = [action.params for action in self.asked]
        return [(format_instant(one.since)[8:13], format_instant(one.until)[8:13]) for one in params]  # type: ignore[union-attr]


def story(policy: Policy = POLICY) -> Reporting:
    return Reporting(RuleSetSpec((), policy))  # starts on the 15th at 08:00


def test_each_time_has_one_report_which_wakes_nobody_and_ends_without_a_word() -> None:
    assert format_instant(START)[8:16] == "15T08:00"
    line = story().at("25h")
    assert line.spans() == [("15T08", "15T20"), ("15T20", "16T08")]
    line.expect_message().expect_message().expect_nothing().expect_reason(Reason.REPORTED, 2).expect_open(0)


def test_a_restart_repeats_none_and_a_long_silence_gives_one() -> None:
    line = story().at("12h1m")
    line.expect_message().give(Activated(line.core.world.rule_set)).at("13h").expect_nothing()
    line.now += 40 * HOUR
    line.give(Activated(line.core.world.rule_set)).at("54h").expect_message()
    assert line.spans() == [("15T20", "17T13")][-1:] or line.spans()[-1] == ("15T20", "17T13")
    line.at("61h").expect_message()
    assert line.spans()[-1] == ("17T13", "17T20")


def test_other_times_count_from_the_last_report_on() -> None:
    line = story().at("13h").expect_message()
    hourly = msgspec.structs.replace(POLICY, report=ReportTimes(("21:30",), "UTC", "chat"))
    line.activate(RuleSetSpec((), hourly)).at("14h").expect_message().expect_nothing()
    assert line.spans()[-1] == ("15T20", "15T21")
    line.activate(RuleSetSpec((), msgspec.structs.replace(POLICY, report=None))).at("60h").expect_nothing()


def test_an_answer_that_comes_twice_is_told_once() -> None:
    line = story().at("13h").expect_message()
    line.give(Reported(line.asked[0].id, "again", "again")).expect_nothing()


def test_without_an_answer_nobody_is_told_and_the_next_one_is_asked_for() -> None:
    line = story()
    line.silent = True
    line.at("13h").give(Reported(line.asked[0].id, error="nothing answers")).at("14h").expect_nothing()
    line.silent = False
    line.at("25h").expect_message()


def test_times_are_those_of_the_zone_also_when_its_clocks_change() -> None:
    berlin = ReportTimes(("02:30", "08:00"), "Europe/Berlin")
    spring = parse_instant("2027-03-27T22:00:00Z")
    assert format_instant(following(berlin, spring))[:16] == "2027-03-28T01:30"
    assert format_instant(following(berlin, parse_instant("2027-03-28T01:30:00Z")))[:16] == "2027-03-28T06:00"
    assert format_instant(previous(berlin, parse_instant("2027-03-28T06:00:00Z")))[:16] == "2027-03-28T06:00"
