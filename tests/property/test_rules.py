"""The index answers as trying every rule does, whatever the rules and the event; and no event makes it raise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import re2
from hypothesis import given
from hypothesis import strategies as st

from remediator.codecs.registry import CODECS
from remediator.model.event import ErrorInfo, Event
from remediator.model.policy import Policy
from remediator.model.record import Record
from remediator.model.time import DAY, HOUR
from remediator.rules.faults import Faults
from remediator.rules.fields import getter_of
from remediator.rules.index import NOTHING, RuleSet, naive_match
from remediator.rules.lines import locate
from remediator.rules.load import read_rules
from remediator.rules.selectors import members_of
from remediator.rules.spec import Period, Rule, RuleSetSpec, Selector, Sequence, Window
from remediator.rules.toml import parse_document
from remediator.rules.tree import FEW

SHAPES = Path(__file__).parents[1] / "data" / "corpus" / "openlineage-shapes.ndjson"
WORDS = ("a", "b", "ab", "A", "1", "prod-1", "connection reset", "timed out\nafter 3", "", "é\ud800")
NUMBERS = (0, 1, 1.0, -1, 2.5, 10**15)
GLOBS = ("a*", "*", "?", "[ab]", "[!a]*", "prod-*", "*out*3", "[")
PATTERNS = ("a", "(?i)A", "^b$", "reset|timed ?out", "", r"\d", "^$", "é")
TYPES = ("task.failed_finally", "task.failed", "check.failed", "x")

words = st.sampled_from([word for word in WORDS if word.isprintable() and "\ud800" not in word])
scalars = st.one_of(words, st.sampled_from(NUMBERS), st.booleans())
bare = st.one_of(scalars, st.sampled_from(GLOBS), st.lists(scalars | st.sampled_from(GLOBS), min_size=1, max_size=4))
operators = st.fixed_dictionaries(
    {},
    optional={
        "equals": scalars,
        "in": st.lists(scalars, min_size=1, max_size=3),
        "glob": st.sampled_from(GLOBS),
        "matches": st.sampled_from(PATTERNS),
        "gt": st.sampled_from(NUMBERS),
        "gte": st.sampled_from(NUMBERS),
        "lt": st.sampled_from(NUMBERS),
        "lte": st.sampled_from(NUMBERS),
        "exists": st.booleans(),
    },
).filter(bool)
conditions: st.SearchStrategy[Any] = st.recursive(
    bare | operators, lambda inner: st.fixed_dictionaries({"not": inner}), max_leaves=2
)
FIELDS = (
    "deployment",
    "dag_id",
    "task_id",
    "try_number",
    "map_index",
    "owner",
    "tags",
    "outputs",
    "error.type",
    "error.message",
    "attributes.k",
    "attributes.deep.k",
)
flat_wheres = st.dictionaries(st.sampled_from(FIELDS), conditions, min_size=1, max_size=3)


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tables = st.lists(inner, min_size=1, max_size=3)
    kinds = ({"any": tables}, {"all": tables}, {"not": inner}, {"any": tables, "not": inner})
    groups = st.one_of(*map(st.fixed_dictionaries, kinds))
    return st.builds(lambda group, clauses: group | clauses, groups, flat_wheres | st.just({}))


nested_wheres = combined(flat_wheres)
wheres = st.just({}) | flat_wheres | nested_wheres | combined(flat_wheres | nested_wheres)
ons = st.lists(st.sampled_from((*TYPES, "task.*", "*", "check.?ailed")), min_size=1, max_size=2).map(tuple)


selectors = st.builds(Selector, ons, wheres)
windows = st.builds(Window, st.just(HOUR)) | st.builds(Window, st.just(HOUR), of=selectors, ratio=st.just(0.5))
sequences = st.builds(Sequence, st.just(HOUR), st.lists(selectors, min_size=2, max_size=3).map(tuple))
periods = st.builds(Period, st.sampled_from((0, 720)), st.sampled_from((720, 1440)), st.sampled_from(((), (3,))))
extras = st.fixed_dictionaries(
    {},
    optional={"window": windows, "ended_by": selectors, "active": st.tuples(periods), "cool_down": st.just(HOUR)},
)


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSetSpec:
    """Rules of all kinds: responders, detectors, sequences, with ends and active periods."""
    parts = draw(st.lists(st.tuples(ons, wheres, st.integers(0, 3), extras), min_size=1, max_size=FEW * 4))
    rules = [
        Rule(id=f"r{number:03}", on=on, where=where, priority=priority, **extra)
        for number, (on, where, priority, extra) in enumerate(parts)
    ]
    chains = draw(st.lists(sequences, max_size=2))
    rules += [Rule(id=f"s{number}", sequence=sequence) for number, sequence in enumerate(chains)]
    return RuleSetSpec(tuple(rules), Policy())


@st.composite
def dense_rule_sets(draw: st.DrawFn) -> RuleSetSpec:
    """Many rules that differ little, so that the index has tables and sets and not only a list."""
    fields = draw(
        st.lists(st.sampled_from(("dag_id", "tags", "error.message", "attributes.k")), min_size=1, max_size=2)
    )
    few = st.sampled_from(("a", "b", "ab"))
    pairs = st.one_of(
        few,
        st.sampled_from(("a*", "[ab]")),
        st.fixed_dictionaries({"equals": few}, optional={"matches": st.sampled_from(("a", "b$")), "not": few}),
        st.fixed_dictionaries({"matches": st.sampled_from(("a", "^b"))}, optional={"gt": st.just(0), "not": few}),
    )
    tables = st.fixed_dictionaries(dict.fromkeys(fields, pairs))
    alternatives = st.fixed_dictionaries({"any": st.lists(tables, min_size=2, max_size=2)})
    wheres = draw(st.lists(tables | alternatives, min_size=FEW + 1, max_size=FEW * 5))
    rules = (Rule(id=f"r{number:03}", on=("x",), where=where) for number, where in enumerate(wheres))
    return RuleSetSpec(tuple(rules), Policy())


dense_texts = st.sampled_from(("a", "b", "ab", "c"))
dense_values: st.SearchStrategy[Any] = st.lists(dense_texts | st.just(1), max_size=3) | dense_texts | st.just(1)
dense_events = st.builds(
    Event,
    type=st.just("x"),
    time=st.just(0),
    dag_id=dense_texts,
    tags=st.lists(dense_texts, max_size=3).map(tuple),
    error=st.builds(ErrorInfo, message=dense_texts),
    attributes=st.fixed_dictionaries({"k": dense_values}),
)


@given(dense_rule_sets(), st.lists(dense_events, min_size=1, max_size=5))
def test_index_answers_the_same_for_rules_that_differ_little(spec: RuleSetSpec, some: list[Event]) -> None:
    rule_set = RuleSet(spec)
    for event in some:
        assert rule_set.match(event) == naive_match(spec, event)


texts = st.sampled_from(WORDS) | st.text(max_size=6)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("k", "x.y")), inner, max_size=2),
    max_leaves=5,
)
lists = st.lists(texts, max_size=3).map(tuple)
events = st.builds(
    Event,
    type=st.sampled_from((*TYPES, "task.", "checkXfailed")),
    time=st.sampled_from((0, DAY // 2, 4 * DAY, 2**62)),
    deployment=st.sampled_from(WORDS),
    dag_id=st.none() | texts,
    task_id=st.none() | texts,
    try_number=st.none() | st.integers(-1, 3),
    map_index=st.integers(-1, 2),
    owner=st.none() | texts,
    tags=lists,
    outputs=lists,
    error=st.none() | st.builds(ErrorInfo, type=st.none() | texts, message=st.none() | texts),
    attributes=st.dictionaries(st.sampled_from(("k", "deep", "deep.k")), values, max_size=3),
)


@given(rule_sets(), st.lists(events, min_size=1, max_size=5))
def test_index_answers_as_trying_every_rule_does(spec: RuleSetSpec, some: list[Event]) -> None:
    rule_set = RuleSet(spec)
    for event in some:
        assert rule_set.match(event) == naive_match(spec, event)
        assert rule_set.wants(event.type) or naive_match(spec, event) == NOTHING


def recorded_events() -> list[Event]:
    """One event of each shape that was recorded from Airflow 3.3.2."""
    codec = CODECS["auto"]()
    values = [json.loads(line)["value"].encode() for line in SHAPES.read_text().splitlines()]
    records = [Record("t", 0, offset, 0, None, value) for offset, value in enumerate(values)]
    found = [event for record in records for event in codec.decode(record)]
    assert len(found) > 30
    return found


recorded = st.sampled_from(recorded_events())
of_recorded = st.sampled_from(("dag_id", "task_id", "error.type", "error.message", "deployment", "operator", "outputs"))


@st.composite
def wheres_on_recorded(draw: st.DrawFn) -> dict[str, Any]:
    """Conditions that some recorded events fulfil."""
    where: dict[str, Any] = {}
    for field in draw(st.lists(of_recorded, max_size=3, unique=True)):
        get = getter_of(field)
        assert get is not None
        value = get(draw(recorded))
        text = str(value[0] if isinstance(value, tuple) and value else value)[:50]
        conditions_ = (text, f"{text[:5]}*", {"equals": text}, {"not": text}, {"matches": re2.escape(text[:10])})
        where[field] = draw(st.sampled_from(conditions_))
    return where


@given(
    st.lists(
        st.builds(lambda ors, ands: {**ands, **({"any": ors} if any(ors) and all(ors) else {})},
                  st.lists(wheres_on_recorded(), max_size=2), wheres_on_recorded()),
        min_size=1, max_size=FEW * 3,
    ),
    st.lists(recorded, min_size=1, max_size=5),
)  # fmt: skip
def test_index_answers_as_trying_every_rule_does_on_recorded_events(some: list[Any], met: list[Event]) -> None:
    types = ("task.*", "dagrun.*")
    spec = RuleSetSpec(tuple(Rule(id=f"r{n:03}", on=types, where=where) for n, where in enumerate(some)), Policy())
    rule_set = RuleSet(spec)
    for event in met:
        assert rule_set.match(event) == naive_match(spec, event)


@given(rule_sets(), events, st.randoms())
def test_order_of_rules_in_the_files_changes_no_answer(spec: RuleSetSpec, event: Event, chance: random.Random) -> None:
    shuffled = list(spec.rules)
    chance.shuffle(shuffled)
    assert RuleSet(spec).match(event) == RuleSet(RuleSetSpec(tuple(shuffled), spec.policy)).match(event)


@given(rule_sets(), events)
def test_explanation_agrees_with_the_match(spec: RuleSetSpec, event: Event) -> None:
    rule_set = RuleSet(spec)
    matched = rule_set.match(event)
    met = {(rule.id, "on") for rule in matched.rules} | {(rule.id, member) for rule, member in matched.members}
    errors = {(rule_id, _member(reason, ": ")) for rule_id, reason in matched.errors}
    for rule in spec.rules:
        explained = rule_set.explain(event, rule.id)
        for member, _ in members_of(rule):
            verdicts = [one.verdict for one in explained if _member(one.field, ".") == member]
            assert ((rule.id, member) in met) == (set(verdicts) == {"yes"})
            assert ((rule.id, member) in errors) == ("error" in verdicts and "no" not in verdicts)


def _member(text: str, separator: str) -> str:
    """The member that a reason or the field of an explanation names; the main selector names none."""
    first = text.partition(separator)[0]
    return first if first in ("of", "end", "1", "2", "3") else "on"


@given(rule_sets(), events)
def test_hash_names_the_content(spec: RuleSetSpec, event: Event) -> None:
    again = RuleSet(RuleSetSpec(tuple(spec.rules), Policy()))
    again.match(event)
    assert again.hash == RuleSet(spec).hash
    other = RuleSetSpec(spec.rules, Policy(unclassified_route="elsewhere"))
    assert RuleSet(other).hash != again.hash


keys = st.sampled_from(("a", "b.c", "rule", "é", 'q"q', "with space"))
leaves = st.integers() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8)
toml_values: st.SearchStrategy[Any] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(keys, toml_values, max_size=4), st.lists(st.dictionaries(keys, leaves, max_size=3), max_size=3))
def test_every_path_of_a_document_has_its_line(top: dict[str, Any], tables: list[dict[str, Any]]) -> None:
    lines = [f"{_written(key)} = {_written(value)} # ]" for key, value in top.items()]
    for table in tables:
        lines += ["", "[[t.tables]]", *(f"{_written(key)} = {_written(value)}" for key, value in table.items())]
    text = "\n".join(lines)
    found = locate(text)
    for number, key in enumerate(top, 1):
        assert found[(key,)] == number
    assert set(_paths(parse_document(text, "f").data, ())) <= set(found)


def _written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_written(key)} = {_written(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


def _paths(value: Any, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [found for key, item in items for found in _paths(item, (*path, key))]
    return [path, *inner] if path and path != ("t",) else inner


SNIPPETS = (
    "[[rule]]",
    "id = 'a'",
    "on = 'x'",
    "where = {",
    "}",
    "[rule.where]",
    '"error.message" = "a"',
    "[[rule.do]]",
)
garbage = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=12), max_size=12).map("\n".join)


@given(garbage)
def test_a_rule_file_is_read_or_faulted_but_never_raises_anything_else(text: str) -> None:
    try:
        document = parse_document(text, str(Path("f.toml")))
        rules = read_rules(document, Policy(), "f.toml")
    except Faults:
        return
    assert document.faults or all(rule.id for rule in rules)
