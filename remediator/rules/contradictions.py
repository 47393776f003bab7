"""Whether a `where` table can hold at all: what its conditions demand of one field, put together.

Errs on the side of yes: only what is sure to be impossible is named. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from remediator.model.time import SECOND, parse_duration, parse_instant
from remediator.rules.conditions import Key, Kind, Lookup, key_of
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob, literal_pattern, utf8
from remediator.rules.toml import show

MANY_VALUED = ("tags", "inputs", "outputs", "attributes")
"""Fields that may hold a list: two conditions on one may hold for different elements."""
YES_OR_NO = ("condition.active", "incident.helped")
"""Fields whose values are true and false."""
_PROBES = (b"", b"\x01", "\u03a9 0\n_A~".encode(), b"9" * 40)
_BOUNDS = ("gt", "gte", "lt", "lte")


class Demand(msgspec.Struct):
    """What must hold of one value. values: None for any; patterns: of each tuple one must be found.

    low, high: bounds, each with whether it is itself excluded. absent: the field must be missing.
    """

    values: list[Any] | None = None
    patterns: list[tuple[str, ...]] = []
    excluded_values: set[Key] = set()
    excluded_patterns: list[str] = []
    low: tuple[float, bool] | None = None
    high: tuple[float, bool] | None = None
    absent: bool = False
    present: bool = False
    excluded: bool = False


Demands = list[tuple[str, str, Any]]
"""(place, field, condition as written): all must hold."""


def impossible(where: Mapping[str, Any], lookup: Lookup) -> tuple[str, str] | None:
    """(place, why) if the table can never hold, else None. The table is one that compiles."""
    return _impossible(where, lookup, [], "")


def dead_branches(where: Mapping[str, Any], lookup: Lookup) -> Iterator[tuple[str, str]]:
    """(place, why) for each table of an `any` at the top that can never hold, while another can."""
    outer = list(_demands({key: value for key, value in where.items() if key != "any"}, ""))
    for number, branch in enumerate(where.get("any", ()), 1):
        found = _impossible(branch, lookup, outer, f"any {number} ")
        if found is not None:
            yield found


def _impossible(where: Mapping[str, Any], lookup: Lookup, outer: Demands, prefix: str) -> tuple[str, str] | None:
    demands = [*outer, *_demands(where, prefix)]
    for field in dict.fromkeys(field for _, field, _ in demands):
        found = _impossible_field([one for one in demands if one[1] == field], lookup)
        if found is not None:
            return found
    some = enumerate(where.get("any", ()), 1)
    branches = [_impossible(branch, lookup, demands, f"{prefix}any {number} ") for number, branch in some]
    return branches[0] if branches and None not in branches else None


def _demands(where: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, Any]]:
    for name, raw in where.items():
        if name == "all":
            for number, table in enumerate(raw, 1):
                yield from _demands(table, f"{prefix}all {number} ")
        elif name not in ("any", "not"):
            yield f"{prefix}{name}", name, raw


def _impossible_field(demands: Demands, lookup: Lookup) -> tuple[str, str] | None:
    """Together if the field has one value, else each condition alone."""
    field = demands[0][1]
    kind = _kind(field, lookup)
    together = [demands] if field.partition(".")[0] not in MANY_VALUED else [[one] for one in demands]
    for some in together:
        demand = Demand()
        for _, _, raw in some:
            _add(demand, raw, kind)
        why = _why(demand, kind, field)
        if why:
            return some[-1][0], why
    return None


def _kind(field: str, lookup: Lookup) -> Kind:
    found = lookup(field)
    return Kind.FREE if found is None else found.kind


# Gathering ----------------------------------------------------------------------------------------------------------


def _add(demand: Demand, raw: Any, kind: Kind) -> None:
    if not isinstance(raw, dict):
        _add_one_of(demand, raw if isinstance(raw, list) else [raw], globs=True)
        return
    for name, value in raw.items():
        if name == "exists":
            demand.absent, demand.present = demand.absent or not value, demand.present or value
        elif name == "not":
            _exclude(demand, value)
        elif name in ("equals", "in"):
            if not isinstance(value, dict):
                _add_one_of(demand, value if name == "in" else [value], globs=False)
            demand.present = True
        else:
            demand.present = True
            _add_operator(demand, name, value, kind)


def _add_operator(demand: Demand, name: str, value: Any, kind: Kind) -> None:
    if name == "glob":
        _add_one_of(demand, [value], globs=True)
    elif name == "matches":
        demand.patterns.append((value,))
    elif name in _BOUNDS and not isinstance(value, dict):
        _bound(demand, name, _number(value, kind))


def _add_one_of(demand: Demand, values: list[Any], globs: bool) -> None:
    demand.present = True
    if not (globs and any(isinstance(value, str) and is_glob(value) for value in values)):
        before = None if demand.values is None else {key_of(value) for value in demand.values}
        demand.values = [value for value in values if before is None or key_of(value) in before]
    elif all(isinstance(value, str) for value in values):
        demand.patterns.append(
            tuple(glob_pattern(value) if is_glob(value) else literal_pattern(value) for value in values)
        )


def _exclude(demand: Demand, raw: Any) -> None:
    """What `not` takes away: values and patterns; of anything else nothing is concluded."""
    demand.excluded = True
    globs = True
    if isinstance(raw, dict):
        if len(raw) != 1 or next(iter(raw)) not in ("equals", "in", "glob", "matches"):
            return
        name, raw = next(iter(raw.items()))
        globs = name == "glob"
        if name == "matches":
            demand.excluded_patterns.append(raw)
            return
        if isinstance(raw, dict):
            return
    for value in raw if isinstance(raw, list) else [raw]:
        if isinstance(value, str) and globs and is_glob(value):
            demand.excluded_patterns.append(glob_pattern(value))
        elif (key := key_of(value)) is not None:
            demand.excluded_values.add(key)


def _number(bound: Any, kind: Kind) -> float:
    """A bound in the unit that values of this kind have; durations against attributes are seconds."""
    if not isinstance(bound, str):
        return float(bound)
    if kind is Kind.INSTANT:
        return parse_instant(bound)
    return parse_duration(bound) / (SECOND if kind is Kind.FREE else 1)


def _bound(demand: Demand, name: str, value: float) -> None:
    side = (value, name in ("gt", "lt"))
    if name in ("gt", "gte") and (demand.low is None or side > demand.low):
        demand.low = side
    if name in ("lt", "lte") and (demand.high is None or (value, not side[1]) < (demand.high[0], not demand.high[1])):
        demand.high = side


# Judging ------------------------------------------------------------------------------------------------------------


def _why(demand: Demand, kind: Kind, field: str) -> str:
    """Why nothing meets the demand, '' if something may."""
    many = field.partition(".")[0] in MANY_VALUED
    if demand.absent and (demand.present or (demand.excluded and not many)):
        return "a missing field and a condition on its value"
    if kind is Kind.TEXT and field not in YES_OR_NO and (demand.low or demand.high) and not many:
        return "a comparison of a text with a number"
    for pattern in demand.excluded_patterns:
        if is_everything(pattern) and not many:
            return "not what every value is"
    if kind is Kind.NUMBER and demand.patterns:
        return "a pattern for a number"
    return _why_values(demand, kind, field, many) or _why_bounds(demand) or _why_patterns(demand)


def _why_values(demand: Demand, kind: Kind, field: str, many: bool) -> str:
    if demand.values is None:
        return ""
    if not demand.values:
        return "values that are all different"
    if not many and not any(_is_of_kind(value, kind, field) for value in demand.values):
        return f"{show(demand.values[0])}, which no {field} is"
    left = [value for value in demand.values if key_of(value) not in demand.excluded_values]
    if not left:
        return f"{show(demand.values[0])} and not {show(demand.values[0])}"
    fitting = [value for value in left if _fits(value, demand)]
    return "" if fitting else f"{show(left[0])}, which another condition rules out"


def _is_of_kind(value: Any, kind: Kind, field: str) -> bool:
    if kind is Kind.FREE:
        return True
    if field in YES_OR_NO:
        return isinstance(value, bool)
    return isinstance(value, str) if kind is Kind.TEXT else not isinstance(value, str | bool)


def _fits(value: Any, demand: Demand) -> bool:
    if isinstance(value, str):
        if demand.low or demand.high or any(_found(pattern, value) for pattern in demand.excluded_patterns):
            return False
        return all(any(_found(pattern, value) for pattern in some) for some in demand.patterns)
    if demand.patterns or demand.excluded_patterns or (isinstance(value, bool) and (demand.low or demand.high)):
        return False
    return not _crossed((value, False), demand.high) and not _crossed(demand.low, (value, False))


def _why_bounds(demand: Demand) -> str:
    return "bounds that leave nothing between them" if _crossed(demand.low, demand.high) else ""


def _crossed(low: tuple[float, bool] | None, high: tuple[float, bool] | None) -> bool:
    if low is None or high is None:
        return False
    return low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1]))


def _why_patterns(demand: Demand) -> str:
    if demand.patterns and (demand.low or demand.high):
        return "a pattern for a text and a comparison of a number"
    for some in demand.patterns:
        if any(set(some) <= {excluded} for excluded in demand.excluded_patterns):
            return "a pattern and not the same pattern"
    starts = [tuple(_start(pattern) for pattern in some) for some in demand.patterns]
    for one, other in ((a, b) for i, a in enumerate(starts) for b in starts[i + 1 :]):
        if not any(_go_together(a, b) for a in one for b in other):
            return "globs with different beginnings"
    return ""


def _start(pattern: str) -> str | None:
    r"""The plain beginning of a pattern that begins with \A and has no escapes before its end; None for another."""
    if not pattern.startswith(r"\A"):
        return None
    plain = []
    rest = pattern.removeprefix(r"\A")
    while rest and (rest[0].isalnum() or rest[0] == "_" or (rest[0] == "\\" and not rest[1:2].isalnum())):
        plain.append(rest[1] if rest[0] == "\\" else rest[0])
        rest = rest[2:] if rest[0] == "\\" else rest[1:]
    return "".join(plain[:-1]) if rest[:1] in ("?", "*", "+", "{") else "".join(plain)


def _go_together(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one.startswith(other) or other.startswith(one)


def _found(pattern: str, text: str) -> bool:
    return compile_pattern(pattern).search(utf8(text)) is not None


def is_everything(pattern: str) -> bool:
    """Whether a pattern is found in every text."""
    compiled = compile_pattern(pattern)
    return all(compiled.search(probe) is not None for probe in _PROBES)


def patterns_of(raw: Any) -> Iterable[tuple[str, str]]:
    """(as written, pattern) of every glob and pattern of a condition, those under `not` too."""
    if isinstance(raw, str) and is_glob(raw):
        yield raw, glob_pattern(raw)
    elif isinstance(raw, list):
        for item in raw:
            if not isinstance(item, dict | list):
                yield from patterns_of(item)
    elif isinstance(raw, dict):
        if isinstance(raw.get("matches"), str):
            yield raw["matches"], raw["matches"]
        for name in ("glob", "not"):
            yield from patterns_of(raw.get(name))
