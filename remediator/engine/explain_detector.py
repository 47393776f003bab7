"""Explaining a detector: what it remembers for the event's key, how far that is from a firing, and what is deaf.

Reads a state; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remediator.engine import detector, feeds, windows
from remediator.engine.context import Context
from remediator.engine.detector_state import DetectorState, Kept
from remediator.engine.explain_views import NO, UNKNOWN, WAIT, YES, Check, instant, length
from remediator.model.event import Event
from remediator.model.ids import stable_id
from remediator.model.time import Instant
from remediator.rules.spec import Rule


def checks_of(
    context: Context, rule: Rule, values: tuple[str, ...] | str, state: DetectorState | None, event: Event
) -> Iterator[Check]:
    """values: of the rule's `per`, or the name of the field that the event lacks. state: None: the key is not there."""
    if isinstance(values, str):
        yield Check("key", NO, f"the event has no {values}, which is in the rule's `per`: it is not counted")
        return
    named = ", ".join(f"{field} = {value}" for field, value in zip(rule.per, values, strict=True)) or "one for all"
    if state is None:
        yield from _without_state(context, rule, named)
        return
    if state.shape != context.rules.shape(rule):
        yield Check("key", YES, f"{named}: what was kept is of the rule as it was, and is begun anew")
        return
    yield Check("key", YES, f"{named}: {len(state.kept)} events kept, {len(state.waiting)} waiting for their feed")
    yield from _taking_in(context, rule, state, event)
    yield from contents(context, rule, state)
    yield from _deafness(context, rule, state, min(event.time, context.now))


def _without_state(context: Context, rule: Rule, named: str) -> Iterator[Check]:
    used, most = context.ledger.detectors.get(rule.id, 0), context.policy.max_keys
    if used >= most:
        yield Check("key", NO, f"{named}: nothing is kept, and the rule has {used} keys, as many as it may")
    else:
        yield Check("key", YES, f"{named}: nothing is kept yet ({used} of {most} keys are used)")


def _taking_in(context: Context, rule: Rule, state: DetectorState, event: Event) -> Iterator[Check]:
    at, name = min(event.time, context.now), stable_id(event)
    if any(one.id == name for one in (*state.waiting, *state.kept)):
        yield Check("event", NO, "this very event is known already: it adds nothing")
    horizon = state.reached - detector.span(rule) - context.policy.hold_max
    if state.reached and at <= horizon:
        yield Check("event", NO, f"too late: what is older than {instant(horizon)} is not counted")
    deployment = context.deployment(event.deployment)
    if deployment is None or event.type == "task.failed_finally":
        return
    mark = feeds.watermark(context.world.feeds, deployment.feed, context.policy)
    if mark < at:
        yield Check("feed", WAIT, f"feed {deployment.feed!r} is complete up to {instant(mark)}: the event waits until "
                    f"that passes {instant(at)}, at most {length(context.policy.hold_max)}")  # fmt: skip
    else:
        yield Check("feed", YES, f"feed {deployment.feed!r} is complete up to {instant(mark)}")


# -- what is kept -------------------------------------------------------------------------------------------------


def contents(context: Context, rule: Rule, state: DetectorState) -> Iterator[Check]:
    """How much of the rule's condition over time is met now."""
    if rule.window is not None:
        yield _window(context, rule, state)
    if rule.sequence is not None:
        inside = windows.inside(state.kept, context.now, rule.sequence.within)
        numbers = range(1, len(rule.sequence.steps) + 1)
        counts = [sum(str(number) in one.members for one in inside) for number in numbers]
        told = ", ".join(f"step {number}: {count}" for number, count in zip(numbers, counts, strict=True))
        yield Check("sequence", UNKNOWN if not any(counts) else YES, f"within {length(rule.sequence.within)}: {told}")
    if rule.compound is not None:
        inside = windows.inside(state.kept, context.now, rule.compound.within)
        fired = sorted({member for one in inside for member in one.members})
        yield Check("compound", YES if fired else UNKNOWN, f"{len(fired)} of {rule.compound.need} rules fired within "
                    f"{length(rule.compound.within)}: {', '.join(fired) or 'none'}")  # fmt: skip


def _window(context: Context, rule: Rule, state: DetectorState) -> Check:
    window = rule.window
    assert window is not None  # noqa: S101  (asked by the caller)
    inside = windows.inside(state.kept, context.now, window.length)
    matches = [one for one in inside if "on" in one.members]
    since = f" since {instant(matches[0].time)}" if matches else ""
    within = f" within {length(window.length)}"
    if window.of is not None:
        attempts = sum("of" in one.members for one in inside)
        text = f"{len(matches)} of {attempts} now{within}{since}; fires at a share of {window.ratio:g} of at least "
        return Check("window", YES, f"{text}{window.min_sample}")
    what = f"different {window.distinct}" if window.distinct else "events"
    count = _different(matches) if window.distinct else len(matches)
    return Check("window", YES, f"{count} of {window.at_least} {what} now{within}{since}")


def _different(matches: Sequence[Kept]) -> int:
    return len({one.value for one in matches})


def _deafness(context: Context, rule: Rule, state: DetectorState, at: Instant) -> Iterator[Check]:
    if state.holding is not None:
        due = state.holding.since + rule.hold_for
        yield Check("hold", WAIT, f"true since {instant(state.holding.since)}: fires when the feed has passed "
                    f"{instant(due)}, unless it ends before")  # fmt: skip
    if rule.cool_down and state.fired_at is not None:
        until = state.fired_at + rule.cool_down
        deaf = context.now < until
        yield Check("cool_down", NO if deaf else YES, f"deaf until {instant(until)}" if deaf else "over")
    if rule.once_within and state.fired_time is not None:
        until = state.fired_time + rule.once_within
        text = f"fired at {instant(state.fired_time)}: further firings before {instant(until)} are swallowed"
        yield Check("once_within", NO if at < until else YES, text)
    if state.fired_time is not None:
        text = f"fired last at {instant(state.fired_time)}"
        ends = f", calms at {instant(state.calm_at)} unless it fires again" if state.calm_at is not None else ""
        yield Check("fired", YES, f"{text}; {'no end was seen' if state.is_open else 'ended since'}{ends}")
