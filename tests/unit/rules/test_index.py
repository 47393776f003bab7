"""The compiled rule set: order, event types, explanation, and a cost that follows the candidates."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.model.event import ErrorInfo, Event
from remediator.model.policy import Policy
from remediator.rules.faults import Faults
from remediator.rules.index import MAX_TYPES, Matched, RuleSet, naive_match
from remediator.rules.spec import Rule, RuleSetSpec


def rule_set(*rules: Rule) -> RuleSet:
    return RuleSet(RuleSetSpec(rules, Policy()))


def failure(message: str = "", **fields: Any) -> Event:
    return Event(type="task.failed_finally", time=0, error=ErrorInfo(message=message), **fields)


def test_highest_priority_comes_first_then_the_id() -> None:
    rules = [Rule(id=name, on=("x",), priority=priority) for name, priority in (("c", 5), ("a", 5), ("b", 9))]
    assert [rule.id for rule in rule_set(*rules).match(Event(type="x", time=0)).rules] == ["b", "a", "c"]


def test_types_are_matched_exactly_or_by_glob() -> None:
    compiled = rule_set(Rule(id="exact", on=("x", "y")), Rule(id="glob", on=("check.*",)))
    assert compiled.event_types == {"x", "y"}
    assert compiled.wants("y")
    assert compiled.wants("check.failed")
    assert not compiled.wants("check")
    assert [rule.id for rule in compiled.match(Event(type="check.failed", time=0)).rules] == ["glob"]


def test_endless_types_are_not_remembered_endlessly() -> None:
    compiled = rule_set(Rule(id="glob", on=("check.*",)))
    for number in range(MAX_TYPES + 10):
        assert compiled.match(Event(type=f"check.{number}", time=0)).rules
    assert len(compiled._by_type) <= MAX_TYPES


def test_error_is_told_and_never_matches() -> None:
    compiled = rule_set(
        Rule(id="a", on=("task.failed_finally",), where={"owner": {"not": "x"}}),
        Rule(id="b", on=("task.failed_finally",), where={"owner": {"not": "x"}, "dag_id": "other"}),
    )
    assert compiled.match(failure(dag_id="d")) == Matched(errors=(("a", "owner: missing"),))


def test_explanation_names_every_clause() -> None:
    where = {"dag_id": "d", "try_number": {"gt": 2}, "owner": {"not": "x"}, "task_id": "t"}
    compiled = rule_set(Rule(id="a", on=("task.failed_finally",), where=where))
    verdicts = compiled.explain(failure(dag_id="d", try_number=1), "a")
    assert [(one.field, one.value_met, one.verdict, one.reason) for one in verdicts] == [
        ("on", "task.failed_finally", "yes", "the rule is on this type"),
        ("dag_id", "d", "yes", "the condition holds"),
        ("try_number", 1, "no", "it does not hold"),
        ("owner", None, "error", "owner: missing"),
        ("task_id", None, "no", "the field is missing"),
    ]
    with pytest.raises(KeyError):
        compiled.explain(failure(), "z")


def test_rules_that_do_not_compile_are_faults() -> None:
    with pytest.raises(Faults, match="bad pattern"):
        rule_set(Rule(id="a", on=("x",), where={"dag_id": {"matches": "("}}, file="f.toml", line=3))


def test_patterns_too_large_for_one_set_still_answer() -> None:
    patterns = [rf"(?i)[\pL]{{300}}\d{{200}}z{number}" for number in range(20)]
    rules = [
        Rule(id=f"r{number:02}", on=("task.failed_finally",), where={"error.message": {"matches": pattern}})
        for number, pattern in enumerate(patterns)
    ]
    spec = RuleSetSpec(tuple(rules), Policy())
    event = failure("é" * 300 + "1" * 200 + "Z7")
    matched = RuleSet(spec).match(event)
    assert [rule.id for rule in matched.rules] == ["r07"]
    assert matched == naive_match(spec, event)


@pytest.mark.parametrize(
    "where",
    [
        lambda n: {"dag_id": f"dag_{n}", "error.message": {"matches": "reset"}},
        lambda n: {"deployment": "prod", "error.message": {"matches": f"reset {n}$"}},
        lambda n: {"deployment": ["prod", "test"], "dag_id": f"dag_{n}_*"},
        lambda n: {"tags": f"tag_{n}", "try_number": {"gt": 0}},
        lambda n: {"tags": f"tag_{n}_*"},
    ],
)
def test_rules_that_cannot_match_are_not_tried(where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [Rule(id=f"r{n}", on=("task.failed_finally",), where=where(n)) for n in range(500)]
    compiled = rule_set(*rules)
    tried: list[int] = []
    monkeypatch.setattr("remediator.rules.tree.verdict_of", lambda clauses, event: tried.append(1) or True)
    event = failure("reset 7", dag_id="dag_7_x", deployment="prod", tags=("other", "tag_7", "tag_7_x"), try_number=2)
    dag_event = failure("reset 7", dag_id="dag_7", deployment="prod", tags=("other", "tag_7", "tag_7_x"), try_number=2)
    found = {rule.id for one in (event, dag_event) for rule in compiled.match(one).rules}
    assert found == {"r7"}
    assert len(tried) <= 4
