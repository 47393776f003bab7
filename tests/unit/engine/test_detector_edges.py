"""The edges of rules over time, each decided in docs/rules.md and shown here by one story."""

from __future__ import annotations

from remediator.model.event import Event
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND, parse_duration
from remediator.rules.spec import Compound, Rule, RuleSetSpec, Selector, Sequence, Step, Window
from remediator.testing.timeline import START, Timeline

POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT, has_api=False)},
    routes={"default": Route("default", (Destination("slack.message", "slack", "#data"),))},
    lateness=10 * SECOND,
)
TELL = (Step("notify", to="default"),)
PER = ("subject",)


def rule(name: str = "r", **fields: object) -> Rule:
    """A rule on events of type 'a' that tells."""
    given: dict[str, object] = {"on": ("a",), "per": PER, "mode": Mode.ACT, "do": TELL, **fields}
    return Rule(name, **given)  # type: ignore[arg-type]


def story(*rules: Rule, policy: Policy = POLICY) -> Timeline:
    """A story under these rules."""
    return Timeline(RuleSetSpec(rules, policy))


def say(line: Timeline, *said: str, subject: str = "x") -> Timeline:
    """'a@3s': an event of type a that happened three seconds after the start; told then, or now if that is over."""
    for one in said:
        kind, _, at = one.partition("@")
        if START + parse_duration(at) > line.now:
            line.at(at)
        line.event(Event(kind, START + parse_duration(at), deployment="prod", subject=subject))
    return line


def fired(line: Timeline, rule_id: str = "r") -> int:
    """How often the rule fired so far."""
    return sum(one.reason is Reason.FIRED and one.rule == rule_id for one in line.decisions)


def test_a_window_counts_from_an_instant_up_to_but_not_including_its_length_later() -> None:
    ten = rule(window=Window(10 * SECOND, at_least=2))
    line = say(story(ten), "a@1s", "a@11s").at("1m")
    assert fired(line) == 0
    line = say(story(ten), "a@1s", "a@10s999ms").at("1m")
    assert fired(line) == 1


def test_a_firing_uses_its_matches_up() -> None:
    line = say(story(rule(window=Window(MINUTE, at_least=3))), "a@1s", "a@2s", "a@3s", "a@4s", "a@5s").at("1m")
    assert fired(line) == 1
    say(line, "a@58s").at("90s")
    assert fired(line) == 2  # 4s, 5s, 58s


def test_nothing_is_counted_before_the_watermark_has_passed_it() -> None:
    line = story(rule(window=Window(MINUTE, at_least=1))).at("20s")
    say(line, "a@20s").at("29s")
    assert fired(line) == 0
    assert fired(line.at("31s")) == 1


def test_what_comes_late_but_not_too_late_still_counts() -> None:
    line = story(rule(window=Window(MINUTE, at_least=2))).at("2m")
    say(line, "a@70s", "a@119s").at("3m")
    assert fired(line) == 1


def test_what_comes_much_too_late_is_said_and_not_counted() -> None:
    line = say(story(rule(window=Window(MINUTE, at_least=1))), "a@1h").at("61m")
    say(line, "a@1s").at("62m")
    assert fired(line) == 1
    line.expect_reason(Reason.LATE)


def test_distinct_values_are_counted_once() -> None:
    line = story(rule(window=Window(MINUTE, at_least=2, distinct="dag_id"), per=("deployment",)))
    for at, dag in ((1, "sales"), (2, "sales"), (3, "sales")):
        line.event(Event("a", START + at * SECOND, deployment="prod", dag_id=dag))
    assert fired(line.at("30s")) == 0
    line.event(Event("a", START + 29 * SECOND, deployment="prod", dag_id="billing"))
    assert fired(line.at("1m")) == 1


def test_a_ratio_needs_its_sample() -> None:
    share = Window(MINUTE, of=Selector(("a", "b")), ratio=0.5, min_sample=4)
    assert fired(say(story(rule(window=share)), "a@1s", "a@2s", "a@3s").at("1m")) == 0
    assert fired(say(story(rule(window=share)), "a@1s", "b@2s", "b@3s", "b@4s").at("1m")) == 0
    assert fired(say(story(rule(window=share)), "a@1s", "b@2s", "a@3s", "b@4s").at("1m")) == 1


