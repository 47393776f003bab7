"""Texts with places: what they show, what is missing, filters, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.event import ErrorInfo, Event
from remediator.model.firing import FiringView
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.time import HOUR, MINUTE, parse_instant
from remediator.rules.scene import Scene
from remediator.rules.spec import Rule
from remediator.rules.template import MAX_RENDERED, UnfitTemplateError, compile_template

AT = parse_instant("2026-11-23T08:00:00Z")
EVENT = Event(
    type="task.failed_finally",
    time=AT,
    dag_id="billing",
    started_at=AT - 90 * MINUTE,
    ended_at=AT,
    tags=("a", "b"),
    error=ErrorInfo(message="line one\n<b>&{event.dag_id}"),
    attributes={"a": {"b": 3.0}, "flag": True, "s": 90, "list": [1, "x"], "bad": "\ud800", "text": "90"},
)
INCIDENT = Incident("i", 2, "Title", "critical", "prod", Phase.FIRING, Handling.NONE, AT - HOUR, AT, failures=7)
SCENE = Scene(
    event=EVENT,
    rule=Rule(id="r", summary="Sum", labels={"team": "x"}),
    match={"host": "db7"},
    firing=FiringView("r", 5, AT - MINUTE, AT, {"deployment": "prod"}),
    incident=INCIDENT,
    now=AT,
)


def render(text: str, scene: Scene = SCENE) -> str:
    return compile_template(text).render(scene)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{event.dag_id}}", "{event.dag_id}"),
        ("a {event.dag_id} b", "a billing b"),
        ("{ event.dag_id|upper }", "BILLING"),
        ("{event.attributes.a.b}", "3"),
        ("{event.attributes.flag} {event.attributes.list} {event.tags}", "true 1, x a, b"),
        ("{event.attributes.bad}", "?"),
        ("{event.error.message}", "line one\n<b>&{event.dag_id}"),
        ("{event.time}", "2026-11-23T08:00:00.000000Z"),
        ('{event.time | time("Europe/Berlin")}', "2026-11-23 09:00:00 CET"),
        ("{event.duration} {event.duration | duration}", "1h30m 1h30m"),
        ("{event.attributes.s | duration} {event.attributes.text | duration}", "1m30s 90"),
        ("{match.host} {firing.count} {firing.rule} {firing.per.deployment}", "db7 5 r prod"),
        ("{firing.first}", "2026-11-23T07:59:00.000000Z"),
        ("{incident.title} {incident.failures} {incident.episode} {incident.severity}", "Title 7 2 critical"),
        ("{rule.id} {rule.summary} {rule.labels.team}", "r Sum x"),
        ("{event.owner}", "«event.owner missing»"),
        ("{event.owner | upper | truncate(9)}", "«event.owner missing»"),
        ('{event.owner | default("no | body") | upper}', "NO | BODY"),
        ('{event.logical_date | time("UTC") | default("")}', ""),
        ("{incident.owner}{match.none}{rule.labels.none}", "«incident.owner missing»«match.none missing»"
         "«rule.labels.none missing»"),
        ("{event.dag_id | truncate(4)} {event.dag_id | truncate(7)}", "bil… billing"),
    ],
)  # fmt: skip
def test_text_is_filled_in(text: str, expected: str) -> None:
    assert render(text) == expected


def test_what_a_scene_does_not_have_is_missing() -> None:
    bare = Scene(None, Rule(id="r"))
    text = "{event.dag_id}{firing.count}{incident.title}{firing.per.a}{rule.summary}"
    assert render(text, bare).count(" missing»") == 5


def test_a_name_for_something_is_none_if_a_part_is_missing() -> None:
    assert compile_template("node/{event.dag_id}").render_strict(SCENE) == "node/billing"
    assert compile_template("node/{event.owner}").render_strict(SCENE) is None
    assert compile_template('node/{event.owner | default("x")}').render_strict(SCENE) == "node/x"


def test_text_is_cut() -> None:
    long = Scene(Event(type="x", time=0, dag_id="d" * 5_000), Rule(id="r"))
    shown = render("{event.dag_id}{event.dag_id}", long)
    assert len(shown) == MAX_RENDERED
    assert shown.endswith("…")


@pytest.mark.parametrize(
    ("text", "found", "hint"),
    [
        ("{event.dagid}", 'unknown name "event.dagid"', "event.dag_id"),
        ("{dag_id}", 'unknown name "dag_id"', "event.dag_id"),
        ("{event.attributes.}", 'unknown name "event.attributes."', ""),
        ("{rule.labels.}", 'unknown name "rule.labels."', ""),
        ("{event.dag_id | uper}", 'unknown filter "uper"', "upper"),
        ("{event.dag_id | upper(3)}", "upper(3)", ""),
        ("{event.dag_id | default(x)}", "default(x)", ""),
        ("{event.dag_id | default}", "default()", ""),
        ("{event.dag_id | truncate(0)}", "truncate(0)", ""),
        ("{event.dag_id | truncate(²)}", "truncate(²)", ""),
        ('{event.dag_id | time("UTC")}', "time of a text value", ""),
        ("{event.time | duration}", "duration of an instant", ""),
        ('{event.time | time("Nowhere/X")}', 'time("Nowhere/X")', ""),
        ("{event.dag_id upper}", '"upper"', ""),
        ("{}", 'no name in "{}"', ""),
        ("a { b", "a lone {", ""),
        ("a } b", "a lone }", ""),
        ("{event.dag_id" + " | upper" * 6 + "}", "more filters", ""),
        ("{event.dag_id.__class__}", 'unknown name "event.dag_id.__class__"', "event.dag_id"),
    ],
)
def test_text_that_does_not_fit_says_why(text: str, found: str, hint: str) -> None:
    with pytest.raises(UnfitTemplateError) as caught:
        compile_template(text)
    assert caught.value.found == found
    assert caught.value.allowed
    assert not hint or hint in caught.value.hint


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values, st.integers())
def test_no_value_makes_rendering_raise(value: Any, instant: int) -> None:
    scene = Scene(Event(type="x", time=instant, attributes={"v": value}, started_at=0, ended_at=instant), Rule(id="r"))
    text = (
        "{event.attributes.v}{event.attributes.v | duration | upper}{event.attributes.v | lower | truncate(5)}"
        '{event.time}{event.time | time("Europe/Berlin")}{event.duration | duration}'
    )
    rendered = render(text, scene)
    assert len(rendered) <= MAX_RENDERED
    assert rendered.encode()


@given(st.text(st.sampled_from('{}|()"ab. event.dag_id default')))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        template = compile_template(text)
    except UnfitTemplateError:
        return
    assert isinstance(template.render(SCENE), str)


@given(st.text(st.characters(exclude_characters="{}", exclude_categories=("Cs",)), max_size=100))
def test_text_without_braces_is_itself(text: str) -> None:
    assert render(text) == text
