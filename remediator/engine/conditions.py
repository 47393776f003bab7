"""Conditions of infrastructure: what holds where, since when and until when; and whether a rule's `during` is met.

Owns the conditions' lifetimes. Decides nothing about rules but whether they are in scope.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from remediator.engine.context import Alert, Context
from remediator.engine.state import ConditionState
from remediator.model.event import Event
from remediator.model.globs import any_covers, covers
from remediator.model.ids import CONDITIONS_KEY
from remediator.model.time import HOUR, Duration, Instant
from remediator.rules.index import Matched
from remediator.rules.scene import Scene
from remediator.rules.spec import During, Rule

MAX_SCOPES = 2_000
"""Scopes remembered per place and condition: a cluster has fewer nodes, and what is forgotten is the oldest."""
MAX_NAMES = 200
"""Conditions remembered per place; the longest unheard of go first."""
REMEMBERED: Duration = 24 * HOUR
"""After its end a condition can still be asked for with `grace`, which is never longer."""


def take(context: Context, event: Event) -> None:
    """An event says that a condition began, goes on or has ended. What is older than what is known changes nothing."""
    said = event.condition
    if said is None:
        return
    names = context.conditions.places.setdefault(event.deployment, {})
    scopes = names.pop(said.name, {})
    known = scopes.pop(said.scope, None)
    lifetime = said.lifetime or context.policy.condition_lifetime
    at = min(event.time, context.now)
    scopes[said.scope] = _after(known, at, active=said.active, until=at + lifetime)
    if len(scopes) > MAX_SCOPES:
        del scopes[next(iter(scopes))]
        text = f"{event.deployment}: more than {MAX_SCOPES} scopes of {said.name}, the oldest are forgotten"
        context.effects.alerts.append(Alert("too_many_conditions", f"{event.deployment}/{said.name}", text))
    _forget(context, scopes)
    names[said.name] = scopes
    _forget_names(context, names)
    context.touch(CONDITIONS_KEY)


def _after(known: ConditionState | None, at: Instant, *, active: bool, until: Instant) -> ConditionState:
    if known is None:
        return ConditionState(at, until, None if active else at)
    if not active:
        ended = at if known.ended is None else max(known.ended, at)
        return known if at < known.since else msgspec.structs.replace(known, ended=ended)
    if known.ended is not None and known.ended > at:
        return msgspec.structs.replace(known, since=min(known.since, at))
    over = known.ended is not None or known.until <= at
    return ConditionState(at if over else min(known.since, at), max(known.until, until))


def _forget(context: Context, scopes: dict[str, ConditionState]) -> None:
    """The oldest come first: those whose end nobody can ask for any more go."""
    while scopes:
        scope, state = next(iter(scopes.items()))
        if min(state.until, state.ended or state.until) + REMEMBERED > context.now:
            return
        del scopes[scope]


def _forget_names(context: Context, names: dict[str, dict[str, ConditionState]]) -> None:
    """The one that was heard of the longest ago comes first, and goes with its last scope."""
    while names:
        name, scopes = next(iter(names.items()))
        _forget(context, scopes)
        if scopes and len(names) <= MAX_NAMES:
            return
        del names[name]


def in_scope(context: Context, matched: Matched, event: Event) -> Matched:
    """Rules without state that matched, less those whose `during` or `not_during` forbids or has no answer.

    Detectors ask later, when the event counts.
    """
    if not any(rule.during or rule.not_during for rule in matched.rules):
        return matched
    verdicts = {rule.id: verdict(context, rule, event) for rule in matched.rules}
    errors = tuple((name, why) for name, why in verdicts.items() if isinstance(why, str))
    within = tuple(rule for rule in matched.rules if verdicts[rule.id] is True)
    return msgspec.structs.replace(matched, rules=within, errors=(*matched.errors, *errors))


def verdict(context: Context, rule: Rule, event: Event) -> bool | str:
    """Is the rule in scope? A text says why there is no answer."""
    wanted = [(during, True) for during in rule.during] + [(during, False) for during in rule.not_during]
    trouble = ""
    for during, must_hold in wanted:
        held = _holds(context, rule, during, event)
        if isinstance(held, str):
            trouble = trouble or held
        elif held is not must_hold:
            return False
    return trouble or True


def _holds(context: Context, rule: Rule, during: During, event: Event) -> bool | str:
    scope = context.rules.render_strict(
        during.scope, Scene(event=event, rule=rule, match=context.rules.groups(rule, event), now=context.now)
    )
    if scope is None:
        return f"during {during.condition}: a field of scope {during.scope!r} is missing"
    at = min(event.time, context.now)
    for place in _places(context, event.deployment):
        for name, scopes in context.conditions.places.get(place, {}).items():
            if covers(during.condition, name):
                found = scopes.values() if not scope else [scopes[scope]] if scope in scopes else []
                if any(_held_at(state, at, during.grace) for state in found):
                    return True
    return False


def _held_at(state: ConditionState, at: Instant, grace: Duration) -> bool:
    """From its beginning on, and no longer at its end (a grace later) exactly."""
    end = min(state.until, state.ended) if state.ended is not None else state.until
    return state.since <= at < end + grace


def _places(context: Context, deployment: str) -> Iterator[str]:
    yield deployment
    for name, policy in context.policy.deployments.items():
        if name != deployment and any_covers(policy.serves, deployment):
            yield name
