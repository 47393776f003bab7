"""Windows, sequences and compounds: is a rule's condition over time true, now that an event has come in?

Pure arithmetic over what a detector keeps. The one rule of intervals: an event at t counts during [t, t + length).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence as Items

import msgspec

from remediator.engine.detector_state import Kept
from remediator.model.time import Duration, Instant
from remediator.rules.spec import Compound, Sequence, Window


class Met(msgspec.Struct, frozen=True):
    """The condition is true at `at`. used: (event, member) pairs that made it so."""

    at: Instant
    count: int
    first: Instant
    used: tuple[tuple[Kept, str], ...]


def inside(kept: Items[Kept], at: Instant, length: Duration) -> Items[Kept]:
    """What counts at `at`: no older than `length`, and not later. `kept` is in order of time."""
    begin = bisect_right(kept, at - length, key=_time)
    return kept[begin : bisect_right(kept, at, lo=begin, key=_time)]


def _time(one: Kept) -> Instant:
    return one.time


def _ends(kept: Items[Kept], entered: Kept, length: Duration) -> list[Instant]:
    """The moments at which windows end that hold the event: its own, and those of later ones that were here first."""
    begin = bisect_right(kept, entered.time, key=_time)
    later = [one.time for one in kept[begin:] if one.time < entered.time + length]
    return [entered.time, *dict.fromkeys(later)]


def window_met(window: Window, kept: Items[Kept], entered: Kept) -> Met | None:
    """Has the event made any window true?"""
    for at in _ends(kept, entered, window.length):
        met = window_at(window, kept, at)
        if met is not None:
            return met
    return None


def window_at(window: Window, kept: Items[Kept], at: Instant) -> Met | None:
    """Is the window that ends at `at` true?"""
    counted = inside(kept, at, window.length)
    matches = [one for one in counted if "on" in one.members]
    if window.of is not None:
        attempts = sum(1 for one in counted if "of" in one.members)
        if attempts < window.min_sample or not matches or len(matches) < window.ratio * attempts:
            return None
        count = len(matches)
    else:
        count = len({one.value for one in matches}) if window.distinct else len(matches)
        if count < window.at_least:
            return None
    used = tuple((one, member) for one in counted for member in one.members)
    return Met(at, count, matches[0].time, used)


def compound_met(compound: Compound, kept: Items[Kept], entered: Kept) -> Met | None:
    """Have enough different rules fired?"""
    for at in _ends(kept, entered, compound.within):
        counted = inside(kept, at, compound.within)
        fired = {member for one in counted for member in one.members}
        if len(fired) >= compound.need:
            used = tuple((one, member) for one in counted for member in one.members)
            return Met(at, len(fired), min(one.time for one, _ in used), used)
    return None


def sequence_met(sequence: Sequence, kept: Items[Kept], entered: Kept) -> Met | None:
    """The chain with the oldest beginning that the event completes or fills."""
    last = len(sequence.steps)
    for place in range(last, 0, -1):
        if str(place) in entered.members:
            chain = _chain_with(sequence, kept, entered, place)
            if chain is not None:
                used = tuple((one, str(number)) for number, one in enumerate(chain, start=1))
                return Met(chain[-1].time, last, chain[0].time, used)
    return None


def _chain_with(sequence: Sequence, kept: Items[Kept], entered: Kept, place: int) -> list[Kept] | None:
    if place == 1:
        return _follow(sequence, kept, [entered])
    for first in kept:
        if first.time > entered.time:
            return None
        if "1" in first.members and first is not entered and entered.time < first.time + sequence.within:
            chain = _follow(sequence, kept, [first], entered, place)
            if chain is not None:
                return chain
    return None


def _follow(
    sequence: Sequence, kept: Items[Kept], chain: list[Kept], fixed: Kept | None = None, place: int = 0
) -> list[Kept] | None:
    """The rest of a chain, each step as early as it can be, which leaves most room for those behind it."""
    for number in range(2, len(sequence.steps) + 1):
        if number == place and fixed is not None:
            found: Kept | None = fixed if fixed.time >= chain[-1].time else None
        else:
            found = _next(sequence, kept, chain, str(number), fixed)
        if found is None or found.time >= chain[0].time + sequence.within:
            return None
        chain.append(found)
    return chain


def _next(sequence: Sequence, kept: Items[Kept], chain: list[Kept], member: str, fixed: Kept | None) -> Kept | None:
    end = chain[0].time + sequence.within
    for one in kept:
        if one.time >= end:
            return None
        fits = one.time >= chain[-1].time and member in one.members
        if fits and one is not fixed and all(one is not other for other in chain):
            return one
    return None
