"""A detector: one rule's memory for one key. Events in, in order of event time; firings out.

Owns waiting for the watermark, holds, cool-downs and what is forgotten. What makes a condition true is windows.py's.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import msgspec

from remediator.engine import conditions, feeds, homes, windows
from remediator.engine.context import Calm, Context
from remediator.engine.detector_state import DetectorState, Holding, Kept
from remediator.engine.homes import case_name
from remediator.engine.keys import has_room, limit
from remediator.engine.windows import Met
from remediator.model.event import Event
from remediator.model.firing import Firing, FiringView
from remediator.model.ids import stable_id
from remediator.model.reasons import Reason
from remediator.model.time import Duration, Instant, format_duration
from remediator.rules.clauses import key_values
from remediator.rules.spec import Rule

MAX_KEPT = 2_000
"""Events kept per key; the oldest go first, which is said."""
END = "end"


def _rule(context: Context, state: DetectorState) -> Rule | None:
    """The state's rule, unless it was removed or its stateful part is another one now."""
    rule = context.rules.rules.get(state.rule)
    return rule if rule is not None and context.rules.shape(rule) == state.shape else None


def span(rule: Rule) -> Duration:
    """How long an event can matter to the rule."""
    over_time = (part.length for part in (rule.window,) if part is not None)
    chains = (part.within for part in (rule.sequence, rule.compound) if part is not None)
    return max(*over_time, *chains, rule.hold_for, rule.once_within, 0, 0)


def calm_after(rule: Rule) -> Duration:
    """How long after its last firing what a rule says is over, where no event ends it."""
    return max(span(rule), rule.cool_down)


# -- events -------------------------------------------------------------------------------------------------------


def on_event(
    context: Context, state: DetectorState, members: tuple[str, ...], event: Event, *, is_final: bool, identity: str
) -> None:
    """An event fills parts of the rule. One that is known adds nothing."""
    rule = _begin_anew_if_changed(context, state)
    if rule is None:
        return
    at = min(event.time, context.now)
    name = identity or stable_id(event)
    if _is_known(state.waiting, at, name) or _is_known(state.kept, at, name):
        return
    if event.time > at and any(one.id == name for one in (*state.waiting, *state.kept)):
        return  # one from the future was taken in as of then
    state.touched = context.now
    if at <= state.reached - span(rule) - context.policy.hold_max:
        text = f"{event.type} of {format_duration(state.reached - at)} before what was counted already is too late"
        context.decide(Reason.LATE, text, rule=rule.id)
        return
    feed = _feed_of(context, event)
    if feed not in state.feeds:
        state.feeds.append(feed)
    slim = event if event.error is None else _without_trace(event)
    one = Kept(at, name, members, _value_of(rule, event), slim, context.now, feed)
    if is_final:  # it was found after the fact: no watermark says when all of its like are known
        _take_in(context, state, rule, one)
        return
    insort(state.waiting, one, key=_order)
    state.waiting_since = state.waiting_since or context.now
    if len(state.waiting) > MAX_KEPT:
        _take_in(context, state, rule, state.waiting.pop(0))
        limit(context, rule.id, f"rule {rule.id!r}: more than {MAX_KEPT} events of one key wait for the feed")


def _is_known(some: list[Kept], at: Instant, name: str) -> bool:
    place = bisect_left(some, (at, name), key=_order)
    return place < len(some) and _order(some[place]) == (at, name)


def _begin_anew_if_changed(context: Context, state: DetectorState) -> Rule | None:
    rule = context.rules.rules.get(state.rule)
    if rule is None or context.rules.shape(rule) == state.shape:
        return rule
    context.decide(Reason.STATE_BEGUN_ANEW, "what the rule says over time was changed", rule=rule.id)
    _let_go(context, state, rule)
    fresh = DetectorState(rule.id, context.rules.shape(rule), state.per, touched=context.now)
    for field in DetectorState.__struct_fields__:
        setattr(state, field, getattr(fresh, field))
    return rule


