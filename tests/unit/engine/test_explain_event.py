"""Explanations: they say what the engine then does, name everything that stands in the way, and change nothing."""

from __future__ import annotations

import msgspec
import pytest

from remediator.engine.explain import explain
from remediator.model.event import ErrorInfo
from remediator.model.policy import Allow, Maintenance, Mode, Route
from remediator.model.time import HOUR
from remediator.rules.index import RuleSet
from remediator.rules.spec import Period, Rule, Step
from remediator.testing.timeline import START, Timeline
from tests.unit.engine.asking import (
    OBSERVER,
    PAGER,
    POLICY,
    RESET,
    RETRY,
    SECOND_BEST,
    ask,
    check,
    failure,
    refusals,
    rule_in,
    spec,
)

# Who answers ------------------------------------------------------------------------------------------------------


def test_without_a_daemon_it_says_who_would_respond_yield_and_observe() -> None:
    claim, final = explain(RuleSet(spec(RESET, OBSERVER, SECOND_BEST)), failure())
    assert (claim.type, claim.responder, claim.rules) == ("task.failed", "", ())
    assert claim.outcome.startswith("a claim")
    assert (final.type, final.given, final.responder) == ("task.failed_finally", "task.failed", "reset")
    assert [(rule.rule, rule.role) for rule in final.rules] == [
        ("observer", "observes"), ("reset", "responds"), ("second", "yields"),
    ]  # fmt: skip
    assert "priority 50 comes before 10" in rule_in(final, "second").text
    assert not final.live
    assert not any(rule.steps or rule.incident for rule in final.rules)


def test_every_clause_has_the_value_met_and_its_verdict() -> None:
    where = {
        "any": [{"dag_id": "billing"}, {"not": {"retries": {"gt": 5}}}],
        "error.type": "ConnectionError",
        "attributes.pool": "a",
        "started_at": {"gt": "2026-01-01T00:00:00Z"},
    }
    rule = Rule(id="r", on=("task.failed_finally",), where=where, mode=Mode.ACT, do=(Step("page"),))
    (_, final) = explain(RuleSet(spec(rule)), failure(started_at=START))
    on, either, kind, pool, started = final.rules[0].clauses
    assert (on.field, on.verdict, on.value) == ("on", "yes", "task.failed_finally")
    assert either.verdict == "error"
    assert [(one.field, one.verdict, one.value) for one in either.children] == [
        ("any[0].dag_id", "no", "sales"), ("any[1].not", "error", None),
    ]  # fmt: skip
    assert "missing" in either.children[1].children[0].reason
    assert (kind.verdict, kind.value, kind.condition) == ("yes", "ConnectionError", '"ConnectionError"')
    assert (pool.verdict, pool.value) == ("no", None)
    assert started.value == "2027-01-15T08:00:00.000000Z"


def test_nobody_knows_it() -> None:
    (_, final) = explain(RuleSet(spec(OBSERVER)), failure())
    assert final.responder == ""
    assert "no acting rule knows this failure: route 'default' is paged" in final.outcome


def test_asking_for_rules_by_name() -> None:
    other = Rule(id="other", on=("check.failed",), do=(Step("page"),))
    rules = RuleSet(spec(RESET, other))
    (_, final) = explain(rules, failure(), None, ["other"])
    assert [(rule.rule, rule.role) for rule in final.rules] == [("other", "no")]
    assert final.silent == 1
    assert final.responder == "reset"
    with pytest.raises(KeyError, match="nonsense"):
        explain(rules, failure(), None, ["nonsense"])


def test_what_is_shown_is_bounded() -> None:
    rules = RuleSet(spec(*(msgspec.structs.replace(OBSERVER, id=f"o{number}") for number in range(300))))
    long = failure(error=ErrorInfo("E", "x" * 1_000_000), attributes={"a": ["y" * 5_000] * 500})
    (_, final) = explain(rules, long)
    assert (len(final.rules), final.left_off) == (200, 100)
    one = Rule(id="r", on=("task.failed*",), where={"error.message": "a", "attributes.a": "b"}, do=(Step("page"),))
    assert len(msgspec.json.encode(explain(RuleSet(spec(one)), long))) < 100_000


# What stands in the way -------------------------------------------------------------------------------------------


def test_nothing_stands_in_the_way() -> None:
    story = Timeline(spec(RESET)).at("10s")
    (_, final) = ask(story, failure(time=story.now))
    assert final.live
    assert refusals(rule_in(final, "reset")) == []
    assert final.outcome == "rule 'reset' would respond: airflow.retry; next is airflow.retry (do 1)"
    names = [one.name for one in rule_in(final, "reset").steps[0].checks]
    assert names == ["scheduler", "never_retry", "api", "host", "ceiling", "mode", "allow", "attempts", "budget",
                     "budget", "approval", "breaker", "freeze", "caps"]  # fmt: skip


