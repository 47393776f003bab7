"""The end of a task's log as text for people, from the lines that an API gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from remediator.actions.airflow.rows import UNREADABLE
from remediator.actions.airflow.text import MARGIN, Mask, plain

MAX_LINES = 50
MAX_BYTES = 4_096
FRAMES = 3
"""Of a stack trace: the last ones, where the DAG's own code is."""
_SOURCES = "::group::Log message source details"
"""Airflow's own account of where it read the log, at its beginning."""
_FOLD, _FOLD_ENDS = "::group::", "::endgroup::"
_MARKERS = " \t\r^~"
"""A line of nothing else is blank, or points at a place in the line before it."""
_READ_FROM = "*** "
"""How Airflow 2's account begins, line by line. The worker's name stands before it."""
_PLAIN = re.compile(r"(?:\[(?P<at>\d{4}-\d\d-\d\dT[^\]]+)\] \{[^}]*\})? (?P<level>[A-Z]+) - (?P<event>.*)")
"""A line of a log of Airflow 2: '[2026-11-23T06:45:50.707+0000] {taskinstance.py:3337} ERROR - Task failed'."""


class Frame(msgspec.Struct, frozen=True):
    """One place of a stack trace."""

    filename: str = ""
    lineno: int = 0
    name: str = ""


class Raised(msgspec.Struct, frozen=True):
    """One exception of a chain, as Airflow 3 logs it."""

    exc_type: str = ""
    exc_value: str = ""
    frames: tuple[Frame, ...] = ()


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log of Airflow 3. error_detail: the exception first, then what caused it."""

    event: str
    timestamp: str | None = None
    level: str | None = None
    signal_name: str | None = None
    exit_code: int | None = None
    error_detail: tuple[Raised, ...] | None = None


_line = msgspec.json.Decoder(LogLine)


def tail(end: bytes, mask: Mask, *, cut: bool) -> str:
    """The last lines, masked and bounded. end: of the log, lines of JSON or text. cut: it begins inside a line."""
    text = end.decode("utf-8", "replace")
    whole = text.partition("\n")[2] if cut else text
    lines = [line for one in _without_sources(whole.split("\n")) for line in _told(one)]
    if cut and not any(line.strip() for line in lines):
        lines = text.split("\n")
    return _bounded(mask(plain("\n".join(lines)[-MAX_BYTES - MARGIN :])))


def _without_sources(raw: Iterable[str]) -> Iterator[LogLine]:
    """The lines, but for folds and the account of where they come from."""
    within = False
    lines = list(map(_read, raw))
    told = [line.event.startswith((_SOURCES, _READ_FROM)) for line in lines[:2]]
    for line in lines[1:] if told == [False, True] else lines:
        within = line.event.startswith(_SOURCES) or (within and not line.event.startswith(_FOLD_ENDS))
        if not within and not line.event.startswith((_FOLD, _FOLD_ENDS, _READ_FROM)):
            yield line


def _read(raw: str) -> LogLine:
    """A line that is no JSON, or other JSON, is shown as it is, but for one of Airflow 2's."""
    try:
        return _line.decode(raw)
    except UNREADABLE:
        found = _PLAIN.fullmatch(raw.rstrip())
        return LogLine(found["event"], found["at"], found["level"]) if found else LogLine(raw.rstrip())


def _told(line: LogLine) -> list[str]:
    return [_first(line), *(text for raised in reversed(line.error_detail or ()) for text in _trace(raised))]


def _first(line: LogLine) -> str:
    parts: list[Any] = [(line.timestamp or "")[11:19], (line.level or "").upper(), line.event, line.signal_name]
    if line.exit_code is not None:
        parts.append(f"exit code {line.exit_code}")
    return " ".join(str(part) for part in parts if part)


def _trace(raised: Raised) -> list[str]:
    places = [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in raised.frames[-FRAMES:]]
    return [*places, f"{raised.exc_type}: {raised.exc_value}"]


def _bounded(text: str) -> str:
    lines = [line.rstrip() for line in text.split("\n") if line.strip(_MARKERS)]
    kept = "\n".join(lines[-MAX_LINES:]).encode()
    return kept[-MAX_BYTES:].decode(errors="ignore")
