"""Explanations of rules over time, and of events that are their own truth: what is kept, and how far it is."""

from __future__ import annotations

import msgspec

from remediator.engine.explain import explain, forms_of
from remediator.model.event import Event
from remediator.model.policy import Mode
from remediator.model.time import HOUR
from remediator.rules.index import RuleSet
from remediator.rules.spec import Compound, During, Rule, Selector, Sequence, Step, Window
from remediator.testing.timeline import Timeline
from tests.unit.engine.asking import (
    MANY,
    RESET,
    SECOND_BEST,
    ask,
    check,
    failure,
    rule_in,
    spec,
)

# Rules over time --------------------------------------------------------------------------------------------------


def test_a_window_says_how_far_it_is() -> None:
    story = Timeline(spec(MANY, SECOND_BEST)).at("10s")
    assert "nothing is kept yet (0 of 10000 keys" in check(rule_in(ask(story, failure())[1], "many").state, "key").text
    story.fails("a").at("1m").fails("b", run_id="r2").at("2m")
    (_, final) = ask(story, failure(time=story.now))
    view = rule_in(final, "many")
    assert (view.role, final.responder) == ("counts", "second")
    assert check(view.state, "window").text.startswith("2 of 3 events now within 10m since 2027-01-15T08:00:10")
    story.fails("c", run_id="r3").at("3m")
    state = rule_in(ask(story, failure(time=story.now))[1], "many").state
    assert check(state, "window").text == "0 of 3 events now within 10m"
    assert check(state, "cool_down").text.startswith("deaf until 2027-01-15T09:0")
    assert check(state, "once_within").verdict == "no"
    assert "no end was seen, calms at" in check(state, "fired").text


def test_shares_distinct_values_holds_sequences_and_compounds() -> None:
    failed = ("task.failed_finally",)
    share = Rule(id="share", on=failed, per=("deployment",), do=(Step("page"),), mode=Mode.ACT,
                 window=Window(HOUR, of=Selector(failed), ratio=0.9, min_sample=20))  # fmt: skip
    dags = Rule(id="dags", on=failed, per=("deployment",), do=(Step("page"),), mode=Mode.ACT,
                window=Window(HOUR, at_least=5, distinct="dag_id"))  # fmt: skip
    hold = Rule(id="hold", on=failed, per=("deployment",), do=(Step("page"),), mode=Mode.ACT, hold_for=2 * HOUR)
    then = Rule(id="then", per=("deployment",), do=(Step("page"),), mode=Mode.ACT,
                sequence=Sequence(HOUR, (Selector(failed), Selector(("node.not_ready",)))))  # fmt: skip
    both = Rule(id="both", per=("deployment",), do=(Step("page"),), mode=Mode.ACT,
                compound=Compound(HOUR, ("reset", "many"), 2))  # fmt: skip
    story = Timeline(spec(RESET, MANY, share, dags, hold, then, both)).at("10s").fails("a").at("2m")
    (_, final) = ask(story, failure("b", time=story.now))
    states = {rule.rule: rule.state for rule in final.rules}
    assert "1 of 1 now within 1h" in check(states["share"], "window").text
    assert "1 of 5 different dag_id now" in check(states["dags"], "window").text
    assert check(states["hold"], "hold").verdict == "wait"
    assert check(states["then"], "sequence").text == "within 1h: step 1: 1, step 2: 0"
    assert check(states["both"], "compound").text == "1 of 2 rules fired within 1h: reset"
    assert (rule_in(final, "both").role, rule_in(final, "both").text) == ("counts", "a firing of reset")


def test_an_event_waits_for_its_feed_and_repeats_add_nothing() -> None:
    checks = Rule(id="checks", on=("check.failed",), per=("deployment",), do=(Step("page"),), mode=Mode.ACT,
                  window=Window(HOUR, at_least=3))  # fmt: skip
    story = Timeline(spec(checks)).at("10s")
    event = Event("check.failed", story.now, deployment="prod", subject="orders")
    story.event(event)
    (view,) = ask(story, event)
    assert "this very event is known" in check(view.rules[0].state, "event").text
    assert check(view.rules[0].state, "feed").verdict == "wait"
    assert "0 events kept, 1 waiting" in check(view.rules[0].state, "key").text
    assert view.outcome == "counted by checks"
    (view,) = ask(story, msgspec.structs.replace(event, deployment=""))
    assert "the event has no deployment" in check(view.rules[0].state, "key").text


def test_a_rule_that_was_changed_begins_anew() -> None:
    story = Timeline(spec(MANY)).at("10s").fails("a").at("1m")
    story.activate(spec(msgspec.structs.replace(MANY, window=Window(HOUR, at_least=2))))
    state = rule_in(ask(story, failure(time=story.now))[1], "many").state
    assert "is begun anew" in check(state, "key").text


def test_conditions_of_infrastructure() -> None:
    limited = msgspec.structs.replace(RESET, during=(During("node.not_ready"),))
    (_, final) = explain(RuleSet(spec(limited)), failure())
    assert check(rule_in(final, "reset").state, "during").verdict == "unknown"
    story = Timeline(spec(limited)).at("10s")
    (_, final) = ask(story, failure(time=story.now))
    assert (final.responder, rule_in(final, "reset").role) == ("", "out_of_scope")


def test_rules_on_events_that_are_their_own_truth() -> None:
    bad = Rule(id="bad", on=("check.failed",), mode=Mode.ACT, do=(Step("page", to="oncall"),))
    story = Timeline(spec(bad)).at("10s")
    event = Event("check.failed", story.now, deployment="prod", subject="orders")
    story.event(event).at("1m")
    (view,) = ask(story, event)
    assert forms_of(event) == (event,)
    assert "this one changes nothing" in check(view.rules[0].state, "known").text
    later = msgspec.structs.replace(event, time=story.now)
    (view,) = ask(story, later)
    assert [one.name for one in view.rules[0].state] == []
    assert view.rules[0].incident is not None
    assert view.rules[0].incident.failures == 2


def test_what_nobody_knows_is_told_too_and_so_is_a_firing() -> None:
    story = Timeline(spec(MANY)).at("10s").fails("load").at("1m")
    (_, final) = ask(story, failure(run_id="r2", time=story.now))
    last = final.rules[-1]
    assert (last.rule, last.role, final.responder) == ("unclassified", "responds", "")
    assert "knows of this episode already" in check(last.steps[0].checks, "route").text
    many = rule_in(final, "many")
    assert (many.role, many.incident) == ("counts", None)
    assert "pagerduty.page pager" in check(many.steps[0].checks, "route").text