DEPLOYMENT = POLICY.deployments["prod"]
HINDERED = {
    "never_retry": ({"never_retry": ("prod/*",)}, {}, {}),
    "api": ({"deployments": {"prod": msgspec.structs.replace(DEPLOYMENT, has_api=False)}}, {}, {}),
    "host": ({}, {}, {"log_url": "https://elsewhere.example.com/x"}),
    "ceiling": ({"deployments": {"prod": msgspec.structs.replace(DEPLOYMENT, ceiling=Mode.OBSERVE)}}, {}, {}),
    "allow": ({"allow": (Allow(owners=("somebody",)),)}, {}, {}),
}
REASONS = {"never_retry": "never_retry", "api": "unverified", "host": "foreign_host", "ceiling": "ceiling",
           "allow": "not_allowed"}  # fmt: skip


@pytest.mark.parametrize("name", HINDERED)
def test_each_brake_is_named_and_is_the_one_that_the_engine_then_names(name: str) -> None:
    policy, changes, fields = HINDERED[name]
    story = Timeline(spec(msgspec.structs.replace(RESET, **changes), **policy)).at("10s")
    (_, final) = ask(story, failure(time=story.now, **fields))
    assert refusals(rule_in(final, "reset")) == (["scheduler", "api"] if name == "api" else [name])
    assert "next is page (otherwise 1)" in final.outcome
    story.fails("load", **fields).at("2m")
    assert REASONS[name] in [one.reason.value for one in story.decisions]
    assert not [action for action in story.actions if action.kind == "airflow.retry"]


@pytest.mark.parametrize("first", [name for name in HINDERED if name != "api"])
def test_brakes_are_told_in_the_order_in_which_the_engine_asks_them(first: str) -> None:
    names = [name for name in HINDERED if name != "api"]
    names = names[names.index(first) :]
    policy, changes, fields = ({key: value for name in names for key, value in HINDERED[name][part].items()}
                               for part in range(3))  # fmt: skip
    story = Timeline(spec(msgspec.structs.replace(RESET, **changes), **policy)).at("10s")
    (_, final) = ask(story, failure(time=story.now, **fields))
    assert refusals(rule_in(final, "reset")) == names
    story.fails("load", **fields).at("2m")
    told = {one.reason.value for one in story.decisions}
    assert told.intersection(REASONS.values()) == {REASONS[first]}


def test_an_observing_rule_is_told_what_it_lacks() -> None:
    story = Timeline(spec(OBSERVER)).at("10s")
    (_, final) = ask(story, failure(time=story.now))
    assert refusals(rule_in(final, "observer")) == ["mode"]


@pytest.mark.parametrize("is_rule", [True, False])
def test_a_person_is_asked(is_rule: bool) -> None:
    careful = {"prod": msgspec.structs.replace(DEPLOYMENT, ceiling=Mode.APPROVE)}
    if is_rule:
        story = Timeline(spec(msgspec.structs.replace(RESET, mode=Mode.APPROVE)))
    else:
        story = Timeline(spec(RESET, deployments=careful))
    (_, final) = ask(story.at("10s"), failure(time=story.now))
    assert refusals(rule_in(final, "reset")) == ["approval"]
    assert "what waits is airflow.retry (do 1)" in final.outcome
    story.fails("load").at("1m")
    assert not [action for action in story.actions if action.kind == "airflow.retry"]


def test_an_open_breaker_asks_too() -> None:
    one = msgspec.structs.replace(RESET, budget=(), do=(msgspec.structs.replace(RETRY, max_attempts=9),))
    story = Timeline(spec(one, breaker_sample=2))
    for number in range(1, 4):
        story.fails("load", number).at(f"{number * 2}m")
    (_, final) = ask(story, failure(run_id="r2", time=story.now))
    assert refusals(rule_in(final, "reset")) == ["breaker"]
    assert "helped in 0 of its last" in check(rule_in(final, "reset").steps[0].checks, "breaker").text


def test_maintenance_and_caps_put_it_off() -> None:
    closed = Maintenance(("pro*",), START, START + HOUR)
    story = Timeline(spec(RESET, maintenance=(closed,))).at("10s")
    (_, final) = ask(story, failure(time=story.now))
    assert refusals(rule_in(final, "reset")) == ["maintenance"]
    story = Timeline(spec(RESET, concurrent_changes=1)).fails("load").at("1m")
    (_, final) = ask(story, failure(run_id="r2", time=story.now))
    assert refusals(rule_in(final, "reset")) == ["caps"]


