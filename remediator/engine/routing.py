"""Routing: which key gets what. Facts, final failures, firings and ends become messages to the keys they concern.

Owns no decision beyond that. Messages take their turn in the order in which they were wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from remediator.engine import conditions, dag, detector, firing, keys
from remediator.engine.context import Calm, Context
from remediator.engine.detector_state import DetectorState
from remediator.engine.homes import home_of
from remediator.engine.state import DagState, KeyState
from remediator.model.event import Event
from remediator.model.firing import Firing
from remediator.model.ids import dag_key
from remediator.model.inputs import Fact
from remediator.model.reasons import Reason
from remediator.model.truth import DagRunRef
from remediator.rules.clauses import key_values
from remediator.rules.index import Matched
from remediator.rules.spec import Rule


class Message(msgspec.Struct, frozen=True):
    """What a key is to do. create: its state if it has none yet; None: then there is nothing to do."""

    key: str
    handler: Callable[[Context, Any], None]
    create: Callable[[Context], KeyState | None] | None = None


def on_wake(context: Context, state: KeyState) -> None:
    """A timer is due or a watermark has passed: the end of the step does what there is to do."""


def of_fact(context: Context, fact: Fact, state: KeyState | None) -> Iterator[Message]:
    """An event is the DAG's business, and that of every rule it meets. state: of the event's DAG."""
    event = fact.event
    if event.condition is not None:
        conditions.take(context, event)
    if isinstance(state, DetectorState):
        raise TypeError(f"{context.key} is a DAG's key")
    if dag.concerns(state, event):
        yield _to_dag(event.deployment, event.dag_id or "", lambda context, state: dag.on_fact(context, state, fact))
    if fact.rules:
        yield from _of_event(context, event)


def _of_event(context: Context, event: Event, *, is_final: bool = False) -> Iterator[Message]:
    """An event is the business of every rule it meets. is_final: it was found after the fact, no feed carries it."""
    matched = conditions.in_scope(context, context.rules.match(event), event)
    for rule_id, why in matched.errors:
        context.decide(Reason.RULE_ERROR, why, rule=rule_id)
    yield from _to_ended(context, event, matched)
    if matched.rules:
        yield from _to_responder(context, event, matched)
    yield from _to_detectors(context, event, matched, is_final=is_final)


def of_effects(context: Context) -> Iterator[Message]:
    """What steps left for other keys."""
    effects = context.effects
    events, effects.events = effects.events, []
    nudges, effects.nudges = effects.nudges, []
    finals, effects.finals = effects.finals, []
    firings, effects.firings = effects.firings, []
    calms, effects.calms = effects.calms, []
    for event in events:
        yield from _of_event(context, event, is_final=True)
    for deployment, ref in nudges:
        yield _nudge(deployment, ref)
    for event, matched in finals:
        yield from _to_detectors(context, event, matched, is_final=True)
    for fired in firings:
        yield from _of_firing(context, fired)
    for calm in calms:
        yield from _of_calm(context, calm)


def _to_dag(deployment: str, dag_id: str, handler: Callable[[Context, DagState], None]) -> Message:
    return Message(dag_key(deployment, dag_id), handler, lambda _: DagState(deployment, dag_id))


def _nudge(deployment: str, ref: DagRunRef) -> Message:
    return _to_dag(deployment, ref.dag_id, lambda context, state: dag.on_nudge(context, state, ref))


def _to_responder(context: Context, event: Event, matched: Matched) -> Iterator[Message]:
    """One rule that keeps no state answers an event of its type; the others say that they yield or observe."""
    rule = firing.responder_of(context, matched)
    if rule is not None:
        yield _to_dag(*home_of(rule, event), lambda context, state: firing.on_match(context, state, event, rule))


def _to_detectors(context: Context, event: Event, matched: Matched, *, is_final: bool) -> Iterator[Message]:
    """The event fills parts of rules, those of one rule together; every match of a rule without state is a firing."""
    for rule in matched.rules:
        yield from _of_fired(context, rule, event, firing.case_of(rule, event))
    parts: dict[str, tuple[Rule, list[str]]] = {}
    for rule, member in matched.members:
        parts.setdefault(rule.id, (rule, []))[1].append(member)
    for rule, members in parts.values():
        if rule.is_detector:
            yield from _to_detector(context, rule, tuple(members), event, is_final=is_final)


def _to_ended(context: Context, event: Event, matched: Matched) -> Iterator[Message]:
    """What rules without state said is over. An event that is end and beginning ends first."""
    for rule, member in matched.members:
        if member == "end" and not rule.is_detector:
            calm = Calm(rule.id, firing.case_of(rule, event), event, Reason.ENDED_BY_EVENT, f"by {event.type}",
                        home_of(rule, event))  # fmt: skip
            yield from _of_calm(context, calm)


def _to_detector(
    context: Context, rule: Rule, members: tuple[str, ...], event: Event, *, is_final: bool, identity: str = ""
) -> Iterator[Message]:
    values = key_values(rule.per, event)
    if isinstance(values, str):
        context.decide(Reason.NO_KEY, f"{event.type} has no {values}, which is in the rule's `per`", rule=rule.id)
        return
    yield Message(
        keys.key_of(rule, values),
        lambda context, state: detector.on_event(context, state, members, event, is_final=is_final, identity=identity),
        lambda context: keys.create(context, rule, values),
    )


def _of_firing(context: Context, fired: Firing) -> Iterator[Message]:
    rule = context.rules.rules[fired.view.rule]
    if firing.is_shown(context, rule, fired):
        yield _to_dag(*home_of(rule, fired.event), lambda context, state: firing.on_fired(context, state, fired, rule))
    yield from _of_fired(context, rule, fired.event, fired.case)


def _of_fired(context: Context, rule: Rule, event: Event, case: str) -> Iterator[Message]:
    """A rule fired: compounds over it count that."""
    for compound in context.rules.compounds_of(rule.id):
        identity = f"{rule.id} {case}@{event.time}"
        yield from _to_detector(context, compound, (rule.id,), event, is_final=True, identity=identity)


def _of_calm(context: Context, calm: Calm) -> Iterator[Message]:
    if calm.rule in context.rules.rules:
        yield _to_dag(*calm.home, lambda context, state: firing.on_calm(context, state, calm))