def chain(*types: str, within: str = "30s", **fields: object) -> Rule:
    """A sequence of events of these types."""
    steps = tuple(Selector((one,)) for one in types)
    return rule(on=(), sequence=Sequence(parse_duration(within), steps), **fields)


def test_a_b_a_c_is_one_chain_and_a_new_beginning() -> None:
    line = say(story(chain("a", "b", "c")), "a@1s", "b@2s", "a@3s", "c@4s").at("30s")
    assert fired(line) == 1
    say(line, "b@20s", "c@21s").at("1m")
    assert fired(line) == 2  # the second a, at 3s, was left


def test_the_oldest_beginning_that_can_still_be_completed_is_used() -> None:
    line = say(story(chain("a", "b")), "a@1s", "a@20s", "b@31s").at("1m")
    assert fired(line) == 1
    assert fired(say(line, "b@45s").at("90s")) == 1  # the first a was too old, the second is used up


def test_a_sequence_ends_before_its_length_is_over() -> None:
    assert fired(say(story(chain("a", "b")), "a@1s", "b@31s").at("1m")) == 0
    assert fired(say(story(chain("a", "b")), "a@1s", "b@30s999ms").at("1m")) == 1


def test_equal_times_count_as_then_but_the_wrong_order_does_not() -> None:
    assert fired(say(story(chain("a", "b")), "b@1s", "a@1s").at("30s")) == 1
    assert fired(say(story(chain("a", "b")), "b@1s", "a@2s").at("30s")) == 0


def test_one_event_fills_one_step_of_a_chain_and_may_begin_the_next() -> None:
    same = chain("a", "a")
    assert fired(say(story(same), "a@1s").at("30s")) == 0
    assert fired(say(story(same), "a@1s", "a@2s").at("30s")) == 1
    assert fired(say(story(same), "a@1s", "a@2s", "a@3s").at("30s")) == 2  # the second ended one and began another


def test_one_event_may_fill_two_members_of_a_compound() -> None:
    both = rule("both", on=(), compound=Compound(MINUTE, ("one", "two"), 2))
    one = rule("one", window=Window(MINUTE, at_least=1))
    two = rule("two", on=("a", "b"), window=Window(MINUTE, at_least=1))
    line = say(story(both, one, two), "a@1s").at("30s")
    assert fired(line, "both") == 1


def test_a_compound_of_observing_rules_may_act() -> None:
    both = rule("both", on=(), compound=Compound(MINUTE, ("one", "two"), 2))
    seen = rule("one", window=Window(MINUTE, at_least=1), mode=Mode.OBSERVE)
    other = rule("two", on=("b",), window=Window(MINUTE, at_least=1), mode=Mode.OBSERVE)
    line = say(story(both, seen, other), "a@1s", "b@2s").at("30s")
    assert fired(line, "both") == 1
    line.expect_message().expect_nothing()


def test_a_rule_without_state_is_a_member_of_a_compound_too() -> None:
    both = rule("both", on=(), compound=Compound(MINUTE, ("one", "two"), 2))
    plain = rule("one", per=(), do=(Step("log"),))
    other = rule("two", on=("b",), window=Window(MINUTE, at_least=1), mode=Mode.OBSERVE)
    line = say(story(both, plain, other), "a@1s", "b@2s").at("30s")
    assert fired(line, "both") == 1


def held(**fields: object) -> Rule:
    """Fires when 'a' was not followed by 'end' for ten seconds."""
    return rule(hold_for=10 * SECOND, ended_by=Selector(("end",)), **fields)


def test_a_hold_ends_with_its_end_but_not_at_its_last_instant() -> None:
    assert fired(say(story(held()), "a@1s", "end@10s999ms").at("1m")) == 0
    assert fired(say(story(held()), "a@1s", "end@11s").at("1m")) == 1
    assert fired(say(story(held()), "a@1s").at("1m")) == 1


