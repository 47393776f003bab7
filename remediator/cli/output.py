"""What commands print: plain text without anything that a terminal would obey, or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

COULD_NOT = 2
FINDINGS = 1


def safe(text: object) -> str:
    """On one line; control characters, which could drive the terminal, become spaces."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def say(text: str = "") -> None:
    """A line on standard output."""
    typer.echo(text)


def say_json(value: Any) -> None:
    """A value as JSON on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def fail(text: str, code: int = COULD_NOT) -> NoReturn:
    """Say on standard error why not, and end."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines; the last column is not padded."""
    if not rows:
        return []
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
