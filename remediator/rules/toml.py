"""TOML text as tables that are read key by key with expected types, every fault kept with its line.

Used for rules, rule tests and configuration alike, so it holds no key of any of them.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from remediator.model.time import Duration, format_duration, parse_duration
from remediator.rules.faults import Fault, Faults
from remediator.rules.lines import Path, locate

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

MAX_BYTES = 4_000_000
"""Largest file that is read."""
MAX_INTEGER = 2**63 - 1
_MAX_SHOWN = 80
_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Document:
    """One parsed file: its data, where each path is, and the faults found while reading it."""

    def __init__(self, file: str, data: dict[str, Any], lines: Mapping[Path, int]) -> None:
        self.file = file
        self.data = data
        self.lines = lines
        self.faults: list[Fault] = []

    def root(self) -> Table:
        """The document's top table."""
        return Table(self, self.data, (), "")

    def line(self, path: Path) -> int:
        """The line of a path, or of its nearest enclosing table."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, place: str, found: str, allowed: str, hint: str = "") -> None:
        """Keep one fault."""
        self.faults.append(Fault(self.file, self.line(path), place, found, allowed, hint))

    def check(self) -> None:
        """Raise Faults if any were kept."""
        if self.faults:
            raise Faults(self.faults)


def parse_document(text: str, file: str) -> Document:
    """TOML text -> Document. Raises Faults with the line of a syntax error."""
    if len(text) > MAX_BYTES:
        raise Faults([Fault(file, 0, "", f"{len(text):,} characters", f"at most {MAX_BYTES:,}")])
    try:
        return Document(file, tomllib.loads(text), locate(text))
    except RecursionError:
        raise Faults([Fault(file, 0, "", "tables nested too deeply", "a few levels")]) from None
    except ValueError as error:
        raise Faults([_syntax_fault(text, file, str(error))]) from None


def decode_document(body: bytes, file: str) -> Document:
    """The bytes of a TOML file -> Document. Raises Faults."""
    try:
        return parse_document(body.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Faults([Fault(file, line, "", f"byte 0x{body[error.start]:02x} that is not UTF-8", "UTF-8")]) from None


def _syntax_fault(text: str, file: str, message: str) -> Fault:
    at = _AT_LINE.search(message)
    line = int(at[1]) if at else text.rstrip().count("\n") + 1
    column = f"column {at[2]}" if at else ""
    return Fault(file, line, column, _AT_LINE.sub("", message), "TOML 1.0")


class Table:
    """A table being read. Each read returns a usable value also after a fault, so that reading goes on.

    A key counts as known once it was asked for; `close` reports the others. `name` is how faults call the table.
    """

    def __init__(self, document: Document, data: dict[str, Any], path: Path, name: str) -> None:
        self.document = document
        self.data = data
        self.path = path
        self.name = name
        self._asked: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.data

    @property
    def line(self) -> int:
        """The line on which the table begins."""
        return self.document.line(self.path)

    def fault(self, key: str, found: str, allowed: str, hint: str = "") -> None:
        """Keep a fault of one key; '' for the table itself."""
        path = (*self.path, key) if key else self.path
        self.document.fault(path, self.place(key), found, allowed, hint)

    def place(self, key: str) -> str:
        """How a fault calls a key of this table."""
        return " ".join(part for part in (self.name, quote_key(key)) if part)

    def raw(self, key: str) -> Any:
        """The value as parsed, None if absent."""
        self._asked[key] = None
        return self.data.get(key)

    def require(self, *keys: str) -> None:
        """Fault for each of the keys that is absent."""
        for key in keys:
            self._asked[key] = None
            if key not in self.data:
                self.fault("", f"no {quote_key(key)}", f"{quote_key(key)} is required")

    def text(self, key: str, default: str = "", *, max_length: int = 1_000, secret: bool = False) -> str:
        """A string. `secret`: no fault shows the value."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            return self._wrong(key, value, "a string", default, secret)
        if len(value) > max_length:
            self.fault(key, f"{len(value):,} characters", f"at most {max_length:,}")
            return default
        return value

    def texts(self, key: str, default: tuple[str, ...] = (), *, max_items: int = 1_000) -> tuple[str, ...]:
        """A string or a list of strings."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return self._wrong(key, value, "a string or a list of strings", default)
        if len(value) > max_items:
            self.fault(key, f"{len(value):,} items", f"at most {max_items:,}")
            return default
        return tuple(value)

    def integer(self, key: str, default: int, low: int = -MAX_INTEGER, high: int = MAX_INTEGER) -> int:
        """A whole number from low to high."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            return self._wrong(key, value, _span("a whole number", low, high), default)
        return value if self._within(key, value, _span("a whole number", low, high), low, high) else default

    def optional_integer(self, key: str, low: int = -MAX_INTEGER, high: int = MAX_INTEGER) -> int | None:
        """A whole number from low to high, None if absent."""
        return self.integer(key, low, low, high) if self.raw(key) is not None else None

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from low to high."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool):
            return self._wrong(key, value, _span("a number", low, high), default)
        return float(value) if self._within(key, value, _span("a number", low, high), low, high) else default

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.raw(key)
        if value is None:
            return default
        return value if isinstance(value, bool) else self._wrong(key, value, "true or false", default)

    def duration(self, key: str, default: Duration, low: Duration, high: Duration) -> Duration:
        """A duration such as '1h30m', from low to high."""
        value = self.raw(key)
        if value is None:
            return default
        allowed = f"a duration from {format_duration(low)} to {format_duration(high)}, such as '30s' or '1h30m'"
        if not isinstance(value, str):
            return self._wrong(key, value, allowed, default)
        try:
            length = parse_duration(value)
        except (ValueError, OverflowError):
            return self._wrong(key, value, allowed, default)
        if not low <= length <= high:
            return self._wrong(key, value, allowed, default)
        return length

    def choice(self, key: str, default: str, allowed: Iterable[str]) -> str:
        """One of the words."""
        value, words = self.raw(key), list(allowed)
        if value is None or value in words:
            return default if value is None else str(value)
        self.fault(key, show(value), listing(words), near(value, words))
        return default

    def enum(self, key: str, default: E) -> E:
        """One of the values of the default's enumeration."""
        kind = type(default)
        return kind(self.choice(key, default.value, [member.value for member in kind]))

    def table(self, key: str) -> Table:
        """A table; an absent one reads as empty, which `in` tells apart."""
        value = self.raw(key)
        if value is not None and not isinstance(value, dict):
            value = self._wrong(key, value, "a table", None)
        return Table(self.document, value or {}, (*self.path, key), self.place(key))

    def tables(self, key: str) -> list[Table]:
        """A list of tables, `[[key]]`."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            return self._wrong(key, value, f"tables, written [[{key}]]", [])
        return [
            Table(self.document, item, (*self.path, key, index), f"{self.place(key)} {index + 1}")
            for index, item in enumerate(value)
        ]

    def table_or_tables(self, key: str, most: int) -> list[Table]:
        """One table, or a list of one to `most` of them."""
        value = self.raw(key)
        if isinstance(value, dict):
            return [self.table(key)]
        if value is not None and not isinstance(value, list):
            return self._wrong(key, value, "a table or a list of tables", [])
        if value is not None and not 0 < len(value) <= most:
            self.fault(key, f"a list of {len(value)}", f"a table, or a list of 1 to {most}")
            return []
        return self.tables(key)

    def close(self) -> None:
        """Fault for every key that nobody asked for."""
        known = list(self._asked)
        for key in self.data:
            if key not in self._asked:
                path = (*self.path, key)
                hint = near(key, known)
                self.document.fault(path, self.name, f"unknown key {quote_key(key)}", listing(known), hint)

    def _within(self, key: str, value: float, allowed: str, low: float, high: float) -> bool:
        fits = low <= value <= high
        if not fits:
            self.fault(key, show(value), allowed)
        return fits

    def _wrong(self, key: str, value: Any, allowed: str, default: T, secret: bool = False) -> T:
        self.fault(key, kind_of(value) if secret else show(value), allowed)
        return default


def show(value: Any) -> str:
    """A value as a fault shows it: as TOML would write it, on one line and not too long."""
    if isinstance(value, str | bool):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict | list):
        return kind_of(value)
    else:
        text = str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def kind_of(value: Any) -> str:
    """What kind of TOML value it is."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a table"
        case None:
            return "null"
        case _:
            return "a date or time"


def listing(words: Iterable[str], most: int = 40) -> str:
    """Words as a fault lists them."""
    shown = sorted(set(words))
    if len(shown) > most:
        return ", ".join(shown[:most]) + f" and {len(shown) - most} more"
    return ", ".join(shown) or "nothing"


def near(word: object, words: Iterable[str], least: float = 0.6) -> str:
    """The nearest of the words, '' if none is near. least: how alike, 0 to 1."""
    if not isinstance(word, str):
        return ""
    return next(iter(difflib.get_close_matches(word[:100].lower(), list(words), n=1, cutoff=least)), "")


def quote_key(key: str) -> str:
    """A key as it is written in TOML, on one line and not too long."""
    return key if not key or _BARE.fullmatch(key) else show(key)


def _span(what: str, low: float, high: float) -> str:
    if high >= MAX_INTEGER:
        return what if low <= -MAX_INTEGER else f"{what} of at least {low:g}"
    return f"{what} from {low:g} to {high:g}"