def test_a_hold_waits_for_the_feed_so_that_an_end_read_late_still_counts() -> None:
    line = say(story(held()), "a@1s").at("5s").feed_stops().at("1m")
    say(line, "end@6s").at("2m")
    assert fired(line.feed_reads_on().at("3m")) == 0


def test_a_hold_without_a_feed_ends_unverified() -> None:
    line = say(story(held()), "a@1s").at("5s").feed_stops().at("14m")
    assert fired(line) == 0
    line.at("17m")
    assert fired(line) == 1
    assert any("unverified" in one.text for one in line.decisions if one.reason is Reason.FIRED)


def test_an_end_closes_the_incident_and_the_message_is_edited() -> None:
    line = say(story(held()), "a@1s").at("30s")
    line.expect_message().expect_nothing().expect_open(1)
    say(line, "end@31s").at("1m")
    line.expect_message(edited=True).expect_open(0)


def test_the_incident_of_a_window_ends_when_it_has_calmed_down() -> None:
    line = say(story(rule(window=Window(MINUTE, at_least=2))), "a@1s", "a@2s").at("30s")
    line.expect_message().expect_open(1)
    line.at("75s")
    line.expect_open(0).expect_reason(Reason.CALMED)


def test_a_cool_down_is_deaf() -> None:
    quiet = rule(window=Window(MINUTE, at_least=2), cool_down=30 * SECOND)
    line = say(story(quiet), "a@1s", "a@2s").at("20s")
    assert fired(line) == 1
    say(line, "a@20s", "a@21s").at("40s")
    assert fired(line) == 1
    say(line, "a@50s").at("75s")
    assert fired(line) == 1  # what came in the cool-down is not counted afterwards
    assert fired(say(line, "a@75s").at("100s")) == 2


def test_once_within_swallows_but_goes_on_counting() -> None:
    once = rule(window=Window(MINUTE, at_least=2), once_within=30 * SECOND)
    line = say(story(once), "a@1s", "a@2s", "a@3s", "a@4s", "a@5s").at("20s")
    assert fired(line) == 1
    line.expect_reason(Reason.SUPPRESSED)
    assert fired(say(line, "a@33s").at("1m")) == 2  # with the fifth


def test_state_is_kept_by_a_change_of_the_response_and_lost_by_one_of_the_condition() -> None:
    two = rule(window=Window(MINUTE, at_least=2))
    line = say(story(two), "a@1s").at("15s")
    line.activate(RuleSetSpec((rule(window=Window(MINUTE, at_least=2), summary="other"),), POLICY))
    assert fired(say(line, "a@15s").at("40s")) == 1
    line = say(story(two), "a@1s").at("15s")
    line.activate(RuleSetSpec((rule(window=Window(2 * MINUTE, at_least=2)),), POLICY))
    assert fired(say(line, "a@15s").at("40s")) == 0
    line.expect_reason(Reason.STATE_BEGUN_ANEW)


def test_a_removed_rule_closes_its_incidents() -> None:
    line = say(story(held()), "a@1s").at("30s")
    line.expect_message().expect_open(1)
    line.activate(RuleSetSpec((rule("other"),), POLICY)).at("15m")
    line.expect_open(0).expect_reason(Reason.RULE_REMOVED)


def test_a_rule_has_no_more_keys_than_it_may_have() -> None:
    import msgspec

    policy = msgspec.structs.replace(POLICY, max_keys=2)
    line = story(rule(window=Window(MINUTE, at_least=2)), policy=policy)
    for subject in "xyz":
        say(line, "a@1s", "a@2s", subject=subject)
    assert fired(line.at("30s")) == 2
    assert any(one.rule == "self.rule_limit" for one in line.incidents.values())
    line.at("2h")
    assert line.core.ledger.detectors == {}  # keys are given back


def test_an_event_without_a_field_of_the_key_is_an_error_that_does_not_act() -> None:
    line = story(rule(window=Window(MINUTE, at_least=1), per=("attributes.host",)))
    say(line, "a@1s").at("30s")
    assert fired(line) == 0
    line.expect_reason(Reason.NO_KEY)
