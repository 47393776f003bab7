"""Which events: `on`, `where`, the sets of [define] and their `use`, and the fields of `per` and `group`.

Owns how named sets of clauses become part of a `where` table. What clauses mean is in clauses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from remediator.rules.circles import find_circles
from remediator.rules.clauses import COMBINATIONS, MAX_LEVELS, Report, compile_where, group_names
from remediator.rules.conditions import Lookup
from remediator.rules.expand import HOLE, texts_in
from remediator.rules.fields import FIELDS, field_of, getter_of
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob
from remediator.rules.lines import Path
from remediator.rules.spec import Selector
from remediator.rules.toml import Table, listing, near, quote_key, show

MAX_ON = 100
MAX_TYPE = 200
MAX_FIELDS = 5
MAX_SETS = 200
MAX_CLAUSES = 2_000
"""Of one rule or set, what its sets stand for filled in."""
MAX_CLAUSES_OF_FILE = 100_000
STAND_IN = ("subject", "*")
"""For a set that could not be filled in and has a fault of its own."""
TYPE_PATTERN = r"[A-Za-z0-9_.*?\[\]!:/-]+"

_TYPE = re.compile(TYPE_PATTERN)


class TooManyClausesError(Exception):
    """More clauses or levels than there is room for. path: where in the table it was noticed."""

    def __init__(self, path: Path, found: str, allowed: str) -> None:
        self.path = path
        self.found = found
        self.allowed = allowed
        super().__init__(found)


class Room:
    """How many clauses a rule or set may have. Counted while sets are filled in, so that this ends early."""

    def __init__(self, file: Room | None = None, most: int = MAX_CLAUSES, whose: str = "") -> None:
        self._file = file
        self._most = most
        self._whose = whose
        self.taken = 0
        self.levels = 0
        self.is_unsound = False

    def take(self, clauses: int, path: Path, levels: int) -> None:
        """Raises TooManyClausesError. levels: of `any`, `all` and `not`, how deep they are."""
        self.taken += clauses
        self.levels = max(self.levels, levels)
        if self.taken > self._most:
            allowed = f"at most {self._most:,}, those of the sets it uses included"
            raise TooManyClausesError(path, f"more than {self._most:,} clauses{self._whose}", allowed)
        if self._file is not None:
            self._file.take(clauses, path, 0)


class Defines:
    """The sets of clauses of one file, [define.<name>], checked; they may use each other."""

    def __init__(self, root: Table) -> None:
        table = root.table("define")
        before = len(root.document.faults)
        if len(table.data) > MAX_SETS:
            root.fault("define", f"{len(table.data):,} sets", f"at most {MAX_SETS}")
        self._raw: dict[Any, Any] = table.data
        self._tables = {name: table.table(name) for name in list(table.data)[:MAX_SETS]}
        self._sets: dict[str, dict[str, Any]] = {}
        self._rooms: dict[str, Room] = {}
        self._file = Room(None, MAX_CLAUSES_OF_FILE, " in all rules of the file")
        self._room = Room(self._file)
        uses = {name: [*_names_used(one.data)] for name, one in self._tables.items()}
        for circle in find_circles(uses):
            self._tables[circle[0]].fault("use", f"a circle: {' -> '.join((*circle, circle[0]))}", "sets without one")
        self._fill_in(uses)
        self._are_sound = False
        for one in self._tables.values():
            self._room = Room()
            self._check(one)
        self._are_sound = len(root.document.faults) == before

    def begin_rule(self) -> None:
        """What `where` is asked for from now on is another rule's."""
        self._room = Room(self._file)

    def where(self, table: Table, lookup: Lookup = field_of, names: Iterable[str] = FIELDS) -> dict[str, Any]:
        """A `where` table with the sets that it uses filled in, its clauses checked.

        lookup: the fields there are; names: those of them that faults list.
        """
        report = _reporter(table)
        try:
            expanded = self._expand(table.data, report, (), 0, self._room)
        except TooManyClausesError as many:
            report(many.path, many.found, many.allowed, "")
            return dict(table.data)

        def report_written(path: Path, found: str, allowed: str, hint: str) -> None:
            if self._are_sound or _is_in(table.data, path):
                report(path, found, allowed, hint)

        compile_where(expanded, report_written, lookup, names)
        return expanded

    def _fill_in(self, uses: Mapping[str, Iterable[str]]) -> None:
        """Fill in every set, those first that others use."""
        for name in _order({name: set(used) & self._tables.keys() for name, used in uses.items()}):
            room = Room()
            try:
                filled = self._expand(self._tables[name].data, _ignore, (), 0, room)
            except TooManyClausesError:
                continue
            if room.levels <= MAX_LEVELS and not room.is_unsound:
                self._sets[name], self._rooms[name] = filled, room

    def _check(self, table: Table) -> None:
        if self._raw.get(table.path[-1]) == {}:
            table.fault("", "an empty set", "one or more clauses, as in where")
        for path, text, _ in texts_in(table.data, ()):
            hole = HOLE.search(text)
            if hole is not None:
                allowed = "parameters in rules only"
                table.document.fault((*table.path, *path), table.name, f"{show(hole[0])[1:-1]} in a set", allowed)
        self.where(table)

    def _expand(self, data: Mapping[str, Any], report: Report, path: Path, depth: int, room: Room) -> dict[str, Any]:
        expanded = {}
        for key in data:
            if key != "use":
                room.take(1, (*path, key), depth + (key in COMBINATIONS))
                expanded[key] = self._inner(key, data[key], report, (*path, key), depth, room)
        if "use" in data:
            for name in self._known(data["use"], report, (*path, "use")):
                size = self._rooms.get(name)
                if size is None:
                    room.is_unsound = True
                    expanded.setdefault(*STAND_IN)
                    continue
                if depth + size.levels > MAX_LEVELS:
                    found = f"{show(name)}, with which it has {depth + size.levels} levels"
                    allowed = f"at most {MAX_LEVELS} levels of any, all and not"
                    raise TooManyClausesError((*path, "use"), found, allowed)
                room.take(max(size.taken, 1), (*path, "use"), depth + size.levels)
                merge(expanded, self._sets[name])
        return expanded

    def _inner(self, key: str, value: Any, report: Report, path: Path, depth: int, room: Room) -> Any:
        """Tables under `not`, `any` and `all` are where tables too; what has another shape stays as it is."""
        if depth >= MAX_LEVELS:
            return value
        if key == "not" and isinstance(value, dict):
            return self._expand(value, report, path, depth + 1, room)
        if key in ("any", "all") and isinstance(value, list):
            return [
                self._expand(item, report, (*path, index), depth + 1, room) if isinstance(item, dict) else item
                for index, item in enumerate(value)
            ]
        return value

    def _known(self, value: Any, report: Report, path: Path) -> list[str]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            report(path, show(value), "the name of a set in [define], or a list of names", "")
            return []
        for name in names[:MAX_SETS]:
            if name not in self._tables:
                allowed = listing(self._tables) if self._tables else "a set in [define], and this file has none"
                report(path, f"unknown set {show(name)}", allowed, near(name, self._tables))
        if len(names) > MAX_SETS:
            report(path, f"{len(names):,} sets", f"at most {MAX_SETS}", "")
        return [name for name in names[:MAX_SETS] if name in self._tables]


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add clauses that must hold too. A field that is there already gets both, as a table under `all`."""
    both = {}
    for key, value in more.items():
        if key == "all" and isinstance(value, list) and isinstance(into.get("all", []), list):
            into["all"] = [*into.get("all", []), *value]
        elif key not in into:
            into[key] = value
        elif into[key] != value:
            both[key] = value
    if both and both not in into.get("all", []):
        into["all"] = [*into.get("all", []), both]


def names_of_groups(where: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that its patterns give, each as often as they give it. Compiles only what may have any."""
    return (
        group_names(compile_where(where, _ignore)) if any("(?P<" in text for _, text, _ in texts_in(where, ())) else ()
    )


