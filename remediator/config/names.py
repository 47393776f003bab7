"""Names of feeds, deployments, receivers and routes: required, plain, each used once; and names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from remediator.rules.toml import Table, listing, near, show

ALLOWED = "letters, digits, '.', '_' and '-', at most 100"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Names:
    """The names of one kind that were read so far, with their lines."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}

    def read(self, table: Table, kind: str) -> str:
        """The table's `name`; from then on faults call the table by it."""
        table.require("name")
        name = table.text("name")
        if "name" in table and isinstance(table.data["name"], str):
            check_name(table, "name", name)
            if name in self._lines:
                table.fault(
                    "name", f"{show(name)}, as on line {self._lines[name]}", f"a name of its own for each {kind}"
                )
            self._lines.setdefault(name, table.line)
            table.name = f"{kind} {show(name)}"
        return name


def check_name(table: Table, key: str, name: str) -> None:
    """Fault unless `name` can be a name."""
    if not _NAME.fullmatch(name):
        table.fault(key, show(name), ALLOWED)


def check_known(table: Table, key: str, name: str, known: Iterable[str], kind: str) -> bool:
    """Fault unless `name` is one of the names that are defined."""
    names = list(known)
    if name in names:
        return True
    allowed = listing(names) if names else f"the name of a {kind}, and none is defined"
    table.fault(key, f"unknown {kind} {show(name)}", allowed, near(name, names))
    return False


def read_file_name(table: Table, key: str, base: Path) -> str:
    """The path of a file that exists, relative names taken from the folder `base`; '' if the key is absent."""
    text = table.text(key)
    if not text:
        return ""
    path = base / text
    if not path.is_file():
        table.fault(key, f'"{text}", which is not a file', "a file, relative to this one")
    return str(path)
