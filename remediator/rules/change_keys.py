"""How the keys of a change are read: templates, instants, words, numbers and tables of values; every fault kept.

Which keys a change has is said by the table in changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from remediator.model.time import DAY, SECOND, format_duration, parse_instant
from remediator.rules.bounds import is_sound_number
from remediator.rules.changes import CHANGES, LONGEST_WAIT, MAX_ATTEMPTS, Change, Key
from remediator.rules.lines import Path
from remediator.rules.spec import Backoff, Step
from remediator.rules.template import UnfitTemplateError, compile_template
from remediator.rules.texts import MAX_TEXT, read_template
from remediator.rules.toml import Table, kind_of, quote_key, show

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
MAX_LEVELS = 5
MAX_VALUES = 200
MAX_NAME = 200
"""Of tables of values: how deep, how many values, and how long a name."""
_YEARS = range(1970, 3000)
_INSTANT = 'an instant with an offset such as "2026-11-01T00:00:00Z", or a text such as "{event.logical_date}"'


def read_change(table: Table, action: str) -> Step:
    """The step, without what every step has. Keeps faults."""
    change, usual = CHANGES[action], Step(action)
    shared = set(change.shared)
    step = Step(
        action=action,
        params=_params(table, change),
        undo_after=table.duration("undo_after", 0, SECOND, LONGEST_WAIT) if "undo_after" in shared else 0,
        max_attempts=table.integer("max_attempts", 1, 1, MAX_ATTEMPTS) if "max_attempts" in shared else 1,
        backoff=_backoff(table.table("backoff")) if "backoff" in shared else usual.backoff,
        verify=table.duration("verify", usual.verify, SECOND, LONGEST_WAIT) if "verify" in shared else usual.verify,
    )
    _check_only_if(table, step.params)
    _check_range(table, step)
    return step


def _backoff(table: Table) -> Backoff:
    usual = Backoff()
    backoff = Backoff(
        initial=table.duration("initial", usual.initial, SECOND, DAY),
        factor=table.number("factor", usual.factor, 1, 10),
        max=table.duration("max", usual.max, SECOND, DAY),
        jitter=table.number("jitter", usual.jitter, 0, 1),
    )
    if backoff.max < backoff.initial:
        found = f"{format_duration(backoff.initial)} as initial, {format_duration(backoff.max)} as max"
        table.fault("max" if "max" in table else "initial", found, "max no shorter than initial")
    table.close()
    return backoff


# Keys of their own --------------------------------------------------------------------------------------------------


def _params(table: Table, change: Change) -> dict[str, Any]:
    """What is written of the change's own keys."""
    table.require(*(name for name, key in change.keys.items() if key.required))
    read = {name: _READ[key.kind](table, name, key) for name, key in change.keys.items()}
    return {name: value for name, value in read.items() if name in table}


def _read_text(table: Table, name: str, _: Key) -> str:
    if table.data.get(name) == "":
        table.fault(name, "an empty text", "a text")
    return read_template(table, name)


def _read_name(table: Table, name: str, _: Key) -> str:
    text = table.text(name)
    if isinstance(table.data.get(name), str) and not re.fullmatch(NAME_PATTERN, text):
        table.fault(name, show(text), "a name: letters, digits, '.', '_' and '-', at most 100")
    return text


def _read_word(table: Table, name: str, key: Key) -> str:
    return table.choice(name, key.words[0], key.words)


def _read_number(table: Table, name: str, key: Key) -> int:
    return table.integer(name, key.low, key.low, key.high)


def _read_instant(table: Table, name: str, _: Key) -> str:
    """A template, or an instant as ISO 8601 with offset; TOML's own instants become such texts."""
    value = table.raw(name)
    text = value.isoformat() if isinstance(value, datetime) else value
    if text is None or (isinstance(text, str) and _is_instant(text)):
        return text or ""
    if not isinstance(text, str) or "{" not in text:
        table.fault(name, show(value), _INSTANT)
        return ""
    return read_template(table, name)


def _is_instant(text: str) -> bool:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return False
    return at.tzinfo is not None and at.year in _YEARS


def _read_values(table: Table, name: str, _: Key) -> dict[str, Any]:
    values = table.table(name)
    return _Values(values).data if name in table else {}


_READ: dict[str, Callable[[Table, str, Key], Any]] = {
    "text": _read_text,
    "name": _read_name,
    "word": _read_word,
    "number": _read_number,
    "instant": _read_instant,
    "values": _read_values,
}


class _Values:
    """A table that becomes JSON: checked to the last value, each of its texts a template."""

    def __init__(self, table: Table) -> None:
        self.data = table.data
        self._table = table
        self._count = 0
        self._check(table.data, (), 0)
        if self._count > MAX_VALUES:
            table.fault("", f"{self._count:,} values", f"at most {MAX_VALUES}")

    def _check(self, value: Any, path: Path, level: int) -> None:
        self._count += 1
        if isinstance(value, dict | list) and level >= MAX_LEVELS:
            self._fault(path, "a table or list inside others", f"at most {MAX_LEVELS} levels")
        elif isinstance(value, dict):
            for name, item in value.items():
                if len(name) > MAX_NAME:
                    self._fault(path, f"a name of {len(name):,} characters", f"at most {MAX_NAME}")
                self._check(item, (*path, name), level + 1)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._check(item, (*path, index), level + 1)
        elif isinstance(value, str):
            self._check_text(value, path)
        elif not isinstance(value, bool) and not is_sound_number(value):
            found = show(value) if isinstance(value, int | float) else kind_of(value)
            self._fault(path, found, "texts, numbers, true, false, lists and tables of those")

    def _check_text(self, text: str, path: Path) -> None:
        if len(text) > MAX_TEXT:
            self._fault(path, f"{len(text):,} characters", f"at most {MAX_TEXT:,}")
            return
        try:
            compile_template(text)
        except UnfitTemplateError as unfit:
            self._fault(path, unfit.found, unfit.allowed, unfit.hint)

    def _fault(self, path: Path, found: str, allowed: str, hint: str = "") -> None:
        inner = (quote_key(part) if isinstance(part, str) else str(part + 1) for part in path)
        place = " ".join((self._table.name, *inner))
        self._table.document.fault((*self._table.path, *path), place, found, allowed, hint)


# What goes with what ------------------------------------------------------------------------------------------------


def _check_only_if(table: Table, params: dict[str, Any]) -> None:
    for name in ("slots", "replicas"):
        if "only_if" in params and name in params and table.data[name] == table.data["only_if"]:
            found = f"{show(table.data[name])}, as {name}"
            table.fault("only_if", found, f"another number than {name}: from the same one nothing is changed")


def _check_range(table: Table, step: Step) -> None:
    since, until = step.params.get("since"), step.params.get("until")
    if not (isinstance(since, str) and isinstance(until, str) and _is_instant(since) and _is_instant(until)):
        return
    first, last = parse_instant(since), parse_instant(until)
    if last < first or (last == first and step.action == "airflow.reprocess"):
        table.fault("until", f"{show(until)}, which is not after since", "an instant after since")
