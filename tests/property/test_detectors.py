"""Rules over time: the same journal, however cut, saved, doubled, delayed or interleaved, gives the same firings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.engine.core import Changes
from remediator.engine.keys import key_of
from remediator.model.event import Event
from remediator.model.inputs import Activated, Entry, Fact, Input, Tick, Watermark
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, Duration, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import Compound, Rule, RuleSetSpec, Selector, Step, Window
from remediator.rules.spec import Sequence as Chain
from remediator.runtime.intake import met_rules
from remediator.testing.timeline import replay

START: Instant = 1_800_000_000 * SECOND
LATENESS: Duration = 10 * SECOND
POLICY = Policy(
    deployments={name: DeploymentPolicy(name, "feed", Mode.ACT, has_api=False) for name in ("prod", "dev")},
    routes={"default": Route("default", (Destination("log"),))},
    lateness=LATENESS,
)
DO = (Step("log"), Step("notify", to="default", text="{firing.count} {event.subject} since {firing.first}"))


def _rule(name: str, **fields: object) -> Rule:
    given: dict[str, object] = {"on": ("a",), "per": ("deployment", "subject"), "mode": Mode.ACT, "do": DO, **fields}
    return Rule(name, **given)  # type: ignore[arg-type]


def _seconds(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high).map(lambda length: length * SECOND)


WINDOWS = st.one_of(
    st.builds(Window, length=_seconds(1, 20), at_least=st.integers(1, 4)),
    st.builds(Window, length=_seconds(1, 20), at_least=st.integers(1, 3), distinct=st.just("attributes.value")),
    st.builds(
        Window,
        length=_seconds(1, 20),
        of=st.just(Selector(("a", "b"))),
        ratio=st.sampled_from([0.3, 0.5, 1.0]),
        min_sample=st.integers(1, 4),
    ),
)
CHAINS = st.builds(
    Chain,
    within=_seconds(1, 20),
    steps=st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=4).map(
        lambda types: tuple(Selector((one,)) for one in types)
    ),
)
ENDS = st.sampled_from([None, Selector(("c",)), Selector(("end",))])


@st.composite
def specs(draw: st.DrawFn) -> RuleSetSpec:
    """A rule of each kind, and a compound of them."""
    per = draw(st.sampled_from([("deployment", "subject"), ("deployment",), ()]))
    rules = (
        _rule("window", window=draw(WINDOWS), per=per, ended_by=draw(ENDS), hold_for=draw(_seconds(0, 9))),
        _rule("chain", on=(), sequence=draw(CHAINS), per=per, once_within=draw(_seconds(0, 15))),
        _rule("hold", hold_for=draw(_seconds(1, 12)), ended_by=draw(ENDS), cool_down=draw(_seconds(0, 9))),
        _rule("once", on=("b",), once_within=draw(_seconds(1, 15)), per=per),
        _rule("both", on=(), per=per, compound=Compound(draw(_seconds(1, 25)), ("window", "once", "chain"), 2)),
    )
    return RuleSetSpec(rules, POLICY)


EVENTS = st.lists(
    st.builds(
        lambda kind, at, deployment, subject, value: Event(
            kind, START + at * SECOND // 4, deployment=deployment, subject=subject, attributes={"value": value}
        ),
        st.sampled_from(["a", "a", "a", "b", "b", "c", "end"]),
        st.integers(0, 160),
        st.sampled_from(["prod", "prod", "dev"]),
        st.sampled_from(["x", "x", "y"]),
        st.integers(0, 3),
    ),
    max_size=40,
    unique_by=repr,
)


def _journal(
    spec: RuleSetSpec, arrivals: Iterable[tuple[Instant, Event]], more: Sequence[Input] = (), every: int = 1
) -> list[Entry]:
    """What arrives when it does, a mark of the feed every so many seconds, and `more` after every one of these."""
    rules = RuleSet(spec)
    timed: list[tuple[Instant, int, Input]] = [(START, 0, Activated(rules.hash))]
    for at, event in arrivals:
        met = met_rules(rules, event)
        timed.append((at, 1, Fact(event, met, rules.hash if met else "")))
    marks = range(START, START + 110 * SECOND, every * SECOND)
    timed.extend((at, 2, Watermark("feed", "t", 0, 1, at, at_head=True)) for at in marks)
    inputs = [(at, one) for at, _, given_ in sorted(timed, key=lambda one: one[:2]) for one in (given_, *more)]
    return [Entry(position, at, one) for position, (at, one) in enumerate(inputs, start=1)]


def _told(changes: Sequence[Changes]) -> list[object]:
    """Everything that came of it, but for journal positions."""
    decisions = [msgspec.structs.replace(one, position=0) for each in changes for one in each.decisions]
    return [decisions, [one for each in changes for one in each.actions]]


def _run(
    spec: RuleSetSpec, journal: Sequence[Entry], cuts: Iterable[int] = (), *, reload: bool = False
) -> list[Changes]:
    rules = RuleSet(spec)
    return replay({rules.hash: rules}.__getitem__, journal, cuts, reload=reload)


def _on_time(events: Iterable[Event]) -> list[tuple[Instant, Event]]:
    return [(event.time, event) for event in events]


@settings(max_examples=60, deadline=None)
@given(specs(), EVENTS, st.lists(st.integers(0, 300)), st.booleans())
def test_cutting_saving_and_loading_change_nothing(
    spec: RuleSetSpec, events: list[Event], cuts: list[int], reload: bool
) -> None:
    journal = _journal(spec, _on_time(events))
    whole = _run(spec, journal)
    parts = _run(spec, journal, [cut % len(journal) for cut in cuts], reload=reload)
    assert _told(parts) == _told(whole)
    states: dict[str, bytes | None] = {}
    for each in parts:
        states.update(each.states)
    assert states == whole[0].states


@settings(max_examples=80, deadline=None)
@given(specs(), EVENTS, st.data())
def test_the_order_of_arrival_within_lateness_does_not_matter(
    spec: RuleSetSpec, events: list[Event], data: st.DataObject
) -> None:
    delays = st.integers(0, LATENESS - 1)
    late = [(event.time + data.draw(delays), event) for event in events]
    every = data.draw(st.integers(1, 5))
    in_order = _told(_run(spec, _journal(spec, _on_time(events), every=every)))
    assert _told(_run(spec, _journal(spec, late, every=every))) == in_order


@settings(max_examples=60, deadline=None)
@given(specs(), EVENTS, st.data())
def test_repeats_add_nothing(spec: RuleSetSpec, events: list[Event], data: st.DataObject) -> None:
    again = [
        (event.time + data.draw(st.integers(0, 40)) * SECOND, event) for event in events if data.draw(st.booleans())
    ]
    once = _told(_run(spec, _journal(spec, _on_time(events))))
    assert _told(_run(spec, _journal(spec, [*_on_time(events), *again]))) == once


@settings(max_examples=60, deadline=None)
@given(specs(), EVENTS)
def test_ticks_add_nothing(spec: RuleSetSpec, events: list[Event]) -> None:
    ticked = _journal(spec, _on_time(events), more=(Tick(), Tick()))
    assert _told(_run(spec, ticked)) == _told(_run(spec, _journal(spec, _on_time(events))))


@settings(max_examples=60, deadline=None)
@given(specs(), EVENTS)
def test_keys_do_not_see_each_other(spec: RuleSetSpec, events: list[Event]) -> None:
    """What fires for one deployment and subject is what fires if the others never were."""
    alone = [msgspec.structs.replace(rule, per=("deployment", "subject")) for rule in spec.rules]
    spec = RuleSetSpec(tuple(alone), spec.policy)
    mine = [event for event in events if (event.deployment, event.subject) == ("prod", "x")]
    assert _fired(spec, events) == _fired(spec, mine)


def _fired(spec: RuleSetSpec, events: Iterable[Event]) -> list[tuple[object, ...]]:
    keys = {key_of(rule, ("prod", "x")) for rule in spec.rules}
    changes = _run(spec, _journal(spec, _on_time(events)))
    decisions = [one for each in changes for one in each.decisions]
    return [(one.at, one.rule, one.text) for one in decisions if one.reason is Reason.FIRED and one.key in keys]
