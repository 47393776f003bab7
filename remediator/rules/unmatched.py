"""Failures that no rule answered, grouped by the signature of their error: what a new rule would be worth most for.

Pure. Owns the grouping and how an incident's error text is taken apart again; which failures these are is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from remediator.model.event import ErrorInfo
from remediator.model.time import Instant, format_instant, parse_instant
from remediator.rules.signature import signature

MAX_GROUPS = 5_000
"""Signatures kept apart; what comes after them is counted only."""
MAX_DAGS = 20
MAX_OBSERVERS = 20
EARLIEST: Instant = 0
LATEST: Instant = 253_402_214_400_000_000
"""What lies beyond cannot be printed, and tells of a broken clock."""
CUT = 500
"""Where incidents and histories cut their texts, in characters."""
_TYPE = re.compile(
    r"[A-Za-z_]\w*(?:\.\w+)+|[A-Za-z_]\w*(?:Error|Exception|Warning|Exit|Interrupt|Timeout|Fault|Failure)"
)


class Failure(msgspec.Struct, frozen=True):
    """One final failure, or `count` of them with the same error, first and last seen then.

    observed_by: rules that only observe and would have answered.
    """

    deployment: str
    dag_id: str
    task_id: str
    run_id: str
    error: ErrorInfo
    first: Instant
    last: Instant
    count: int = 1
    observed_by: tuple[str, ...] = ()


class Group(msgspec.Struct):
    """All failures of one signature. dags: 'deployment/dag_id', of which `more_dags` are not listed.

    id: '' for errors that say nothing. example: the latest failure.
    """

    id: str
    template: str
    count: int
    first: Instant
    last: Instant
    dags: list[str]
    example: Failure
    more_dags: int = 0
    observed_by: list[str] = []


class Groups:
    """Takes failures, gives groups. left_off: failures beyond MAX_GROUPS signatures."""

    def __init__(self) -> None:
        self.left_off = 0
        self._groups: dict[str, Group] = {}
        self._dags: dict[str, set[str]] = {}

    def add(self, failure: Failure) -> None:
        """One failure, in any order."""
        found = signature(failure.error)
        group = self._groups.get(found.id)
        if group is None and len(self._groups) >= MAX_GROUPS:
            self.left_off += failure.count
            return
        if group is None:
            group = Group(found.id, found.template, 0, failure.first, failure.last, [], failure)
            self._groups[found.id], self._dags[found.id] = group, set()
        group.count += failure.count
        group.first = min(group.first, failure.first)
        if failure.last >= group.last:
            group.last, group.example = failure.last, failure
        self._note(group, failure)

    def _note(self, group: Group, failure: Failure) -> None:
        dag, dags = f"{failure.deployment}/{failure.dag_id}", self._dags[group.id]
        if dag not in dags and len(dags) < MAX_GROUPS:
            dags.add(dag)
            if len(group.dags) < MAX_DAGS:
                group.dags.append(dag)
            else:
                group.more_dags += 1
        new = [one for one in failure.observed_by if one not in group.observed_by]
        group.observed_by = [*group.observed_by, *new][:MAX_OBSERVERS]

    def most_frequent_first(self) -> list[Group]:
        """Every group; of equally frequent ones the latest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, -group.last, group.id))


def group_view(group: Group) -> dict[str, Any]:
    """A group as JSON, its times as texts."""
    example = group.example
    return {
        "id": group.id,
        "template": group.template,
        "count": group.count,
        "first": _text(group.first),
        "last": _text(group.last),
        "dags": group.dags,
        "more_dags": group.more_dags,
        "observed_by": group.observed_by,
        "example": {
            "deployment": example.deployment,
            "dag_id": example.dag_id,
            "task_id": example.task_id,
            "run_id": example.run_id,
            "type": example.error.type,
            "message": example.error.message,
            "time": _text(example.last),
        },
    }


def group_of(view: Mapping[str, Any]) -> Group:
    """The inverse of group_view. Raises KeyError, TypeError or ValueError for anything else."""
    given, first, last = view["example"], parse_instant(view["first"]), parse_instant(view["last"])
    error = ErrorInfo(given["type"], given["message"])
    place = (given["deployment"], given["dag_id"], given["task_id"], given["run_id"])
    example = Failure(*place, error, first, parse_instant(given["time"]), view["count"])
    group = Group(view["id"], view["template"], view["count"], first, last, list(view["dags"]), example)
    return msgspec.structs.replace(group, more_dags=view["more_dags"], observed_by=list(view["observed_by"]))


def _text(at: Instant) -> str:
    return format_instant(min(max(at, EARLIEST), LATEST))


def error_of(text: str, messages: Iterable[str] = ()) -> ErrorInfo:
    """An incident's 'type: message' taken apart. messages: what is known to be the message, each perhaps cut.

    Without one that fits, what looks like an exception's type before the first colon is taken for it.
    """
    known = list(messages)
    for kind, message in _parts(text):
        if message and any(_is_same(message, one) for one in known):
            whole = next(one for one in known if _is_same(message, one))
            return ErrorInfo(kind or None, max(whole, message, key=len))
    kind, colon, message = text.partition(": ")
    if _TYPE.fullmatch(kind) and len(kind) < CUT:
        return ErrorInfo(kind, message if colon else None)
    return ErrorInfo(None, text or None)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Every way to take the text apart, the whole as message first."""
    yield "", text
    at = text.find(": ")
    while at >= 0:
        yield text[:at], text[at + 2 :]
        at = text.find(": ", at + 2)


def _is_same(message: str, known: str) -> bool:
    """Either may be cut at CUT."""
    if len(message) < CUT // 2 and len(known) < CUT // 2:
        return message == known
    return message.startswith(known) or known.startswith(message)
