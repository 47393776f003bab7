"""The index of one group of selectors: equalities by hash first, then patterns many at a time, then what is left.

A selector is met only where its most selective necessary condition holds; its other clauses are then tried in order.
Of alternatives (`any`) each has its own condition, so that such a selector is in the index once for each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import re2

from remediator.model.event import Event
from remediator.rules.clauses import Clause, Clauses, Group, verdict_of
from remediator.rules.conditions import MISSING, Getter, Key, Verdict, key_of
from remediator.rules.globs import options, utf8
from remediator.rules.selectors import Compiled

FEW = 4
"""Up to here trying rules one by one costs no more than an index."""
_SETS = 8
_SET_SIZE = 100
_SET_MEMORY = 1 << 20
_PATTERN_MEMORY = 1 << 15

Found = dict[int, Verdict]
"""Rank of a selector -> yes or an error."""


class Item(msgspec.Struct, frozen=True):
    """A selector on its way into the index: clauses still to be tried, and necessary ones usable to find it."""

    rank: int
    clauses: Clauses
    usable: tuple[Clause, ...]

    def found_by(self, clause: Clause) -> Item:
        """The item behind one of its clauses, which need not be tried again where finding is all it asks."""
        usable = tuple(one for one in self.usable if one is not clause)
        exact = clause.condition.exact
        return Item(self.rank, tuple(one for one in self.clauses if not exact or one is not clause), usable)


class Node:
    """Selectors that share what led here. `collect` adds those that answer yes or error; it never raises."""

    def __init__(self, plain: list[Item], tables: list[KeyTable], sets: list[PatternSet]) -> None:
        self._plain = [(item.rank, item.clauses) for item in plain]
        self._rest: list[KeyTable | PatternSet] = [*tables, *sets]

    def collect(self, event: Event, found: Found) -> None:
        """Add the selectors of this node that do not answer no."""
        for rank, clauses in self._plain:
            if rank in found:  # by another of its alternatives
                continue
            verdict = verdict_of(clauses, event)
            if verdict is not False:
                found[rank] = verdict
        for part in self._rest:
            part.collect(event, found)


class KeyTable:
    """Nodes by the value of one field."""

    def __init__(self, get: Getter, items: dict[Key, list[Item]]) -> None:
        self._get = get
        self._nodes = {key: build_items(some) for key, some in items.items()}

    def collect(self, event: Event, found: Found) -> None:
        """Go on in the node of the event's value, or in those of its elements."""
        for key in _keys(self._get(event)):
            node = self._nodes.get(key)
            if node is not None:
                node.collect(event, found)


class PatternSet:
    """Nodes by the patterns found in one field, all tested in one pass over the text."""

    def __init__(self, get: Getter, items: dict[str, list[Item]], fallback: list[Item]) -> None:
        self._get = get
        self._patterns = list(items)
        self._nodes = [build_items(some) for some in items.values()]
        self._fallback = Node(fallback, [], [])
        self._sets: list[tuple[int, int, Any]] = []

    def collect(self, event: Event, found: Found) -> None:
        """Go on in the node of every pattern found. What a set cannot answer, each selector is asked itself."""
        value = self._get(event)
        if value is MISSING:
            return
        for element in value if isinstance(value, tuple | list) else (value,):
            hits = self._hits(utf8(element)) if isinstance(element, str) else None
            if hits is None:
                self._fallback.collect(event, found)
                return
            for hit in hits:
                self._nodes[hit].collect(event, found)

    def _hits(self, text: bytes) -> list[int] | None:
        if not self._sets:
            self._sets = list(_pattern_sets(self._patterns))
        hits: list[int] = []
        for start, size, patterns in self._sets:
            matches = patterns.Match(text) if patterns is not None else ()
            if size not in matches:  # the pattern that is always found is not: the set ran out of memory
                return None
            hits += [start + match for match in matches if match != size]
        return hits