def _let_go(context: Context, state: DetectorState, rule: Rule) -> None:
    """What was open under the former condition can be ended by nothing any more."""
    if state.is_open and state.last is not None:
        _calm(context, state, rule, state.last, Reason.STATE_BEGUN_ANEW, "what the rule says over time was changed")


def _feed_of(context: Context, event: Event) -> str:
    deployment = context.deployment(event.deployment)
    return deployment.feed if deployment is not None else ""


def _value_of(rule: Rule, event: Event) -> str:
    if rule.window is None or not rule.window.distinct:
        return ""
    values = key_values((rule.window.distinct,), event)
    return "" if isinstance(values, str) else values[0]


def _without_trace(event: Event) -> Event:
    return msgspec.structs.replace(event, error=msgspec.structs.replace(event.error, trace=None))  # type: ignore[type-var]


def _time(one: Kept) -> Instant:
    return one.time


def _order(one: Kept) -> tuple[Instant, str]:
    return one.time, one.id


def _take_ripe(context: Context, state: DetectorState) -> list[Kept]:
    """What may be counted, in order: what its feed has passed, and what has waited for it long enough."""
    if not state.waiting:
        return []
    marks = {feed: feeds.watermark(context.world.feeds, feed, context.policy) for feed in state.feeds}
    waited = context.now - context.policy.hold_max
    if state.waiting[0].time > max(marks.values()) and (state.waiting_since or 0) > waited:
        return []
    ripe = [one for one in state.waiting if marks[one.feed] >= one.time or (one.arrived or 0) <= waited]
    if ripe:
        known = {one.id for one in ripe}
        state.waiting = [one for one in state.waiting if one.id not in known]
    state.waiting_since = min((one.arrived or 0 for one in state.waiting), default=None)
    return ripe


def _mark(context: Context, state: DetectorState) -> Instant:
    """Up to which event time all feeds of this key are complete."""
    known = context.world.feeds
    return min((feeds.watermark(known, feed, context.policy) for feed in state.feeds), default=0)


def _take_in(context: Context, state: DetectorState, rule: Rule, one: Kept) -> None:
    """One event counts now."""
    event, arrived, one.arrived, one.feed = one.event, one.arrived or context.now, None, ""
    if event is None:
        return
    _end_hold(context, state, rule, min(one.time, _mark(context, state)))
    state.reached = max(state.reached, one.time)
    is_deaf = state.fired_at is not None and context.now < state.fired_at + rule.cool_down
    if END in one.members:
        _on_end(context, state, rule, event, one.time)
    asked = [member for member in one.members if member != END]
    left_out = is_deaf or _is_ended(context, state, event, one.time) or not _is_in_scope(context, rule, event)
    one.members = tuple(member for member in one.members if member != END and not left_out)
    one.event = event if rule.sequence is not None else None
    if rule.window is not None and state.holding is not None:
        still = windows.window_at(rule.window, state.kept, one.time)
        if still is None:
            _drop_hold(context, state, "it was true no longer")
    state.last = event
    one.is_end = not asked
    insort(state.kept, one, key=_order)
    if one.members:
        met = _met(rule, state, one)
        if met is not None:
            _on_met(context, state, rule, met, event, arrived)
    _prune(context, state, rule)


def _is_ended(context: Context, state: DetectorState, event: Event, at: Instant) -> bool:
    """A beginning that came after its own end, too late for the watermark to put them in order."""
    if at >= state.ended:
        return False
    text = f"{event.type} is over: it ended {format_duration(state.ended - at)} later"
    context.decide(Reason.LATE, text, rule=state.rule)
    return True


def _is_in_scope(context: Context, rule: Rule, event: Event) -> bool:
    verdict = conditions.verdict(context, rule, event)
    if isinstance(verdict, str):
        context.decide(Reason.RULE_ERROR, verdict, rule=rule.id)
    return verdict is True


