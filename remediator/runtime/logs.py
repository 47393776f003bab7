"""The daemon's own log: one line per happening, each under a stable name, bounded, without secrets.

Owns format and bounds. Configures no global state but the handlers of the standard library's root logger.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

TEXT_LIMIT = 4_000
FIELDS_LIMIT = 40
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Name(StrEnum):
    """Names of log lines. Operators alert on them: they may be added to, never changed."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_STOPPING = "daemon.stopping"
    DAEMON_STOPPED = "daemon.stopped"
    DAEMON_FAILED = "daemon.failed"
    HTTP_LISTENING = "http.listening"
    STORE_OPENED = "store.opened"
    STORE_FAILED = "store.failed"
    STORE_PRUNED = "store.pruned"
    STORE_SNAPSHOT = "store.snapshot"
    CLOCK_WRONG = "clock.wrong"
    CLOCK_RIGHT = "clock.right"
    RULES_ACTIVATED = "rules.activated"
    RULES_REJECTED = "rules.rejected"
    FEED_CONNECTED = "feed.connected"
    FEED_LOST = "feed.lost"
    RECORD_DEAD = "record.dead"
    DECISION = "decision"
    ACTION_DONE = "action.done"
    ACTION_REFUSED = "action.refused"
    ACTION_UNKNOWN = "action.unknown"
    INCIDENT_TOLD = "incident.told"
    LIBRARY = "library"


def make_logger(level: str, format_: str, stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger that writes to `stream` (standard error). level: a key of LEVELS; format_: 'json' or 'console'."""
    out = stream or sys.stderr
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[*_common(), _renderer(format_, colors=out.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
    )
    return logger.bind()


def _common() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        bound,
    ]


def _renderer(format_: str, *, colors: bool) -> Processor:
    if format_ == "json":
        return structlog.processors.JSONRenderer(default=repr, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", pad_event_to=24)


def bound(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut long texts and surplus fields, and say so: no event from outside can fill the disk with one line."""
    kept = {key: _cut(value) for key, value in list(event.items())[:FIELDS_LIMIT]}
    for key in ("event", "level", "time"):
        if key in event:
            kept[key] = _cut(event[key])
    if len(kept) < len(event):
        kept["fields_left_off"] = len(event) - len(kept)
    return kept


def _cut(value: Any) -> Any:
    if isinstance(value, bool | int | float | None):
        return value
    text = value.value if isinstance(value, StrEnum) else value if isinstance(value, str) else repr(value)
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}… ({len(text):,} characters)"


class _Bridge(logging.Handler):
    """Hands what libraries log to the daemon's log."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as error:  # a library's arguments may raise whatever they like; its line is told all the same
            text = f"{record.msg!r} ({type(error).__name__})"
        self._logger.log(record.levelno, Name.LIBRARY, library=record.name, text=text, exc_info=record.exc_info)


def capture_libraries(logger: FilteringBoundLogger) -> Callable[[], None]:
    """Send what libraries log from WARNING up to `logger`. Returns what undoes it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [_Bridge(logger)]
    root.setLevel(logging.WARNING)
    kafka = logging.getLogger("aiokafka")
    kafka_level = kafka.level
    kafka.setLevel(logging.CRITICAL)  # it logs every retry; what is wrong with a feed is in `feed.lost`, once

    def undo() -> None:
        root.handlers[:] = before
        root.setLevel(level)
        kafka.setLevel(kafka_level)

    return undo
