"""The closed table of operators: a condition as TOML has it -> a test of a field's value with three answers.

Answers are `True`, `False` or a `Trouble` that says why neither; an error never acts. Knows no event and no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isnan
from typing import Any

import msgspec

from remediator.rules.globs import compile_pattern, glob_pattern, is_glob, literal_pattern, utf8
from remediator.rules.toml import MAX_INTEGER, kind_of, listing, near, quote_key, show

MAX_PATTERN = 1_000
"""Longest pattern or glob, in characters."""
MAX_LIST = 10_000
MAX_NOT = 5
_SYNTAX = "RE2 syntax, which has no look-around and no backreferences"


class Trouble(msgspec.Struct, frozen=True):
    """A condition that could be answered neither yes nor no."""

    reason: str


Verdict = bool | Trouble
Test = Callable[[Any], Verdict]
Key = str | tuple[bool, float]
"""An equality as a dictionary key. `True`, 1 and '1' differ; 1 and 1.0 do not."""
MISSING_FIELD = Trouble("missing")


class Condition(msgspec.Struct, frozen=True):
    """One compiled condition.

    test: the answer for a value that is there.
    missing: the answer for a missing field; None is a plain no that `not` turns into an error.
    keys: if set, only a value (or element) with one of these keys can get another answer than no.
    patterns: if set, only a text in which one of these is found, or a value that is no text, can.
    exact: `keys` or `patterns` is all there is to it: a value with such a key, a text with such a find, gets a yes.
    """

    test: Test
    missing: Verdict | None = None
    keys: frozenset[Key] | None = None
    patterns: tuple[str, ...] | None = None
    exact: bool = False


class UnfitError(ValueError):
    """A condition that cannot be compiled: what was found under which inner path, and what is allowed."""

    def __init__(self, path: tuple[str | int, ...], found: str, allowed: str, hint: str = "") -> None:
        super().__init__(found)
        self.path, self.found, self.allowed, self.hint = path, found, allowed, hint


def compile_condition(raw: Any, depth: int = 0) -> Condition:
    """A condition of a `where` table, compiled. Raises UnfitError."""
    if isinstance(raw, list):
        return _any_of(raw, glob=True)
    if isinstance(raw, dict):
        return _all_of(raw, depth)
    return _one_of([_scalar(raw, (), glob=True)])


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


def _of_elements(test: Test) -> Test:
    def of_value(value: Any) -> Verdict:
        if isinstance(value, tuple | list):
            return any_verdict(map(test, value))
        return test(value)

    return of_value


# Conditions of one element ------------------------------------------------------------------------------------------


def _scalar(raw: Any, path: tuple[str | int, ...], glob: bool) -> Condition:
    if isinstance(raw, str):
        return _glob(raw, path) if glob and is_glob(raw) else _equal(raw, path)
    if isinstance(raw, bool | int | float):
        if not isinstance(raw, bool) and (isnan(raw) or abs(raw) > MAX_INTEGER):
            raise UnfitError(path, show(raw), "numbers of 64 bits, and not nan")
        return _equal(raw, path)
    allowed = "a string, a number, true, false, a list of those or a table of operators"
    raise UnfitError(path, kind_of(raw), allowed if not path else "a string, a number, true or false")


def _equal(raw: str | float, path: tuple[str | int, ...]) -> Condition:
    if isinstance(raw, str) and len(raw) > MAX_PATTERN:
        raise UnfitError(path, f"{len(raw):,} characters", f"at most {MAX_PATTERN:,}")
    wanted: Key = raw if isinstance(raw, str) else (isinstance(raw, bool), raw)
    patterns = (literal_pattern(raw),) if isinstance(raw, str) else None
    return Condition(lambda value: key_of(value) == wanted, None, frozenset((wanted,)), patterns, exact=True)


def _glob(raw: str, path: tuple[str | int, ...]) -> Condition:
    if len(raw) > MAX_PATTERN:
        raise UnfitError(path, f"{len(raw):,} characters", f"at most {MAX_PATTERN:,}")
    return _pattern(glob_pattern(raw), path)


def _pattern(pattern: str, path: tuple[str | int, ...]) -> Condition:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise UnfitError(
            path, f"a bad pattern: {error}", "RE2 syntax, which has no look-around and no backreferences"
        ) from None
    return Condition(_search(pattern), None, None, (pattern,), exact=True)


def _search(pattern: str) -> Test:
    compiled: list[Any] = []  # filled at the first use: with many rules most patterns run in a set, never alone

    def search(value: Any) -> Verdict:
        if not isinstance(value, str):
            return Trouble(f"{kind_of(value)} where text is needed")
        if not compiled:
            compiled.append(compile_pattern(pattern))
        return compiled[0].search(utf8(value)) is not None

    return search


def _comparison(accepts: Callable[[float, float], bool]) -> Callable[[Any, tuple[str | int, ...], int], Condition]:
    def compile_comparison(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or isnan(raw) or abs(raw) > MAX_INTEGER:
            raise UnfitError(path, show(raw), "a number")

        def compare(value: Any) -> Verdict:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return Trouble(f"{kind_of(value)} where a number is needed")
            return accepts(value, raw)

        return Condition(compare)

    return compile_comparison


def _one_of(conditions: list[Condition]) -> Condition:
    """Any of the conditions of one element; all of them plain values, globs or patterns."""
    keys = [condition.keys for condition in conditions]
    patterns = [condition.patterns for condition in conditions]
    tests = [condition.test for condition in conditions]
    all_keys = frozenset(key for some in keys for key in some or ()) if None not in keys else None
    all_patterns = tuple(dict.fromkeys(p for some in patterns for p in some or ())) if None not in patterns else None
    if all_keys is not None:
        test: Test = lambda value: key_of(value) in all_keys  # noqa: E731
        all_patterns = None
    else:
        test = tests[0] if len(tests) == 1 else lambda value: any_verdict(one(value) for one in tests)
    return Condition(_of_elements(test), None, all_keys, all_patterns, exact=True)


def _any_of(raw: Any, glob: bool, path: tuple[str | int, ...] = ()) -> Condition:
    if not isinstance(raw, list):
        raise UnfitError(path, show(raw), "a list")
    if not 0 < len(raw) <= MAX_LIST:
        raise UnfitError(path, f"a list of {len(raw):,}", f"1 to {MAX_LIST:,} values")
    return _one_of([_scalar(item, (*path, index), glob) for index, item in enumerate(raw)])


# Tables of operators ------------------------------------------------------------------------------------------------


def _op_equals(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
    return _scalar(raw, path, glob=False)


def _op_in(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
    return _any_of(raw, glob=False, path=path)


def _op_glob(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
    if not isinstance(raw, str):
        raise UnfitError(path, show(raw), "a glob such as 'prod-*'")
    return _glob(raw, path)


def _op_matches(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
    if not isinstance(raw, str):
        raise UnfitError(path, show(raw), "a pattern such as '(?i)timed? ?out'")
    if len(raw) > MAX_PATTERN:
        raise UnfitError(path, f"{len(raw):,} characters", f"at most {MAX_PATTERN:,}")
    return _pattern(raw, path)


def _op_exists(raw: Any, path: tuple[str | int, ...], _: int) -> Condition:
    if not isinstance(raw, bool):
        raise UnfitError(path, show(raw), "true or false")
    empty: tuple[tuple[()], list[Any]] = ((), [])
    return Condition(lambda value: (value not in empty) is raw, missing=not raw)


def _op_not(raw: Any, path: tuple[str | int, ...], depth: int) -> Condition:
    if depth >= MAX_NOT:
        raise UnfitError(path, "not inside not", f"at most {MAX_NOT} levels")
    try:
        inner = compile_condition(raw, depth + 1)
    except UnfitError as unfit:
        raise UnfitError((*path, *unfit.path), unfit.found, unfit.allowed, unfit.hint) from None
    test = inner.test
    return Condition(lambda value: _negated(test(value)), missing=_negated(inner.missing))


def _negated(verdict: Verdict | None) -> Verdict:
    if verdict is None:
        return MISSING_FIELD
    return verdict if isinstance(verdict, Trouble) else not verdict


_OF_ELEMENT: dict[str, Callable[[Any, tuple[str | int, ...], int], Condition]] = {
    "equals": _op_equals,
    "in": _op_in,
    "glob": _op_glob,
    "matches": _op_matches,
    "gt": _comparison(lambda value, bound: value > bound),
    "gte": _comparison(lambda value, bound: value >= bound),
    "lt": _comparison(lambda value, bound: value < bound),
    "lte": _comparison(lambda value, bound: value <= bound),
}
_OF_FIELD: dict[str, Callable[[Any, tuple[str | int, ...], int], Condition]] = {"exists": _op_exists, "not": _op_not}
OPERATORS: tuple[str, ...] = (*_OF_ELEMENT, *_OF_FIELD)


def _all_of(raw: dict[str, Any], depth: int) -> Condition:
    """All operators of a table: those of an element must hold for one and the same element of a sequence."""
    if not raw:
        raise UnfitError((), "an empty table", f"one or more of: {listing(OPERATORS)}")
    for name in raw:
        if name not in OPERATORS:
            raise UnfitError((name,), f"unknown operator {quote_key(name)}", listing(OPERATORS), near(name, OPERATORS))
    element = [_OF_ELEMENT[name](value, (name,), depth) for name, value in raw.items() if name in _OF_ELEMENT]
    field = [_OF_FIELD[name](value, (name,), depth) for name, value in raw.items() if name in _OF_FIELD]
    return _both(element, field)


def _both(element: list[Condition], field: list[Condition]) -> Condition:
    if len(element) == 1 and not field:
        return _one_of(element) if element[0].exact else Condition(_of_elements(element[0].test))
    tests = [condition.test for condition in element]
    whole = [condition.test for condition in field]
    if tests:
        whole.insert(0, _of_elements(lambda value: all_verdicts(test(value) for test in tests)))
    parts = [*element, *field]
    return Condition(
        whole[0] if len(whole) == 1 else lambda value: all_verdicts(test(value) for test in whole),
        _all_missing([condition.missing for condition in parts]),
        next((condition.keys for condition in element if condition.keys is not None), None),
        next((condition.patterns for condition in element if condition.keys is None and condition.patterns), None),
    )


def _all_missing(verdicts: list[Verdict | None]) -> Verdict | None:
    """As all_verdicts, with None (a plain no that `not` turns into an error) between no and error."""
    if False in verdicts:
        return False
    return None if None in verdicts else all_verdicts(verdict for verdict in verdicts if verdict is not None)
