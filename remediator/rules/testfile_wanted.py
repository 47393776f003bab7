"""What a timeline expects at a moment: firings, actions with their outcomes, resolutions, decisions, or silence.

Owns the grammar of `expect`. Compares nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, get_args

import msgspec

from remediator.model.action import Change
from remediator.model.reasons import Reason
from remediator.model.time import format_instant, parse_instant
from remediator.rules.spec import Rule
from remediator.rules.testfile_event import check_name
from remediator.rules.toml import Table, kind_of, listing, near, show

SILENCE = "silence"
UNCLASSIFIED = "unclassified"
MAX_WANTED = 100
MAX_TIMES = 10_000
MAX_TEXT = 2_000
RETRY = "airflow.retry"
CHANGES: dict[str, frozenset[str]] = {
    str(kind.__struct_config__.tag): frozenset(kind.__struct_fields__) - {"tasks", "task", "why"}
    for kind in get_args(Change)
}
"""Changes and their own fields."""
ACTIONS = (*CHANGES, "airflow.resume", "page", "notify", "log")
OUTCOMES = ("delivered", "refused", "unknown")
SHAPES = f'"{SILENCE}", or a table with one of action, decided, fired, open, resolved, or a list of these'


class Contains(msgspec.Struct, frozen=True):
    """A text that another one must contain."""

    text: str


class Wanted(msgspec.Struct, frozen=True):
    """One thing that must have happened since the last expectation.

    what: 'fired' (name: the rule), 'action' (its kind), 'resolved' (the rule), 'decided' (the reason), 'open'.
    times: exactly so often; of 'open' how many incidents; None: at least once.
    fields: what it must be like besides, by the names of the same keys in the file; 'per.<field>' for a firing's key.
    """

    what: str
    name: str
    times: int | None
    fields: dict[str, str | Contains]
    line: int


class Names(msgspec.Struct, frozen=True):
    """What expectations may name."""

    rules: Mapping[str, Rule]
    routes: tuple[str, ...]

    @property
    def responders(self) -> list[str]:
        """Whatever may answer."""
        return [UNCLASSIFIED, *self.rules]


def read_wanted(step: Table, names: Names) -> tuple[Wanted, ...] | None:
    """`expect` of a step; None if it has none. Faults are kept."""
    value = step.raw("expect")
    if value is None:
        return None
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MAX_WANTED:
        step.fault("expect", f"a list of {len(items)}", f"{SHAPES}, of 1 to {MAX_WANTED}")
        return ()
    wanted = []
    for index, item in enumerate(items):
        if isinstance(item, dict):
            path = (*step.path, "expect", index) if isinstance(value, list) else (*step.path, "expect")
            number = f" {index + 1}" if isinstance(value, list) else ""
            one = _one(Table(step.document, item, path, step.place("expect") + number), names)
            wanted += [one] if one is not None else []
        elif item != SILENCE:
            step.fault("expect", show(item) if isinstance(item, str) else kind_of(item), SHAPES, near(item, [SILENCE]))
    loud = [one.what for one in wanted if one.what in ("fired", "action", "resolved")]
    if SILENCE in items and loud:
        step.fault("expect", f'"{SILENCE}" with {listing(loud)}', f'"{SILENCE}", with no more than open and decided')
    return tuple(wanted)


def _one(table: Table, names: Names) -> Wanted | None:
    named = [key for key in _READERS if key in table]
    if len(named) != 1:
        for key in table.data:
            table.raw(key)
        found = listing(named) if named else listing(table.data)
        hint = "" if named else next((hint for key in table.data if (hint := near(key, _READERS))), "")
        table.fault("", found, f"exactly one of {listing(_READERS)}", hint)
        return None
    return _READERS[named[0]](table, names)


def _fired(table: Table, names: Names) -> Wanted:
    rule_id = table.text("fired")
    check_name(table, "fired", names.responders, "rule")
    per = table.table("per")
    allowed = names.rules[rule_id].per if rule_id in names.rules else ()
    fields: dict[str, str | Contains] = {f"per.{field}": per.text(field) for field in allowed if field in per}
    for field in allowed:
        per.raw(field)
    per.close()
    return _wanted(table, "fired", rule_id, fields)


def _action(table: Table, names: Names) -> Wanted:
    kind = table.choice("action", "", ACTIONS)
    if not kind:
        return Wanted("action", "", 1, {}, table.line)
    fields = _texts(table, "deployment", "dag_id")
    if table.raw("outcome") is not None:
        fields["outcome"] = table.choice("outcome", OUTCOMES[0], OUTCOMES)
    if kind not in ("page", "notify", "log"):
        return _wanted(table, "action", kind, fields | _texts(table, "run_id") | _of_change(table, kind))
    fields |= _texts(table, "to", "rule", "text", "title", "severity")
    check_name(table, "to", names.routes, "route")
    check_name(table, "rule", names.responders, "rule")
    return _wanted(table, "action", kind, fields)


def _of_change(table: Table, kind: str) -> dict[str, str | Contains]:
    """The tasks of a retry, and under `with` what other changes are made to."""
    fields: dict[str, str | Contains] = {}
    if kind == RETRY and table.raw("tasks") is not None:
        fields["tasks"] = ", ".join(sorted(table.texts("tasks")))
    inner = table.table("with")
    for name in CHANGES.get(kind, CHANGES["airflow.pause"]):
        value = inner.raw(name)
        if value is not None:
            fields[name] = param_text(name, value)
    inner.close()
    return fields


def param_text(name: str, value: Any) -> str:
    """A value of a change as it is compared: moments however they are written, tables whatever their order."""
    if name in ("since", "until", "logical_date"):
        if isinstance(value, datetime):
            value = value.isoformat()
        with suppress(ValueError):
            return format_instant(value if isinstance(value, int) else parse_instant(str(value)))
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _resolved(table: Table, names: Names) -> Wanted:
    rule_id = table.text("resolved")
    check_name(table, "resolved", names.responders, "rule")
    fields: dict[str, str | Contains] = {}
    if table.raw("because") is not None:
        fields["because"] = table.choice("because", "", [reason.value for reason in Reason])
    return _wanted(table, "resolved", rule_id, fields | _texts(table, "title"))


def _decided(table: Table, names: Names) -> Wanted:
    reason = table.choice("decided", Reason.HELPED.value, [reason.value for reason in Reason])
    fields = _texts(table, "rule", "text")
    check_name(table, "rule", names.responders, "rule")
    times = table.optional_integer("times", 0, MAX_TIMES)
    table.close()
    return Wanted("decided", reason, times, fields, table.line)


def _open(table: Table, names: Names) -> Wanted:
    count = table.integer("open", 0, 0, MAX_TIMES)
    table.close()
    return Wanted("open", "", count, {}, table.line)


_READERS: dict[str, Callable[[Table, Names], Wanted]] = {
    "fired": _fired,
    "action": _action,
    "resolved": _resolved,
    "decided": _decided,
    "open": _open,
}


def _wanted(table: Table, what: str, name: str, fields: dict[str, str | Contains]) -> Wanted:
    times = table.integer("times", 1, 1, MAX_TIMES)
    table.close()
    return Wanted(what, name, times, fields, table.line)


def _texts(table: Table, *keys: str) -> dict[str, str | Contains]:
    """Those of the keys that are there: a text that must be the same, or `{ contains = "…" }`."""
    found: dict[str, str | Contains] = {}
    for key in keys:
        if isinstance(table.raw(key), dict):
            inner = table.table(key)
            inner.require("contains")
            found[key] = Contains(inner.text("contains", max_length=MAX_TEXT))
            inner.close()
        elif key in table:
            found[key] = table.text(key, max_length=MAX_TEXT)
    return found