def _order(uses: dict[str, set[str]]) -> list[str]:
    """The names without those in circles, each after those that it uses."""
    while True:
        try:
            return [name for name in TopologicalSorter(uses).static_order() if name in uses]
        except CycleError as circle:
            uses = {name: used for name, used in uses.items() if name not in circle.args[1]}


def _names_used(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        use = data.get("use")
        yield from [use] if isinstance(use, str) else filter(_is_text, use) if isinstance(use, list) else ()
        for key in ("not", "any", "all"):
            yield from _names_used(data.get(key))
    elif isinstance(data, list):
        for item in data:
            yield from _names_used(item)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_in(data: Any, path: Path) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _ignore(path: Path, found: str, allowed: str, hint: str) -> None:
    """Faults of a set are reported where it stands, not where it is used."""


def _reporter(table: Table) -> Report:
    def report(path: Path, found: str, allowed: str, hint: str) -> None:
        place = " ".join((table.name, *(quote_key(part) if isinstance(part, str) else str(part + 1) for part in path)))
        table.document.fault((*table.path, *path), place, found, allowed, hint)

    return report


# Types and fields ---------------------------------------------------------------------------------------------------


def read_selector(table: Table, defines: Defines) -> Selector:
    """A table of `on` and `where`."""
    table.require("on")
    selector = Selector(read_on(table), defines.where(table.table("where")))
    table.close()
    return selector


def read_on(table: Table) -> tuple[str, ...]:
    """`on`: one event type or a list; globs too."""
    types = table.texts("on", max_items=MAX_ON)
    if table.data.get("on") == []:
        table.fault("on", "an empty list", "event types such as 'task.failed_finally'")
    for one in types:
        if len(one) > MAX_TYPE or not _TYPE.fullmatch(one) or not _is_sound_glob(one):
            table.fault("on", show(one), "event types such as 'task.failed_finally' or 'check.*'")
    return types


def _is_sound_glob(text: str) -> bool:
    try:
        return not is_glob(text) or bool(compile_pattern(glob_pattern(text)))
    except ValueError:
        return False


def read_fields(table: Table, key: str) -> tuple[str, ...]:
    """Names of fields that make a key: at most MAX_FIELDS, each once."""
    fields = table.texts(key, max_items=MAX_FIELDS)
    for field in fields:
        check_field(table, key, field)
    if len(set(fields)) < len(fields):
        table.fault(key, "a field twice", "each field once")
    return fields


def check_field(table: Table, key: str, field: str) -> None:
    """Fault unless events have such a field."""
    if getter_of(field) is None:
        table.fault(key, f"unknown field {show(field)}", f"{listing(FIELDS)}, attributes.<path>", near(field, FIELDS))