def _pattern_sets(patterns: list[str]) -> Iterator[tuple[int, int, Any]]:
    """(first pattern, number of patterns, set), None for a set that is too large to be compiled."""
    size = max(_SET_SIZE, -(-len(patterns) // _SETS))
    for start in range(0, len(patterns), size):
        some = patterns[start : start + size]
        yield start, len(some), _compiled_set(some)


def _compiled_set(patterns: list[str]) -> Any:
    """The patterns and after them the empty one, which is found in any text."""
    compiled = re2.Set.SearchSet(options(_SET_MEMORY + _PATTERN_MEMORY * len(patterns)))
    try:
        for pattern in (*patterns, ""):
            compiled.Add(pattern)
        compiled.Compile()
    except re2.error:
        return None
    return compiled


def build(selectors: Iterable[Compiled]) -> Node:
    """The index of a group of selectors."""
    return build_items([item for one in selectors for item in _items(one)])


def _items(one: Compiled) -> list[Item]:
    """The selector once, or once for each alternative if there are some that can all be found."""
    certain = tuple(_necessary(one.clauses))
    options_ = [clause for clause in one.clauses if isinstance(clause, Group) and clause.kind == "any"]
    for group in options_:
        branches = [tuple(_necessary(table)) for table in group.tables]
        if all(any(map(_can_find, branch)) for branch in branches):
            return [Item(one.rank, one.clauses, (*certain, *branch)) for branch in branches]
    return [Item(one.rank, one.clauses, certain)]


def _necessary(clauses: Clauses) -> Iterator[Clause]:
    """Clauses without which none of these holds."""
    for clause in clauses:
        if isinstance(clause, Clause):
            yield clause
        elif clause.kind == "all":
            for table in clause.tables:
                yield from _necessary(table)


def _can_find(clause: Clause) -> bool:
    return bool(clause.condition.keys or clause.condition.patterns)


def build_items(items: list[Item]) -> Node:
    """The index of items that share what led to them."""
    if len(items) <= FEW:
        return Node(items, [], [])
    by_key, others = _split(items, by_keys=True)
    by_pattern, plain = _split(others, by_keys=False)
    sets: list[PatternSet] = []
    for chosen in by_pattern.values():
        if len(chosen) <= FEW:
            plain += [item for item, _ in chosen]
        else:
            sets.append(_pattern_set(chosen))
    return Node(plain, [_key_table(chosen) for chosen in by_key.values()], sets)


_Chosen = list[tuple[Item, Clause]]


def _split(items: list[Item], by_keys: bool) -> tuple[dict[str, _Chosen], list[Item]]:
    """Items by the field of the clause that fewest selectors share, and items that have no such clause."""
    sharing: Counter[tuple[str, object]] = Counter()
    fields: Counter[str] = Counter()
    for item in items:
        for clause in item.usable:
            handles = _handles(clause, by_keys)
            sharing.update((clause.field, handle) for handle in handles)
            fields[clause.field] += bool(handles)

    def cost(clause: Clause) -> tuple[int, int, str]:
        shared = max(sharing[clause.field, handle] for handle in _handles(clause, by_keys))
        return shared, -fields[clause.field], clause.field

    by_field: dict[str, _Chosen] = {}
    rest: list[Item] = []
    for item in items:
        options_ = [clause for clause in item.usable if _handles(clause, by_keys)]
        if options_:
            chosen = min(options_, key=cost)
            by_field.setdefault(chosen.field, []).append((item, chosen))
        else:
            rest.append(item)
    return by_field, rest


def _handles(clause: Clause, by_keys: bool) -> Iterable[Any]:
    return (clause.condition.keys if by_keys else clause.condition.patterns) or ()


def _key_table(chosen: _Chosen) -> KeyTable:
    by_key: dict[Key, list[Item]] = {}
    for item, clause in chosen:
        for key in clause.condition.keys or ():
            by_key.setdefault(key, []).append(item.found_by(clause))
    return KeyTable(chosen[0][1].get, by_key)


def _pattern_set(chosen: _Chosen) -> PatternSet:
    by_pattern: dict[str, list[Item]] = {}
    for item, clause in chosen:
        for pattern in clause.condition.patterns or ():
            by_pattern.setdefault(pattern, []).append(item.found_by(clause))
    return PatternSet(chosen[0][1].get, by_pattern, [item for item, _ in chosen])


def _keys(value: Any) -> Iterable[Key]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple | list):
        return {key for element in value if (key := key_of(element)) is not None}
    key = key_of(value)
    return () if key is None else (key,)
