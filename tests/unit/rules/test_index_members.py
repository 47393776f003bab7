"""What the compiled rule set tells the engine: members of detectors, periods, names, texts, conditions of steps."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.model.event import ErrorInfo, Event
from remediator.model.firing import FiringView
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.policy import Policy
from remediator.model.time import HOUR, MINUTE, parse_instant
from remediator.rules.conditions import Trouble
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet, naive_match
from remediator.rules.periods import end_of_periods, in_periods
from remediator.rules.scene import Scene
from remediator.rules.shape import shape
from remediator.rules.spec import (
    Compound,
    During,
    Period,
    Rule,
    RuleSetSpec,
    Selector,
    Sequence,
    Step,
    Window,
)

MONDAY = parse_instant("2026-11-23T12:00:00Z")
FAILED = Selector(("task.failed",))
RATIO = Rule(
    id="ratio",
    on=("task.failed",),
    where={"deployment": "prod"},
    per=("deployment",),
    window=Window(10 * MINUTE, of=Selector(("task.*",)), ratio=0.2),
)
CHAIN = Rule(
    id="chain",
    per=("deployment",),
    sequence=Sequence(HOUR, (Selector(("pod.evicted",)), FAILED, FAILED)),
    ended_by=Selector(("node.ready",)),
    priority=60,
)
PLAIN = Rule(id="plain", on=("task.failed",), ended_by=Selector(("task.success",), {"dag_id": "d"}))


def rule_set(*rules: Rule) -> RuleSet:
    return RuleSet(RuleSetSpec(rules, Policy()))


def members(rules: RuleSet, event_type: str, **fields: Any) -> list[tuple[str, str]]:
    event = Event(type=event_type, time=MONDAY, **fields)
    matched = rules.match(event)
    assert matched == naive_match(rules.spec, event)
    return [*((rule.id, "rule") for rule in matched.rules), *((rule.id, member) for rule, member in matched.members)]


def test_members_come_by_rank_then_in_their_order() -> None:
    rules = rule_set(PLAIN, RATIO, CHAIN)
    failed = members(rules, "task.failed", deployment="prod")
    assert failed == [("plain", "rule"), ("chain", "2"), ("chain", "3"), ("ratio", "on"), ("ratio", "of")]
    assert members(rules, "task.failed", deployment="test")[-1] == ("ratio", "of")
    assert members(rules, "pod.evicted") == [("chain", "1")]
    assert members(rules, "node.ready") == [("chain", "end")]
    assert members(rules, "task.success", dag_id="d") == [("plain", "end"), ("ratio", "of")]
    assert members(rules, "task.success") == [("ratio", "of")]
    assert rules.wants("pod.evicted")
    assert rules.wants("task.anything")
    assert not rules.wants("node.other")
    assert "node.ready" in rules.event_types


def test_active_periods_hold_back_all_but_the_end() -> None:
    sunday = (Period(days=(6,)),)
    plain = Rule(id="plain", on=("a",), active=sunday, ended_by=Selector(("a",)))
    ratio = Rule(id="ratio", on=("a",), active=sunday, window=Window(HOUR, of=Selector(("a",)), ratio=0.5))
    chain = Rule(id="chain", active=sunday, sequence=Sequence(HOUR, (Selector(("a",)), Selector(("a",)))))
    rules = rule_set(plain, ratio, chain)
    assert members(rules, "a") == [("plain", "end")]
    on_sunday = rules.match(Event("a", parse_instant("2026-11-22T12:00:00Z")))
    assert [rule.id for rule in on_sunday.rules] == ["plain"]
    assert [member for _, member in on_sunday.members] == ["1", "2", "end", "on", "of"]


def test_errors_of_members_say_which() -> None:
    where = {"owner": {"not": "x"}}
    rules = rule_set(Rule(id="a", on=("x",), where=where, ended_by=Selector(("x",), where)))
    assert rules.match(Event("x", 0)).errors == (("a", "owner: missing"), ("a", "end: owner: missing"))


def test_conditions_are_wanted_by_name_or_glob() -> None:
    rules = rule_set(
        Rule(id="a", on=("x",), during=(During("node.not_ready"),)),
        Rule(id="b", on=("x",), not_during=(During("spot.*"),)),
    )
    assert [rules.wants_condition(name) for name in ("node.not_ready", "spot.reclaimed", "node.ready")] == [
        True,
        True,
        False,
    ]


def test_compounds_of_a_rule() -> None:
    one = Rule(id="one", per=(), compound=Compound(HOUR, ("a", "b"), 2))
    two = Rule(id="two", per=(), compound=Compound(HOUR, ("b", "one"), 1))
    rules = rule_set(Rule(id="a", on=("x",)), Rule(id="b", on=("x",)), one, two)
    assert rules.compounds_of("b") == (one, two)
    assert rules.compounds_of("one") == (two,)
    assert rules.compounds_of("two") == ()
    assert not members(rules, "y")


def test_quiet_periods_come_with_their_zones() -> None:
    quiet = (Period(22 * 60, 6 * 60, (), "Europe/Berlin"),)
    rules = rule_set(Rule(id="a", on=("x",), quiet=quiet))
    night = parse_instant("2026-11-23T23:00:00+01:00")
    assert in_periods(rules.quiet("a"), night)
    assert in_periods(quiet, night)
    assert end_of_periods(rules.quiet("a"), night) == night + 7 * HOUR
    assert rules.quiet("b") == ()


def test_named_groups_of_the_main_selector() -> None:
    where = {
        "error.message": {"matches": r"host (?P<host>\w+)(?: port (?P<port>\d+))?"},
        "any": [{"dag_id": {"matches": "_(?P<day>mon)"}}, {"tags": {"matches": "team-(?P<team>.*)"}}],
    }
    rule = Rule(id="a", on=("x",), where=where, ended_by=Selector(("x",), {"dag_id": {"matches": "(?P<end>.)"}}))
    rules = rule_set(rule)
    event = Event("x", 0, dag_id="d", tags=("b", "team-é" + "z" * 300), error=ErrorInfo(message="on host db7 "))
    assert rules.groups(rule, event) == {"host": "db7", "team": ("é" + "z" * 300)[:200]}
    assert rules.groups(rule, Event("x", 0)) == {}
    assert rules.groups(Rule(id="unknown"), event) == {}


def test_named_groups_of_a_detector_come_from_the_selectors_that_match() -> None:
    steps = (
        Selector(("a",), {"subject": {"matches": "node/(?P<node>.*)"}}),
        Selector(("b",), {"subject": {"matches": "pod/(?P<pod>.*)"}, "dag_id": "d"}),
    )
    rule = Rule(id="chain", sequence=Sequence(HOUR, steps))
    rules = rule_set(rule)
    assert rules.groups(rule, Event("a", 0, subject="node/n1")) == {"node": "n1"}
    assert rules.groups(rule, Event("b", 0, subject="node/n1")) == {}
    assert rules.groups(rule, Event("b", 0, subject="pod/p", dag_id="d")) == {"pod": "p"}
    assert rules.groups(rule, Event("b", 0, subject="pod/p", dag_id="e")) == {}


def test_texts_are_compiled_once_and_rendered() -> None:
    rule = Rule(id="a", on=("x",), title="{event.dag_id} is late", during=(During("c", "node/{event.subject}"),))
    rules = rule_set(rule)
    scene = Scene(Event("x", 0, dag_id="d"), rule)
    assert rules.render(rule.title, scene) == "d is late"
    assert rules.render_strict(rule.during[0].scope, scene) is None
    assert rules.render("another {rule.id}", scene) == "another a"
    assert rules.render("", scene) == ""


def test_conditions_of_steps() -> None:
    condition = {"incident.failures": {"gte": 3}, "incident.age": {"gt": "30m"}, "dag_id": "d"}
    page = Step("page", condition=condition)
    ended = Step("log", condition={"not": {"incident.helped": True}, "firing.count": {"gt": 1}})
    rule = Rule(id="a", on=("x",), do=(Step("log"), page), on_resolve=(ended,))
    rules = rule_set(rule)
    incident = Incident("i", 1, "t", "critical", "p", Phase.FIRING, Handling.NONE, MONDAY, MONDAY, failures=3)

    def verdict(stage: str, index: int, age: int, **parts: Any) -> Any:
        scene = Scene(Event("x", 0, dag_id="d"), rule, incident=incident, now=MONDAY + age, **parts)
        return rules.step_verdict("a", stage, index, scene)

    assert verdict("do", 0, 0) is True
    assert verdict("do", 1, 30 * MINUTE) is False
    assert verdict("do", 1, 30 * MINUTE + 1) is True
    assert verdict("on_resolve", 0, 0) is False
    assert verdict("on_resolve", 0, 0, firing=FiringView("a", 2)) is True
    bare = Scene(None, rule)
    assert rules.step_verdict("a", "do", 1, bare) is False
    assert rules.step_verdict("a", "on_resolve", 0, bare) is False
    unknown = rule_set(Rule(id="a", on=("x",), do=(Step("log", condition={"not": {"incident.severity": "info"}}),)))
    assert unknown.step_verdict("a", "do", 0, bare) == Trouble("not.incident.severity: missing")


def test_shape_is_the_stateful_part() -> None:
    same = (
        Rule(id="other", on=RATIO.on, where=RATIO.where, per=RATIO.per, window=RATIO.window, title="t", priority=1),
        Rule(id="ratio", on=RATIO.on, where=dict(RATIO.where), per=RATIO.per, window=RATIO.window, cool_down=HOUR),
    )
    assert {shape(RATIO), *map(shape, same)} == {rule_set(RATIO).shape(RATIO)}
    assert shape(RATIO) == "11179dd410c95aa9"  # state that outlives a release is found again under it
    changed = (
        Rule(id="ratio", on=("x",), where=RATIO.where, per=RATIO.per, window=RATIO.window),
        Rule(id="ratio", on=RATIO.on, where={}, per=RATIO.per, window=RATIO.window),
        Rule(id="ratio", on=RATIO.on, where=RATIO.where, per=(), window=RATIO.window),
        Rule(id="ratio", on=RATIO.on, where=RATIO.where, per=RATIO.per, window=Window(MINUTE)),
        Rule(id="ratio", on=RATIO.on, where=RATIO.where, per=RATIO.per, window=RATIO.window, hold_for=1),
    )
    assert len({shape(RATIO), *map(shape, changed)}) == 6


def test_explanation_goes_into_every_clause_of_every_selector() -> None:
    where = {"any": [{"dag_id": "x"}, {"not": {"owner": "y"}}]}
    rule = Rule(id="a", on=("x",), where=where, active=(Period(days=(6,)),), ended_by=Selector(("y",), {"dag_id": "d"}))
    verdicts = rule_set(rule).explain(Event("x", MONDAY, dag_id="d"), "a")
    assert [(one.field, one.verdict) for one in verdicts] == [
        ("on", "yes"),
        ("any", "error"),
        ("active", "no"),
        ("end.on", "no"),
        ("end.dag_id", "yes"),
    ]
    x, negation = verdicts[1].children
    assert (x.field, x.value_met, x.verdict) == ("any[0].dag_id", "d", "no")
    assert (negation.field, negation.reason) == ("any[1].not", "any[1].not.owner: missing")
    assert [(one.field, one.verdict, one.value_met) for one in negation.children] == [
        ("any[1].not.owner", "error", None)
    ]
    assert verdicts[2].value_met == MONDAY


def test_everything_that_does_not_compile_is_told() -> None:
    rule = Rule(
        id="a",
        on=("x",),
        where={"any": [{"dagid": 1}]},
        title="{event.dagid}",
        active=(Period(timezone="Nowhere"),),
        do=(Step("log", text="{", condition={"incident.fails": 1}),),
        ended_by=Selector(("y",), {"not": {}}),
    )
    with pytest.raises(Faults) as caught:
        rule_set(rule)
    assert {fault.place for fault in caught.value.faults} == {
        'rule "a" where any.0.dagid',
        'rule "a" text',
        'rule "a" active',
        'rule "a" do 1 if incident.fails',
        'rule "a" end where not',
    }


@pytest.mark.parametrize("kind", ["keys", "patterns"])
def test_alternatives_do_not_make_the_index_try_every_rule(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def where(n: int) -> dict[str, Any]:
        text = {"glob": f"dag_{n}*"} if kind == "patterns" else f"dag_{n}"
        return {"deployment": "prod", "any": [{"dag_id": text}, {"all": [{"task_id": f"task_{n}"}], "try_number": 1}]}

    rules = rule_set(*(Rule(id=f"r{n}", on=("x",), where=where(n)) for n in range(500)))
    assert [rule.id for rule in rules.match(Event("x", 0, deployment="prod", dag_id="dag_77")).rules][-1] == "r77"
    event = Event("x", 0, deployment="prod", dag_id="dag_433", task_id="task_7", try_number=1)
    found = [rule.id for rule in rules.match(event).rules]
    tried: list[int] = []
    monkeypatch.setattr("remediator.rules.tree.verdict_of", lambda clauses, subject: tried.append(1) or True)
    rules.match(event)
    assert {"r433", "r7"} <= set(found)
    assert len(tried) <= 8