def test_a_route_whose_pages_are_used_up_says_so() -> None:
    routes = {"oncall": Route("oncall", (PAGER,), pages_per_hour=1), "default": POLICY.routes["default"]}
    story = Timeline(spec(SECOND_BEST, routes=routes)).at("10s").fails("load").at("1m")
    (_, final) = ask(story, failure("other", time=story.now))
    assert "1 of 1 pages of this hour are used" in check(rule_in(final, "second").steps[0].checks, "route").text


def test_budgets_say_how_much_is_used() -> None:
    story = Timeline(spec(msgspec.structs.replace(RESET, do=(msgspec.structs.replace(RETRY, max_attempts=9),))))
    for number in range(1, 4):
        story.fails("load", number).at(f"{number * 7}m")
    story.fails("load", 4)
    (_, final) = ask(story, failure(try_number=5, time=story.now))
    task, deployment = (one for one in rule_in(final, "reset").steps[0].checks if one.name == "budget")
    assert (task.verdict, task.text) == (
        "no", "task load: 3 of 3 of the last hour used, 3 of 20 of the last day used"
    )  # fmt: skip
    assert (deployment.verdict, deployment.text) == ("yes", "deployment prod: 3 of 5 of the last hour used")
    story.at("23m")
    assert "budget_spent" in [one.reason.value for one in story.decisions]


def test_attempts_are_those_of_this_failure() -> None:
    story = Timeline(spec(RESET))
    story.fails("load", 1).at("5m").fails("load", 2).at("10m").fails("load", 3)
    (_, final) = ask(story, failure(try_number=4, time=story.now))
    assert check(rule_in(final, "reset").steps[0].checks, "attempts").text == "2 of 2 attempts are used"
    assert check(final.checks, "known").verdict
    (_, other) = ask(story, failure(run_id="r2", time=story.now))
    assert check(rule_in(other, "reset").steps[0].checks, "attempts").verdict == "yes"


def test_a_freeze_and_a_feed_that_is_behind_hold_it() -> None:
    story = Timeline(spec(RESET)).at("10s").freeze().feed_stops().at("4m")
    (_, final) = ask(story, failure(time=story.now))
    retry, page = rule_in(final, "reset").steps
    assert (retry.verdict, page.verdict) == ("wait", "wait")
    assert "it is behind" in check(page.checks, "feed").text
    assert "what waits is airflow.retry (do 1)" in final.outcome
    assert check(final.checks, "freeze").verdict == "wait"


def test_quiet_times_waits_and_conditions_of_steps() -> None:
    quiet = (Period(0, 24 * 60 - 1),)
    steps = (Step("page", to="oncall", condition={"incident.failures": {"gte": 2}}), Step("page", wait=HOUR))
    story = Timeline(spec(msgspec.structs.replace(RESET, do=steps, otherwise=(), quiet=quiet))).at("10s")
    (_, final) = ask(story, failure(time=story.now))
    first, second = rule_in(final, "reset").steps
    assert check(first.checks, "if").verdict == "no"
    assert "quiet until 2027-01-15T23:59" in check(first.checks, "quiet").text
    assert check(second.checks, "wait").verdict == "wait"


def test_the_incident_it_would_join_and_who_knows_of_it() -> None:
    story = Timeline(spec(SECOND_BEST)).at("10s").fails("load").at("1m")
    (_, final) = ask(story, failure(run_id="r2", time=story.now))
    view = rule_in(final, "second")
    assert view.incident is not None
    assert (view.incident.episode, view.incident.failures) == (1, 2)
    assert view.incident.told == ("pagerduty.page pager by route 'oncall': done",)
    assert "knows of this episode already" in check(view.steps[0].checks, "route").text


def test_a_failure_that_is_known_changes_nothing() -> None:
    story = Timeline(spec(RESET)).at("10s").fails("load").at("20s")
    (_, final) = ask(story, failure(time=story.now))
    texts = [one.text for one in final.checks if one.name == "known"]
    assert texts[0] == "try 1 was judged final before: this event changes nothing"
    assert texts[1].startswith("rule 'reset' is answering: ")


def test_a_deployment_that_nobody_configured() -> None:
    story = Timeline(spec(RESET)).at("10s")
    (_, final) = ask(story, failure(deployment="", namespace="n", time=story.now))
    assert "no deployment, or more than one, claims namespace 'n'" in check(final.checks, "deployment").text
    (_, final) = ask(story, failure(deployment="gone", time=story.now))
    assert "not in the configuration" in check(final.checks, "deployment").text
