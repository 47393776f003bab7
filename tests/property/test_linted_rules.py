"""Rules that lint finds no fault in match any event without raising; and what lint calls impossible never matches."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from remediator.model.event import ConditionInfo, ErrorInfo, Event
from remediator.model.policy import Policy, Route
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.lint import FAULT, lint
from remediator.rules.load import read_rules
from remediator.rules.spec import RuleSetSpec
from remediator.rules.toml import Document

POLICY = Policy(routes={"default": Route("default")})
WORDS = ("a", "ab", "b", "a*", "[a-b]", "a?", "*", "")
PATTERNS = ("a", "^b", "(?P<x>a+)", ".*", "a?$", "(?i)B")
TIMES = ("2026-11-02T00:00:00Z", "2026-11-07T12:00:00Z")

texts = st.sampled_from(WORDS)
numbers = st.integers(-2, 5) | st.sampled_from((0.5, 2.0))
scalars = texts | numbers | st.booleans()
COMPARISONS = ("gt", "gte", "lt", "lte")


def some_of(**operands: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table of one to three operators."""
    names = st.lists(st.sampled_from(sorted(operands)), min_size=1, max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name.rstrip("_"): operands[name] for name in chosen}))


def values(one: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A condition on a field with such values."""
    many = st.lists(one, min_size=1, max_size=3)
    fixed = {"equals": one | st.just({"field": "job"}), "in_": many, "exists": st.booleans(), "not_": one | many}
    return one | many | some_of(**fixed, **more)


def compared(bound: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(COMPARISONS, bound)


patterns: dict[str, st.SearchStrategy[Any]] = {"glob": texts, "matches": st.sampled_from(PATTERNS)}
text_conditions = values(texts, **patterns) | values(scalars)
number_conditions = values(numbers, **compared(numbers | st.just({"field": "retries"})))
CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "dag_id": text_conditions,
    "job": text_conditions,
    "tags": text_conditions,
    "error.message": text_conditions,
    "try_number": number_conditions,
    "duration": some_of(exists=st.booleans(), **compared(st.sampled_from(("30m", "1h", "2h")))),
    "time": some_of(
        between=st.just(["22:00", "06:00"]),
        days=st.sampled_from(("mon", "sat-mon")),
        **compared(st.sampled_from(TIMES)),
    ),
    "condition.active": st.booleans() | texts,
    "attributes.x": values(scalars, **patterns, **compared(numbers | st.just("1m"))),
}


def leaves_of(least: int) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=least, max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: CONDITIONS[name] for name in chosen}))


leaves, full_leaves = leaves_of(0), leaves_of(1)
wheres = st.builds(
    lambda own, combined: {**own, **combined},
    leaves,
    st.just({})
    | st.fixed_dictionaries({"any": st.lists(full_leaves, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"all": st.lists(full_leaves, min_size=1, max_size=2)})
    | st.fixed_dictionaries({"not": full_leaves})
    | st.just({"use": "some"}),
)
types = st.sampled_from(("task.failed_finally", "task.*", "node.not_ready", "own.type"))
selectors = st.fixed_dictionaries({"on": types, "where": wheres})
detections = st.sampled_from(({}, {"hold_for": "5m"}, {"window": {"length": "10m", "at_least": 2}})) | st.builds(
    lambda share: {"window": {"length": "10m", "ratio": 0.5, "of": share}}, selectors
)


def rule(number: int, selector: dict[str, Any], detection: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    step: dict[str, Any] = {"action": "log", "text": "{event.dag_id} {rule.id}"}
    table = {"id": f"r{number}", **selector, **detection, "do": [{**step, "if": condition} if condition else step]}
    return {**table, "per": ["deployment"]} if detection else table


rules = st.lists(st.tuples(selectors, detections, leaves), min_size=1, max_size=2).map(
    lambda some: [rule(number, *parts) for number, parts in enumerate(some)]
)
events = st.builds(
    Event,
    type=st.sampled_from(("task.failed_finally", "task.failed", "node.not_ready", "own.type")),
    time=st.sampled_from((0, 1_793_000_000_000_000)) | st.integers(-(2**62), 2**62),
    dag_id=st.none() | texts,
    job=st.none() | texts,
    try_number=st.none() | st.integers(0, 5),
    retries=st.none() | st.integers(0, 5),
    started_at=st.none() | st.just(0),
    ended_at=st.none() | st.just(3_600_000_000),
    tags=st.lists(texts, max_size=2).map(tuple),
    error=st.none() | st.builds(ErrorInfo, message=st.none() | texts),
    condition=st.none() | st.builds(ConditionInfo, st.just("a"), st.just("b"), st.booleans()),
    attributes=st.fixed_dictionaries({}, optional={"x": scalars | st.lists(scalars, max_size=2)}),
)


def loaded(tables: list[dict[str, Any]], some: dict[str, Any]) -> RuleSetSpec | None:
    """The rules, None if the loader finds a fault."""
    document = Document("f.toml", {"rule": tables, "define": {"some": some}}, {})
    found = read_rules(document, POLICY, "f.toml")
    return None if document.faults else RuleSetSpec(tuple(found), POLICY)


@given(rules, full_leaves, st.lists(events, min_size=1, max_size=8))
def test_rules_without_faults_never_raise_and_impossible_ones_never_match(
    tables: list[dict[str, Any]], some: dict[str, Any], some_events: list[Event]
) -> None:
    spec = loaded(tables, some)
    if spec is None:
        return
    findings = lint(spec, POLICY)
    impossible = {
        finding.fault.place.split('"')[1]
        for finding in findings
        if finding.code == "never-matches" and " where " in finding.fault.place and "window" not in finding.fault.place
    }
    try:
        rule_set = RuleSet(spec)
    except Faults as faults:
        raise AssertionError(f"what loads must compile: {faults}") from None
    for event in some_events:
        matched = rule_set.match(event)
        names = {one.id for one in matched.rules} | {one.id for one, member in matched.members if member == "on"}
        assert not names & impossible
    assert all(finding.severity in (FAULT, "warning") for finding in findings)


small_words = st.sampled_from(("a", "ab", "a*", "*b"))
shared = st.fixed_dictionaries(
    {},
    optional={
        "dag_id": small_words | st.lists(small_words, min_size=1, max_size=2) | st.just({"exists": True}),
        "job": small_words | st.just({"glob": "a*"}) | st.just({"in": ["a", "ab"]}),
        "try_number": st.just(1) | st.just({"gt": 0}),
    },
)
final_events = st.builds(
    Event,
    type=st.just("task.failed_finally"),
    time=st.just(0),
    dag_id=st.none() | st.sampled_from(("a", "ab", "b")),
    job=st.none() | st.sampled_from(("a", "ab", "b")),
    try_number=st.none() | st.integers(0, 1),
)


def acting(number: int, where: dict[str, Any]) -> dict[str, Any]:
    do = [{"action": "airflow.retry"}]
    return {"id": f"r{number}", "mode": "act", "on": "task.failed_finally", "where": where, "do": do}


@given(st.lists(shared, min_size=2, max_size=8), st.lists(final_events, max_size=10))
def test_a_shadowed_rule_never_responds_and_copies_are_always_found(
    some: list[dict[str, Any]], some_events: list[Event]
) -> None:
    spec = loaded([acting(number, where) for number, where in enumerate([*some, some[0]])], {"job": "a"})
    assert spec is not None
    shadowed = {finding.fault.place.split('"')[1] for finding in lint(spec) if finding.code == "shadowed"}
    assert f"r{len(some)}" in shadowed
    rule_set = RuleSet(spec)
    for event in some_events:
        assert not {one.id for one in rule_set.match(event).rules[:1]} & shadowed
