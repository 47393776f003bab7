"""Filters, order and pages of the collections, as API v2 has them: by offset, or by key with a cursor. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import QueryParams

from remediator.demo.fleet.bodies import Invalid
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.time import Instant, parse_instant

MAXIMUM_PAGE_LIMIT = 100
TOTAL_ENTRIES_LIMIT = 50_000
RUN_STATES = ("queued", "running", "success", "failed")
_RUN_DATES = ("logical_date", "run_after", "start_date", "end_date", "updated_at")


_T = TypeVar("_T")
Sorted = Callable[[_T], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Paging:
    """cursor: None asks for offsets, '' for the first page by key."""

    limit: int = 50
    offset: int = 0
    order_by: str = "id"
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """One page: rows, how many there are in all, and (next cursor, previous cursor, total_entries_limit)."""

    rows: Sequence[Any]
    total: int
    cursors: tuple[str | None, str | None, int | None]


def paging(query: QueryParams, default_order: str) -> Paging:
    """The paging parameters of a GET. A limit above the maximum is cut without a word."""
    limit = min(int(query.get("limit", "50")), MAXIMUM_PAGE_LIMIT)
    order = query.get("order_by", default_order)
    cursor = query.get("cursor") if "cursor" in query else None
    return Paging(limit, int(query.get("offset", "0")), order, cursor)


def states(query: QueryParams, allowed: Sequence[str]) -> frozenset[str | None]:
    """The wanted states, empty for any. 'none' and 'no_status' stand for null. Raises Invalid."""
    wanted = query.getlist("state")
    if any(state not in (*allowed, "none", "no_status") for state in wanted):
        raise Invalid(f"Invalid value for state. Valid values are {', '.join(allowed)}")
    return frozenset(None if state in ("none", "no_status") else state for state in wanted)


def in_range(moment: Instant | None, query: Mapping[str, str], name: str) -> bool:
    """Does it lie in name_gte, _gt, _lte, _lt?"""
    tests: dict[str, Callable[[Instant, Instant], bool]] = {
        "gte": lambda one, other: one >= other,
        "gt": lambda one, other: one > other,
        "lte": lambda one, other: one <= other,
        "lt": lambda one, other: one < other,
    }
    asked = [(test, text) for bound, test in tests.items() if (text := query.get(f"{name}_{bound}"))]
    return all(moment is not None and test(moment, parse_instant(text)) for test, text in asked)


def instance_key(order_by: str) -> Sorted[tuple[DagRun, TaskInstance]]:
    """The sort key of task instances; id breaks ties."""
    name = order_by.lstrip("-")
    _refuse_unknown(name, ("id", "state", "start_date", "end_date", "map_index", "try_number"))
    return lambda row: (_sortable(getattr(row[1], name)), row[1].id)


def run_key(order_by: str) -> Sorted[DagRun]:
    """The sort key of dagruns; id breaks ties."""
    name = order_by.lstrip("-")
    _refuse_unknown(name, ("id", "state", "dag_id", "run_id", *_RUN_DATES))
    return lambda run: (_sortable(getattr(run, name)), run.id)


def page_of(rows: Iterable[_T], key: Sorted[_T], ask: Paging) -> Slice:
    """One page of the rows in order."""
    ordered = sorted(rows, key=key, reverse=ask.order_by.startswith("-"))
    if ask.cursor is None:
        return Slice(ordered[ask.offset : ask.offset + ask.limit], len(ordered), (None, None, None))
    after = _position(ask.cursor) if ask.cursor else None
    rest = [row for row in ordered if after is None or _is_after(key(row), after, ask)]
    found = rest[: ask.limit]
    following = _cursor(key(found[-1])) if len(rest) > len(found) else None
    previous = _cursor(key(found[0])) if ask.cursor and found else None
    return Slice(found, min(len(ordered), TOTAL_ENTRIES_LIMIT), (following, previous, TOTAL_ENTRIES_LIMIT))


def _is_after(key: tuple[Any, ...], position: tuple[Any, ...], ask: Paging) -> bool:
    return key < position if ask.order_by.startswith("-") else key > position


def _refuse_unknown(name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise ValueError(f"Ordering with '{name}' is disallowed or the attribute does not exist on the model")


def _sortable(value: Any) -> Any:
    return (value is not None, value if value is not None else 0) if not isinstance(value, str) else (True, value)


def _cursor(key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _position(cursor: str) -> tuple[Any, ...]:
    try:
        first, second = json.loads(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError):
        raise ValueError("Invalid cursor token") from None
    return tuple(first), second
