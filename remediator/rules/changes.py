"""Steps that change something: the one table of their kinds and keys, and how a step of such a kind is read.

Loader, schema and lint follow the table. Which rule may change anything at all is said by steps and by the policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from remediator.model.time import DAY, SECOND, format_duration, format_instant, parse_instant
from remediator.rules.bounds import is_sound_number
from remediator.rules.lines import Path
from remediator.rules.spec import Backoff, Step
from remediator.rules.template import UnfitTemplateError, compile_template
from remediator.rules.texts import MAX_TEXT, read_template
from remediator.rules.toml import Table, kind_of, quote_key, show

RETRY = "airflow.retry"
MAX_ATTEMPTS = 20
LONGEST_WAIT = 7 * DAY
MAX_SLOTS = 10_000
MAX_REPLICAS = 1_000
MAX_ACTIVE = 16
MAX_LEVELS = 5
MAX_VALUES = 200
MAX_NAME = 200
"""Of tables of values: how deep, how many values, and how long a name."""
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_INSTANT = 'an instant with an offset such as "2026-11-01T00:00:00Z", or a text such as "{event.logical_date}"'


class Key(msgspec.Struct, frozen=True):
    """One key that is a change's own, and so part of `Step.params`.

    kind: 'text' and 'instant' are templates, 'values' a table with templates in it; 'name', 'word' and 'number' are
    taken as written. words: of a word. high: of a number, from `low`. stands_for: the field of the event that is
    taken if the key is absent.
    """

    kind: str
    says: str
    required: bool = False
    words: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    stands_for: str = ""


class Change(msgspec.Struct, frozen=True):
    """One kind of change. keys: its own; shared: those of Step. answers: only for a failure that is final."""

    says: str
    keys: dict[str, Key] = {}
    shared: tuple[str, ...] = ("max_attempts",)
    answers: bool = False


_DAG = Key("text", "The DAG; the event's unless said.", stands_for="dag_id")
_SINCE = Key("instant", "The first logical date; the event's unless said.", stands_for="logical_date")
_UNDONE = ("max_attempts", "undo_after")

CHANGES: dict[str, Change] = {
    RETRY: Change(
        "Clears the failed task and what follows it.",
        {"scope": Key("word", "What is cleared; task unless said.", words=("task", "group", "dagrun"))},
        ("max_attempts", "backoff", "verify"),
        answers=True,
    ),
    "airflow.rerun": Change(
        "Clears the whole dagrun, what succeeded too.", shared=("max_attempts", "verify"), answers=True
    ),
    "airflow.reprocess": Change(
        "Clears the dagruns of a time, and creates those that are missing.",
        {
            "dag_id": _DAG,
            "since": _SINCE,
            "until": Key("instant", "Before which data intervals begin; just after `since` unless said."),
        },
    ),
    "airflow.backfill": Change(
        "Has Airflow backfill a time.",
        {
            "dag_id": _DAG,
            "since": _SINCE,
            "until": Key("instant", "The last logical date; `since` unless said."),
            "reprocess": Key(
                "word", "Which dagruns are run again; failed unless said.", words=("none", "failed", "completed")
            ),
            "max_active": Key("number", "Dagruns at once; 2 unless said.", low=1, high=MAX_ACTIVE),
        },
    ),
    "airflow.trigger": Change(
        "Starts a dagrun.",
        {
            "dag_id": Key("text", "The DAG.", required=True),
            "conf": Key("values", "The dagrun's conf; texts in it are templates."),
            "logical_date": Key("instant", "The dagrun's logical date; none unless said."),
        },
    ),
    "airflow.pause": Change("Stops a DAG from being scheduled.", {"dag_id": _DAG}, _UNDONE),
    "airflow.resume": Change("Lets a DAG be scheduled again.", {"dag_id": _DAG}, _UNDONE),
    "airflow.pool": Change(
        "Gives a pool so many slots.",
        {
            "pool": Key("text", "The pool.", required=True),
            "slots": Key("number", "How many it has then.", required=True, high=MAX_SLOTS),
            "only_if": Key("number", "Nothing is done unless it has so many now.", high=MAX_SLOTS),
        },
        _UNDONE,
    ),
    "airflow.mark": Change(
        "Sets the failed task's state by hand; a person is always asked.",
        {"state": Key("word", "The state.", required=True, words=("success", "failed", "skipped"))},
        answers=True,
    ),
    "kubernetes.scale": Change(
        "Gives a workload so many replicas.",
        {
            "namespace": Key("text", "Where it is.", required=True),
            "kind": Key("word", "What it is.", required=True, words=("Deployment", "StatefulSet")),
            "name": Key("text", "What it is called.", required=True),
            "replicas": Key("number", "How many it has then.", required=True, high=MAX_REPLICAS),
            "only_if": Key("number", "Nothing is done unless it has so many now.", high=MAX_REPLICAS),
        },
        _UNDONE,
    ),
    "http.request": Change(
        "Sends JSON to an endpoint of the configuration.",
        {
            "endpoint": Key("name", "An [[endpoint]] of the configuration.", required=True),
            "body": Key("values", "What is sent; texts in it are templates."),
        },
    ),
}
"""Every kind of change that a step of `do` can be."""


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
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_instant(parse_instant(value.isoformat()))
    if value is not None and (not isinstance(value, str) or ("{" not in value and not _is_instant(value))):
        table.fault(name, show(value), _INSTANT)
        return ""
    return read_template(table, name)


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


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
        if "only_if" in params and params.get(name) == params["only_if"]:
            table.fault("only_if", f"{params['only_if']}, as {name}", f"another number than {name}: it would change none")


def _check_range(table: Table, step: Step) -> None:
    since, until = step.params.get("since"), step.params.get("until")
    if not (isinstance(since, str) and isinstance(until, str) and _is_instant(since) and _is_instant(until)):
        return
    first, last = parse_instant(since), parse_instant(until)
    if last < first or (last == first and step.action == "airflow.reprocess"):
        table.fault("until", f"{show(until)}, which is not after since", "an instant after since")
