"""What conditions are made of: answers with three values, fields and their kinds, and a compiled condition.

Answers are `True`, `False` or a `Trouble` that says why neither; an error never acts. Knows no event and no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

import msgspec


class Trouble(msgspec.Struct, frozen=True):
    """A condition that could be answered neither yes nor no."""

    reason: str


Verdict = bool | Trouble
Getter = Callable[[Any], Any]
"""Reads a field from what is judged: an event, or the scene of a step."""
Test = Callable[[Any, Any], Verdict]
"""Takes the field's value and what is judged, from which another field may be read."""
Key = str | tuple[bool, float]
"""An equality as a dictionary key. `True`, 1 and '1' differ; 1 and 1.0 do not."""
MISSING_FIELD = Trouble("missing")


class Missing:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


class Kind(StrEnum):
    """What a field's values are. FREE: whatever the producer sent."""

    TEXT = "text"
    NUMBER = "number"
    INSTANT = "instant"
    DURATION = "duration"
    FREE = "free"


class Field(msgspec.Struct, frozen=True):
    """A field by name, the kind of its values, and how it is read (MISSING if it is not there)."""

    name: str
    kind: Kind
    get: Getter


Lookup = Callable[[str], Field | None]
"""A field by its name, None if there is no such field."""


class Condition(msgspec.Struct, frozen=True):
    """One compiled condition.

    test: the answer for a value that is there.
    missing: the answer for a missing field; None is a plain no that `not` turns into an error.
    keys: if set, only a value (or element) with one of these keys can get another answer than no.
    patterns: if set, only a text in which one of these is found, or a value that is no text, can.
    exact: `keys` or `patterns` is all there is to it: a value with such a key, a text with such a find, gets a yes.
    named: the patterns with named groups that a value has to fulfil.
    """

    test: Test
    missing: Verdict | None = None
    keys: frozenset[Key] | None = None
    patterns: tuple[str, ...] | None = None
    exact: bool = False
    named: tuple[str, ...] = ()


class UnfitError(ValueError):
    """A condition that cannot be compiled: what was found under which inner path, and what is allowed."""

    def __init__(self, path: tuple[str | int, ...], found: str, allowed: str, hint: str = "") -> None:
        super().__init__(found)
        self.path, self.found, self.allowed, self.hint = path, found, allowed, hint


def key_of(value: object) -> Key | None:
    """The key of a scalar, None for anything that equals nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return isinstance(value, bool), value
    return None


def all_verdicts(verdicts: Iterable[Verdict]) -> Verdict:
    """No if any is no, else the first error, else yes."""
    trouble: Trouble | None = None
    for verdict in verdicts:
        if verdict is False:
            return False
        if trouble is None and verdict is not True:
            trouble = verdict
    return True if trouble is None else trouble


def any_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """Yes if any is yes, else the first error, else no."""
    trouble: Trouble | None = None
    for verdict in verdicts:
        if verdict is True:
            return True
        if trouble is None and verdict is not False:
            trouble = verdict
    return False if trouble is None else trouble


def not_verdict(verdict: Verdict) -> Verdict:
    """Yes for no and no for yes; an error stays."""
    return verdict if isinstance(verdict, Trouble) else not verdict


def of_elements(test: Test) -> Test:
    """The test for a value or, of a list, for any of its elements."""

    def of_value(value: Any, subject: Any) -> Verdict:
        if isinstance(value, tuple | list):
            return any_verdict(test(element, subject) for element in value)
        return test(value, subject)

    return of_value
