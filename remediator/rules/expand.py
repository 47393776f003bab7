"""[defaults] and parameters: each [[rule]] as written -> the tables it stands for, faults still at what was written.

Owns what is filled in for whom. Reads no key of a rule but `parameters`; what keys mean is in rule_table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.rules.faults import Fault
from remediator.rules.lines import Path
from remediator.rules.toml import MAX_INTEGER, Document, Table, kind_of, listing, near, quote_key, show

MAX_ROWS = 1_000
MAX_NAMES = 20
MAX_FILLED = 10_000
"""Longest text with parameters, before and after they are filled in."""
MAX_FILLED_OF_RULE = 200_000
MAX_FILLED_OF_FILE = 20_000_000
NO_DEFAULT = ("id", "parameters")
"""Keys that every rule has for itself."""
WITHOUT_SELECTION = ("sequence", "compound")
"""Rules that say elsewhere which events they are about: defaults for `on` and `where` are not theirs."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
HOLE = re.compile(r"\$\{([^{}]*)\}")


class RuleDocument(Document):
    """A file as one rule sees it: faults of keys that [defaults] filled in are the defaults' faults.

    is_row: the rule is one of several that a [[rule]] with parameters stands for.
    """

    def __init__(
        self, document: Document, path: Path, data: dict[str, Any], borrowed: frozenset[str], is_row: bool = False
    ) -> None:
        super().__init__(document.file, document.data, document.lines)
        self._depth = len(path)
        self._borrowed = borrowed
        self.is_row = is_row
        self._unreadable: set[Path] = set()
        self.table = Table(self, data, path, f"rule {int(path[-1]) + 1}")

    def line(self, path: Path) -> int:
        """The line of a path of the rule, or of the default that stands there."""
        return super().line(self._origin(path))

    def fault(self, path: Path, place: str, found: str, allowed: str, hint: str = "") -> None:
        """Keep one fault."""
        if path in self._unreadable:
            return
        if self._origin(path) != path:
            place = f"defaults{place.removeprefix(self.table.name)}"
        super().fault(path, place, found, allowed, hint)

    def set_aside(self, paths: set[Path]) -> None:
        """Keep no fault of these texts from now on: theirs is kept already."""
        self._unreadable = paths

    def distinct(self) -> Iterator[tuple[tuple[int, str, str, str], Fault]]:
        """The faults, each with what is the same for every rule of the same [[rule]]."""
        for fault in self.faults:
            yield (fault.line, fault.place.removeprefix(self.table.name), fault.found, fault.allowed), fault

    def _origin(self, path: Path) -> Path:
        depth = self._depth
        return ("defaults", *path[depth:]) if len(path) > depth and path[depth] in self._borrowed else path


