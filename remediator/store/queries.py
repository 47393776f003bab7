"""SQL from files: named statements and numbered migrations. Does nothing to a database."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

NAME = "-- name: "
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def _root() -> Traversable:
    return files("remediator.store")


def load_queries(dialect: str) -> dict[str, str]:
    """Statement name -> SQL, from sql/<dialect>.sql. Comment lines are left out."""
    text = _root().joinpath("sql", f"{dialect}.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split(NAME)[1:])
    return {name.strip(): _without_comments(body) for name, _, body in parts}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def load_migrations(dialect: str) -> list[tuple[int, list[str]]]:
    """(version, statements) of migrations/<dialect>/<version>_<name>.sql, in order."""
    found = [one for one in _root().joinpath("migrations", dialect).iterdir() if one.name.endswith(".sql")]
    return sorted((int(one.name.partition("_")[0]), _statements(one.read_text(encoding="utf-8"))) for one in found)


def _statements(text: str) -> list[str]:
    # A migration holds no trigger and no text constant with a semicolon, so a semicolon ends a statement.
    return [one.strip() for one in _without_comments(text).split(";") if one.strip()]


class Positional(NamedTuple):
    """A statement whose parameters have numbers: the n-th of `parameters` is $n."""

    sql: str
    parameters: tuple[str, ...]


def positional(sql: str) -> Positional:
    """':name' -> '$n'; '::type' stays."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    numbered = PARAMETER.sub(number, sql)
    return Positional(numbered, tuple(names))