def _met(rule: Rule, state: DetectorState, one: Kept) -> Met | None:
    if rule.window is not None:
        return windows.window_met(rule.window, state.kept, one)
    if rule.sequence is not None:
        return windows.sequence_met(rule.sequence, state.kept, one)
    if rule.compound is not None:
        return windows.compound_met(rule.compound, state.kept, one)
    return Met(one.time, 1, one.time, ((one, "on"),))


def _on_met(context: Context, state: DetectorState, rule: Rule, met: Met, event: Event, arrived: Instant) -> None:
    if not rule.hold_for:
        _fire(context, state, rule, met, event)
    elif state.holding is None:
        state.holding = Holding(met.at, arrived, event, met.count, met.first)
        text = f"true since {event.type}; fires in {format_duration(rule.hold_for)} unless it ends"
        context.decide(Reason.HOLDING, text, rule=rule.id)
    else:
        state.holding.event, state.holding.count = event, max(met.count, state.holding.count)


def _on_end(context: Context, state: DetectorState, rule: Rule, event: Event, at: Instant) -> None:
    """What is older than the end counts no more; what is as old or newer stays, so that a repeat changes nothing."""
    state.ended = max(state.ended, at)
    if state.holding is not None and state.holding.since < at:
        _drop_hold(context, state, f"ended by {event.type}")
    for one in state.kept[: bisect_left(state.kept, at, key=_time)]:
        one.members = ()
    if state.is_open and (state.fired_time or 0) < at:
        _calm(context, state, rule, event, Reason.ENDED_BY_EVENT, f"by {event.type}")


def _drop_hold(context: Context, state: DetectorState, text: str) -> None:
    if state.holding is not None:
        state.holding = None
        context.decide(Reason.HOLD_ENDED, text, rule=state.rule)


def _prune(context: Context, state: DetectorState, rule: Rule) -> None:
    """What can neither count nor be a repeat of something that may still come."""
    horizon = state.reached - span(rule) - context.policy.hold_max
    gone = 0
    while gone < len(state.kept) and state.kept[gone].time <= horizon:
        gone += 1
    if len(state.kept) - gone > MAX_KEPT:
        gone = len(state.kept) - MAX_KEPT
        limit(context, rule.id, f"rule {rule.id!r}: more than {MAX_KEPT} events of one key, the oldest are forgotten")
    del state.kept[:gone]


# -- firing -------------------------------------------------------------------------------------------------------


def _fire(
    context: Context, state: DetectorState, rule: Rule, met: Met, event: Event, *, unverified: bool = False
) -> None:
    """Use up what led to it, and say so, unless the rule has said so lately."""
    for one, used in met.used:
        one.members = tuple(member for member in one.members if member != used)
    last = met.used[-1][0].event if met.used else None
    event = last or event
    since = state.fired_time
    if since is not None and rule.once_within and met.at < since + rule.once_within:
        text = f"it fired {format_duration(max(0, met.at - since))} before, and may once within "
        context.decide(Reason.SUPPRESSED, text + format_duration(rule.once_within), rule=rule.id)
        if state.calm_at is not None:
            state.calm_at = max(state.calm_at, met.at + calm_after(rule))
        return
    state.fired_at, state.fired_time, state.is_open = context.now, met.at, True
    if rule.ended_by is None:
        state.calm_at = met.at + calm_after(rule)
    per = dict(zip(rule.per, state.per, strict=True))
    view = FiringView(rule.id, met.count, met.first, met.at, per)
    groups = context.rules.groups(rule, event)
    if homes.remember(state, homes.home_of(rule, event)):
        limit(context, rule.id, f"rule {rule.id!r}: one key has open incidents in too many DAGs to end them all")
    context.effects.firings.append(Firing(view, event, case_name(rule, state.per), groups, unverified))
    told = f"{met.count} since {format_duration(met.at - met.first)}" if met.count > 1 else event.type
    context.decide(Reason.FIRED, told + (", unverified" if unverified else ""), rule=rule.id)