class Expansion:
    """What one file's [[rule]]s stand for. Faults of defaults and parameters themselves are kept in its document."""

    def __init__(self, root: Table, known: tuple[str, ...]) -> None:
        self._root = root
        self._defaults = _defaults(root, known)
        self._written = root.tables("rule")
        self._rows = [_rows(table) for table in self._written]
        self._room = FillRoom()

    @property
    def size(self) -> int:
        """How many rules the file stands for."""
        return sum(1 if rows is None else len(rows) for rows in self._rows)

    @property
    def is_whole(self) -> bool:
        """Whether every [[rule]] can be expanded."""
        return not self._room.is_short and all(rows != [] for rows in self._rows)

    def rules(self) -> Iterator[list[RuleDocument]]:
        """The rules of each [[rule]], in the order of the file and of its rows."""
        for table, rows in zip(self._written, self._rows, strict=True):
            yield self._rules_of(table, rows)

    def _rules_of(self, table: Table, rows: list[dict[str, Any]] | None) -> list[RuleDocument]:
        data = {key: value for key, value in table.data.items() if key != "parameters"}
        fitting = self._fitting_defaults(data)
        data |= fitting
        if rows == []:
            return []
        names, borrowed = rows[0] if rows else {}, frozenset(fitting)
        unreadable = _check_holes(table, data, names, borrowed)
        filled = self._filled(table, data, rows, borrowed) if rows else [data]
        found = [RuleDocument(self._root.document, table.path, one, borrowed, rows is not None) for one in filled]
        for document in found:
            document.set_aside(unreadable)
        return found if _are_ids_apart(table, [one.get("id") for one in filled]) else found[:1]

    def _filled(
        self, table: Table, data: dict[str, Any], rows: list[dict[str, Any]], borrowed: frozenset[str]
    ) -> list[dict[str, Any]]:
        """The rule for each row, as far as there is room for their texts."""
        filled: list[dict[str, Any]] = []
        for number, row in enumerate(rows, 1):
            try:
                filled.append(Filling(data, row, table.path, self._room).whole())
            except TooLongError as long:
                self._room.is_short = True
                document = _as_one_rule(table, data, borrowed)
                place = f"{_place(document.table, long.path)} (row {number})"
                document.fault(long.path, place, long.found, long.allowed)
                table.document.faults += document.faults
                break
        return filled

    def _fitting_defaults(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults for what the rule does not say. An `on` is none for a rule that selects by steps or rules."""
        elsewhere = any(key in data or key in self._defaults for key in WITHOUT_SELECTION)
        return {
            key: value
            for key, value in self._defaults.items()
            if key not in data and not (elsewhere and key in ("on", "where"))
        }


def _defaults(root: Table, known: tuple[str, ...]) -> dict[str, Any]:
    table = root.table("defaults")
    allowed = [key for key in known if key not in NO_DEFAULT]
    for key in table.data:
        if key in NO_DEFAULT:
            table.fault(key, f"{key} in [defaults]", "a key that rules can share; this one is each rule's own")
        elif key not in allowed:
            table.fault("", f"unknown key {quote_key(key)}", listing(allowed), near(key, allowed))
    return {key: value for key, value in table.data.items() if key in allowed}


def _rows(table: Table) -> list[dict[str, Any]] | None:
    """The rows of parameters: None if the rule has no parameters, empty if there is a fault in them."""
    if "parameters" not in table:
        return None
    before = len(table.document.faults)
    tables = table.table_or_tables("parameters", MAX_ROWS)
    for row in tables:
        _check_row(row, tables[0])
    return [row.data for row in tables] if len(table.document.faults) == before else []


def _check_row(row: Table, first: Table) -> None:
    if not 0 < len(row.data) <= MAX_NAMES:
        row.fault("", f"{len(row.data)} names", f"1 to {MAX_NAMES}")
    if row.data.keys() != first.data.keys():
        row.fault("", f"the names {listing(row.data)}", f"the same in all rows: {listing(first.data)}")
    for name, value in row.data.items():
        if not _NAME.fullmatch(name):
            row.fault(name, "a bad name", "letters, digits, '_' and '-', such as 'dag'")
        if not _is_value(value) and not (isinstance(value, list) and all(map(_is_value, value))):
            row.fault(name, kind_of(value), "a string, a number, true, false or a list of those")


def _is_value(value: Any) -> bool:
    return isinstance(value, str | bool | float) or (isinstance(value, int) and abs(value) <= MAX_INTEGER)


# Filling in ---------------------------------------------------------------------------------------------------------


class TooLongError(Exception):
    """More text than there is room for. path: of the text at which it was noticed."""

    def __init__(self, path: Path, most: int, whose: str) -> None:
        self.path = path
        self.found = f"more than {most:,} characters {whose}"
        self.allowed = f"at most {most:,}, parameters filled in"
        super().__init__(self.found)


class FillRoom:
    """How much text the rules of a file hold already; only texts with parameters are counted."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_short = False


class Filling:
    """One row's values in every text of a rule; a text that is one ${name} takes that value with its type."""

    def __init__(self, data: dict[str, Any], row: Mapping[str, Any], path: Path, room: FillRoom) -> None:
        self._data = data
        self._row = row
        self._values = {name: _written(value) for name, value in row.items() if not isinstance(value, list)}
        self._path = path
        self._room = room
        self._taken = 0

    def whole(self) -> dict[str, Any]:
        """The rule. Raises TooLongError before a text is built that there is no room for."""
        return {key: self._fill(value, (*self._path, key)) for key, value in self._data.items()}

    def _fill(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else value
        if isinstance(value, dict):
            return {key: self._fill(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: Path) -> Any:
        whole = HOLE.fullmatch(text)
        if whole and whole[1] in self._row:
            return self._row[whole[1]]
        self._take(len(text), path)
        values = self._values
        self._take(sum(len(values.get(hole[1], "")) for hole in HOLE.finditer(text)), path)
        return HOLE.sub(lambda hole: values.get(hole[1], hole[0]), text)

    def _take(self, length: int, path: Path) -> None:
        self._taken += length
        self._room.taken += length
        for taken, most, whose in (
            (length, MAX_FILLED, "in a text"),
            (self._taken, MAX_FILLED_OF_RULE, "in texts of the rule"),
            (self._room.taken, MAX_FILLED_OF_FILE, "in texts of the file"),
        ):
            if taken > most:
                raise TooLongError(path, most, whose)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_holes(table: Table, data: dict[str, Any], row: Mapping[str, Any], borrowed: frozenset[str]) -> set[Path]:
    """Faults for names that are unknown, unused, or used where they cannot be filled in. The paths of such texts."""
    document = _as_one_rule(table, data, borrowed)
    unfit, used = set(), set()
    for path, text, is_key in texts_in(data, table.path):
        for hole in {hole[0]: hole for hole in HOLE.finditer(text)}.values():
            used.add(hole[1])
            trouble = _trouble(hole, row, is_key)
            if trouble is not None:
                document.fault(path, _place(document.table, path), *trouble)
                unfit.add(path)
    for name in [name for name in row if name not in used]:
        allowed = f"${{{name}}} in a text of the rule, or no such name"
        document.fault((*table.path, "parameters"), document.table.place("parameters"), f"{name}, unused", allowed)
    table.document.faults += document.faults
    return unfit


def _as_one_rule(table: Table, data: dict[str, Any], borrowed: frozenset[str]) -> RuleDocument:
    document = RuleDocument(table.document, table.path, data, borrowed)
    document.table.name = f"rule {show(data['id'])}" if isinstance(data.get("id"), str) else table.name
    return document


def _place(table: Table, path: Path) -> str:
    inner = path[len(table.path) :]
    return " ".join((table.name, *(quote_key(part) if isinstance(part, str) else str(part + 1) for part in inner)))


def _trouble(hole: re.Match[str], row: Mapping[str, Any], is_key: bool) -> tuple[str, str, str] | None:
    name = hole[1]
    if is_key:
        return f"{hole[0]} in a key", "parameters in texts only", ""
    if name not in row:
        allowed = listing(f"${{{known}}}" for known in row) if row else "${name} of a name in parameters"
        return f"unknown parameter {hole[0]}", allowed, near(name, row)
    if isinstance(row[name], list) and hole[0] != hole.string:
        return f"{hole[0]}, a list, inside a text", f'"{hole[0]}" alone', ""
    return None


def texts_in(value: Any, path: Path) -> Iterator[tuple[Path, str, bool]]:
    """Every text in the value, with its path and whether it is a key."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), key, True
            yield from texts_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_in(item, (*path, index))


def _are_ids_apart(table: Table, ids: list[Any]) -> bool:
    rows: dict[str, int] = {}
    for number, rule_id in enumerate(map(str, ids), 1):
        if rule_id in rows:
            found = f'"{rule_id}" for rows {rows[rule_id]} and {number}'
            table.fault("id", found, "another id for each row, such as 'late-${dag}'")
            return False
        rows[rule_id] = number
    return True
