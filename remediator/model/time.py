"""Instants and durations as whole microseconds: exact, ordered, and the same bytes everywhere.

Owns parsing and printing of both. Never reads a clock: `now` is always an argument elsewhere.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

Instant = int
"""Microseconds since 1970-01-01T00:00:00Z."""
Duration = int
"""Microseconds."""

MILLISECOND: Duration = 1_000
SECOND: Duration = 1_000_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)
_UNITS: dict[str, Duration] = {"ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_instant(text: str) -> Instant:
    """ISO 8601 with offset -> Instant. A text without an offset is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _ONE


def format_instant(at: Instant) -> str:
    """Instant -> '2026-11-22T06:50:35.114288Z'."""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_duration(text: str) -> Duration:
    """'1h30m', '250ms', '20s' -> Duration. Raises ValueError that names what is allowed."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write numbers with ms, s, m, h or d, such as '30s' or '1h30m'")
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def format_duration(length: Duration) -> str:
    """Duration -> the shortest exact text, such as '1h30m'; '0s' for none."""
    if length < 0:
        return "-" + format_duration(-length)
    rest, text = length, ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"