def _calm(context: Context, state: DetectorState, rule: Rule, event: Event, reason: Reason, text: str) -> None:
    places, state.homes = state.homes or [homes.home_of(rule, event)], []
    state.calm_at, state.is_open = None, False
    context.effects.calms += [Calm(rule.id, case_name(rule, state.per), event, reason, text, one) for one in places]


def _end_hold(context: Context, state: DetectorState, rule: Rule, reached: Instant) -> None:
    """The hold is over once the feeds have passed its end, or if that cannot be known for too long."""
    holding = state.holding
    if holding is None:
        return
    due = holding.since + rule.hold_for
    overdue = context.now >= _holdlimit(context, holding, rule)
    if reached < due and not overdue:
        return
    state.holding = None
    met = Met(due, holding.count, holding.first, ())
    if rule.window is not None:
        still = windows.window_at(rule.window, state.kept, due)
        if still is None:
            context.decide(Reason.HOLD_ENDED, "it was true no longer at the end", rule=rule.id)
            return
        met = msgspec.structs.replace(still, at=due)
    _fire(context, state, rule, met, holding.event, unverified=reached < due)


def _holdlimit(context: Context, holding: Holding, rule: Rule) -> Instant:
    return holding.began + rule.hold_for + context.policy.hold_max


# -- time ---------------------------------------------------------------------------------------------------------


def settle(context: Context, state: DetectorState) -> None:
    """Ends every step: what the watermarks have passed is counted, what is due is said."""
    rule = _rule(context, state)
    changed = context.rules.rules.get(state.rule)
    if rule is None and changed is not None:
        _let_go(context, state, changed)
    if rule is None:
        return
    for one in _take_ripe(context, state):
        _take_in(context, state, rule, one)
    mark = _mark(context, state)
    _end_hold(context, state, rule, mark)
    if state.calm_at is not None and state.last is not None and mark >= state.calm_at:
        _calm(context, state, rule, state.last, Reason.CALMED, f"nothing more within {_length(rule)}")


def _length(rule: Rule) -> str:
    return format_duration(rule.window.length) if rule.window is not None else "its time"


def is_over(context: Context, state: DetectorState) -> bool:
    """Nothing here can matter any more. An open incident that an event may end keeps the key, until it expires."""
    rule = _rule(context, state)
    if rule is None:
        return True
    remembers = any(not one.is_end for one in state.kept)
    matters = state.waiting or remembers or state.holding or state.is_open or state.fired_at
    if not matters and not has_room(context, state):
        return True
    return context.now >= _kept_until(context, state, rule)


def _kept_until(context: Context, state: DetectorState, rule: Rule) -> Instant:
    until = state.touched + span(rule) + context.policy.hold_max
    if state.fired_at is not None:
        until = max(until, state.fired_at + rule.cool_down)
        if state.is_open and (rule.ended_by is not None or state.calm_at is not None):
            until = max(until, state.fired_at + context.policy.incident_expiry)
    if state.waiting or state.holding is not None:
        until = max(until, state.touched + span(rule) + 2 * context.policy.hold_max)
    return until + 1


def timers(context: Context, state: DetectorState) -> dict[str, Instant]:
    """When the key must be woken."""
    rule = _rule(context, state)
    if rule is None:
        return {}
    now = [_kept_until(context, state, rule)]
    if state.waiting_since is not None:
        now.append(state.waiting_since + context.policy.hold_max)
    found: dict[str, Instant] = {}
    for feed in state.feeds:
        due = next((one.time for one in state.waiting if one.feed == feed), None)
        if due is not None:
            found[feed] = due
    if state.holding is not None:
        now.append(_holdlimit(context, state.holding, rule))
        for feed in state.feeds:
            _earlier(found, feed, state.holding.since + rule.hold_for)
    if state.calm_at is not None:
        for feed in state.feeds:
            _earlier(found, feed, state.calm_at)
    return {"now": min(now), **{f"feed:{feed}": at for feed, at in found.items() if feed}}


def _earlier(found: dict[str, Instant], feed: str, at: Instant) -> None:
    found[feed] = min(found.get(feed, at), at)
