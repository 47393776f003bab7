"""The scene: what texts and the conditions of steps may speak of, field by field.

Owns the names `event.*`, `match.*`, `firing.*`, `incident.*` and `rule.*`. Reads no clock: the scene has its instant.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from remediator.model.event import Event
from remediator.model.firing import FiringView
from remediator.model.incident import Incident
from remediator.model.time import Instant
from remediator.rules.conditions import MISSING, Field, Getter, Kind
from remediator.rules.fields import FIELDS, field_of
from remediator.rules.spec import Rule
from remediator.rules.toml import listing, near


class Scene(msgspec.Struct, frozen=True):
    """What is known when a text is written or a step is judged. match: named groups, as RuleSet.groups gives them."""

    event: Event | None
    rule: Rule
    match: dict[str, str] = {}
    firing: FiringView | None = None
    incident: Incident | None = None
    now: Instant = 0


_FIRING: dict[str, Kind] = {
    "firing.count": Kind.NUMBER,
    "firing.rule": Kind.TEXT,
    "firing.first": Kind.INSTANT,
    "firing.last": Kind.INSTANT,
}
_INCIDENT: dict[str, Kind] = {
    "incident.title": Kind.TEXT,
    "incident.failures": Kind.NUMBER,
    "incident.episode": Kind.NUMBER,
    "incident.severity": Kind.TEXT,
    "incident.owner": Kind.TEXT,
    "incident.runbook": Kind.TEXT,
}
_RULE: dict[str, Kind] = {"rule.id": Kind.TEXT, "rule.summary": Kind.TEXT}
_STEP: dict[str, Kind] = {
    "incident.failures": Kind.NUMBER,
    "incident.age": Kind.DURATION,
    "incident.severity": Kind.TEXT,
    "incident.helped": Kind.TEXT,
    "firing.count": Kind.NUMBER,
}
STEP_FIELDS: tuple[str, ...] = (*FIELDS, *_STEP)
"""What the condition of a step may ask for, besides `attributes.<path>`."""
TEXT_NAMES: tuple[str, ...] = (*(f"event.{name}" for name in FIELDS), *_FIRING, *_INCIDENT, *_RULE)
"""What a text may name, besides those with a free end, which FREE_NAMES lists."""
FREE_NAMES = ("event.attributes.<path>", "match.<name>", "firing.per.<field>", "rule.labels.<name>")


def step_field(name: str) -> Field | None:
    """A field that the condition of a step may ask for, read from a scene; None if there is no such field."""
    if name in _STEP:
        return Field(name, _STEP[name], _getter(name))
    field = field_of(name)
    return None if field is None else Field(name, field.kind, _of_event(field.get))


def text_field(name: str) -> Field | None:
    """A field that a text may name, read from a scene; None if there is no such field."""
    kind = _FIRING.get(name) or _INCIDENT.get(name) or _RULE.get(name)
    if kind is not None:
        return Field(name, kind, _getter(name))
    for prefix, table in _TABLES.items():
        if name.startswith(prefix) and name != prefix:
            return Field(name, Kind.FREE, _entry(table, name.removeprefix(prefix)))
    field = field_of(name.removeprefix("event.")) if name.startswith("event.") else None
    return None if field is None else Field(name, field.kind, _of_event(field.get))


def unknown_name(name: str) -> tuple[str, str]:
    """What texts may name instead, and a near name."""
    return f"{listing((*TEXT_NAMES, *FREE_NAMES), 80)}", near(name, TEXT_NAMES)


def _of_event(get: Getter) -> Getter:
    return lambda scene: MISSING if scene.event is None else get(scene.event)


def _firing_per(scene: Scene) -> dict[str, str]:
    return {} if scene.firing is None else scene.firing.per


_TABLES: dict[str, Callable[[Scene], dict[str, str]]] = {
    "match.": attrgetter("match"),
    "firing.per.": _firing_per,
    "rule.labels.": attrgetter("rule.labels"),
}


def _entry(table: Callable[[Scene], dict[str, str]], name: str) -> Getter:
    return lambda scene: table(scene).get(name, MISSING)


def _getter(name: str) -> Getter:
    """How to read an attribute of the firing, the incident or the rule; an empty text is missing."""
    if name == "incident.age":
        return _age
    whole, part = map(attrgetter, name.split("."))

    def get(scene: Scene) -> Any:
        holder = whole(scene)
        value = None if holder is None else part(holder)
        return MISSING if value is None or value == "" else value

    return get


def _age(scene: Scene) -> Any:
    return MISSING if scene.incident is None else scene.now - scene.incident.opened_at
