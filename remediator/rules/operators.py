"""The closed table of operators: a condition as TOML has it -> a test of a field's value with three answers.

Comparisons and hours are in bounds. Knows no event and no rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remediator.rules.bounds import HOURS, Context, Path, comparison, equal_field, is_sound_number, within_hours
from remediator.rules.conditions import (
    MISSING_FIELD,
    Condition,
    Key,
    Kind,
    Lookup,
    Test,
    Trouble,
    UnfitError,
    Verdict,
    all_verdicts,
    any_verdict,
    key_of,
    not_verdict,
    of_elements,
)
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob, literal_pattern, utf8
from remediator.rules.toml import kind_of, listing, near, quote_key, show

MAX_PATTERN = 1_000
"""Longest pattern or glob, in characters."""
MAX_LIST = 10_000
MAX_NOT = 5
MAX_GROUPS = 10
"""Most named groups of one pattern."""
_SYNTAX = "RE2 syntax, which has no look-around and no backreferences"


def compile_condition(raw: Any, kind: Kind, lookup: Lookup) -> Condition:
    """A condition on a field of this kind, compiled; lookup finds the fields it may refer to. Raises UnfitError."""
    return _compile(raw, Context(kind, lookup))


def _compile(raw: Any, context: Context) -> Condition:
    if isinstance(raw, list):
        return _any_of(raw, (), context, glob=True)
    if isinstance(raw, dict):
        return _all_of(raw, context)
    return _one_of([_scalar(raw, (), context, glob=True)])


# Conditions of one element ------------------------------------------------------------------------------------------


def _scalar(raw: Any, path: Path, context: Context, glob: bool) -> Condition:
    if isinstance(raw, str):
        return _glob(raw, path, context) if glob and is_glob(raw) else _equal(raw, path, context)
    if isinstance(raw, bool | int | float):
        if not isinstance(raw, bool) and not is_sound_number(raw):
            raise UnfitError(path, show(raw), "numbers of 64 bits, and not nan")
        return _equal(raw, path, context)
    allowed = "a string, a number, true, false, a list of those or a table of operators"
    raise UnfitError(path, kind_of(raw), allowed if not path else "a string, a number, true or false")


def _text(raw: str, path: Path, context: Context) -> str:
    """The text, if it is one that the field can have."""
    if context.kind in (Kind.INSTANT, Kind.DURATION):
        more = ", between, days" if context.kind is Kind.INSTANT else ""
        allowed = f"a table such as {{ gte = ... }} with gt, gte, lt, lte{more}"
        raise UnfitError(path, f"{show(raw)} for a field that is no text", allowed)
    if len(raw) > MAX_PATTERN:
        raise UnfitError(path, f"{len(raw):,} characters", f"at most {MAX_PATTERN:,}")
    return raw


def _equal(raw: str | float, path: Path, context: Context) -> Condition:
    wanted: Key = _text(raw, path, context) if isinstance(raw, str) else (isinstance(raw, bool), raw)
    patterns = (literal_pattern(raw),) if isinstance(raw, str) else None
    return Condition(lambda value, _: key_of(value) == wanted, None, frozenset((wanted,)), patterns, exact=True)


def _glob(raw: str, path: Path, context: Context) -> Condition:
    return _pattern(glob_pattern(_text(raw, path, context)), path)


def _pattern(pattern: str, path: Path) -> Condition:
    try:
        groups = compile_pattern(pattern).groupindex
    except ValueError as error:
        raise UnfitError(path, f"a bad pattern: {error}", _SYNTAX) from None
    if len(groups) > MAX_GROUPS:
        raise UnfitError(path, f"{len(groups)} named groups", f"at most {MAX_GROUPS}")
    return Condition(_search(pattern), None, None, (pattern,), exact=True, named=(pattern,) if groups else ())


def _search(pattern: str) -> Test:
    compiled: list[Any] = []  # filled at the first use: with many rules most patterns run in a set, never alone

    def search(value: Any, _: Any) -> Verdict:
        if not isinstance(value, str):
            return Trouble(f"{kind_of(value)} where text is needed")
        if not compiled:
            compiled.append(compile_pattern(pattern))
        return compiled[0].search(utf8(value)) is not None

    return search


def _one_of(conditions: list[Condition]) -> Condition:
    """Any of the conditions of one element; all of them plain values, globs or patterns."""
    keys = [condition.keys for condition in conditions]
    patterns = [condition.patterns for condition in conditions]
    tests = [condition.test for condition in conditions]
    named = tuple(pattern for condition in conditions for pattern in condition.named)
    all_keys = frozenset(key for some in keys for key in some or ()) if None not in keys else None
    all_patterns = tuple(dict.fromkeys(p for some in patterns for p in some or ())) if None not in patterns else None
    if all_keys is not None:
        test: Test = lambda value, _: key_of(value) in all_keys  # noqa: E731
        all_patterns = None
    elif len(tests) == 1:
        test = tests[0]
    else:
        test = lambda value, subject: any_verdict(one(value, subject) for one in tests)  # noqa: E731
    return Condition(of_elements(test), None, all_keys, all_patterns, exact=True, named=named)


def _any_of(raw: Any, path: Path, context: Context, glob: bool) -> Condition:
    if not isinstance(raw, list):
        raise UnfitError(path, show(raw), "a list")
    if not 0 < len(raw) <= MAX_LIST:
        raise UnfitError(path, f"a list of {len(raw):,}", f"1 to {MAX_LIST:,} values")
    return _one_of([_scalar(item, (*path, index), context, glob) for index, item in enumerate(raw)])


# Tables of operators ------------------------------------------------------------------------------------------------


def _op_equals(raw: Any, path: Path, context: Context) -> Condition:
    return equal_field(raw, path, context) if isinstance(raw, dict) else _scalar(raw, path, context, glob=False)


def _op_in(raw: Any, path: Path, context: Context) -> Condition:
    return _any_of(raw, path, context, glob=False)


def _op_glob(raw: Any, path: Path, context: Context) -> Condition:
    if not isinstance(raw, str):
        raise UnfitError(path, show(raw), "a glob such as 'prod-*'")
    return _glob(raw, path, context)


def _op_matches(raw: Any, path: Path, context: Context) -> Condition:
    if not isinstance(raw, str):
        raise UnfitError(path, show(raw), "a pattern such as '(?i)timed? ?out'")
    return _pattern(_text(raw, path, context), path)


def _op_exists(raw: Any, path: Path, _: Context) -> Condition:
    if not isinstance(raw, bool):
        raise UnfitError(path, show(raw), "true or false")
    empty: tuple[tuple[()], list[Any]] = ((), [])
    return Condition(lambda value, _: (value not in empty) is raw, missing=not raw)


def _op_not(raw: Any, path: Path, context: Context) -> Condition:
    if context.depth >= MAX_NOT:
        raise UnfitError(path, "not inside not", f"at most {MAX_NOT} levels")
    try:
        inner = _compile(raw, Context(context.kind, context.lookup, context.depth + 1))
    except UnfitError as unfit:
        raise UnfitError((*path, *unfit.path), unfit.found, unfit.allowed, unfit.hint) from None
    test = inner.test
    missing = MISSING_FIELD if inner.missing is None else not_verdict(inner.missing)
    return Condition(lambda value, subject: not_verdict(test(value, subject)), missing=missing)


Operator = Callable[[Any, Path, Context], Condition]
_OF_ELEMENT: dict[str, Operator] = {
    "equals": _op_equals,
    "in": _op_in,
    "glob": _op_glob,
    "matches": _op_matches,
    "gt": comparison(lambda value, bound: value > bound),
    "gte": comparison(lambda value, bound: value >= bound),
    "lt": comparison(lambda value, bound: value < bound),
    "lte": comparison(lambda value, bound: value <= bound),
}
_OF_FIELD: dict[str, Operator] = {"exists": _op_exists, "not": _op_not}
OPERATORS: tuple[str, ...] = (*_OF_ELEMENT, *_OF_FIELD, *HOURS)


def _all_of(raw: dict[str, Any], context: Context) -> Condition:
    """All operators of a table: those of an element must hold for one and the same element of a sequence."""
    if not raw:
        raise UnfitError((), "an empty table", f"one or more of: {listing(OPERATORS)}")
    for name in raw:
        if name not in OPERATORS:
            raise UnfitError((name,), f"unknown operator {quote_key(name)}", listing(OPERATORS), near(name, OPERATORS))
    element = [_OF_ELEMENT[name](value, (name,), context) for name, value in raw.items() if name in _OF_ELEMENT]
    hours = {name: value for name, value in raw.items() if name in HOURS}
    if hours:
        element.append(within_hours(hours, context))
    field = [_OF_FIELD[name](value, (name,), context) for name, value in raw.items() if name in _OF_FIELD]
    return _both(element, field)


def _both(element: list[Condition], field: list[Condition]) -> Condition:
    if len(element) == 1 and not field:
        return _one_of(element) if element[0].exact else Condition(of_elements(element[0].test))
    tests = [condition.test for condition in element]
    whole = [condition.test for condition in field]
    if tests:
        whole.insert(0, of_elements(_all_tests(tests)))
    parts = [*element, *field]
    return Condition(
        whole[0] if len(whole) == 1 else _all_tests(whole),
        _all_missing([condition.missing for condition in parts]),
        next((condition.keys for condition in element if condition.keys is not None), None),
        next((condition.patterns for condition in element if condition.keys is None and condition.patterns), None),
        named=tuple(pattern for condition in element for pattern in condition.named),
    )


def _all_tests(tests: list[Test]) -> Test:
    return lambda value, subject: all_verdicts(test(value, subject) for test in tests)


def _all_missing(verdicts: list[Verdict | None]) -> Verdict | None:
    """As all_verdicts, with None (a plain no that `not` turns into an error) between no and error."""
    if False in verdicts:
        return False
    return None if None in verdicts else all_verdicts(verdict for verdict in verdicts if verdict is not None)
