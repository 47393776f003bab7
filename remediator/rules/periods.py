"""Weekly recurring times of a zone: whether an instant lies in them, and when they end.

Owns the texts 'HH:MM' and 'mon-fri' and the names of zones. Reads no clock. A period is one unbroken stretch of time
per day on which it begins, also when clocks change: of a local time that comes twice its first coming counts, and
one that is skipped is the instant at which clocks jump over it, so that a period inside the jump does not happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from remediator.model.time import DAY, SECOND, Instant
from remediator.rules.spec import Period
from remediator.rules.toml import near, show

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_OF_DAY = 24 * 60
AHEAD = 7 * DAY
"""How far ahead the end of periods is looked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)
_EARLIEST: Instant = -60_000_000_000 * SECOND
_LATEST: Instant = 250_000_000_000 * SECOND
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Hours(msgspec.Struct, frozen=True):
    """A Period whose zone is known: minutes of the local day, end <= begin over midnight; days: none is every day."""

    begin: int
    end: int
    days: tuple[int, ...]
    zone: ZoneInfo


def parse_minutes(text: object, *, end: bool = False) -> int:
    """'08:30' -> minutes of the day; '24:00' only as an end. Raises ValueError that says what is allowed."""
    if end and text == "24:00":
        return MINUTES_OF_DAY
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a time of the day from '00:00' to " + ("'24:00'" if end else "'23:59'"))
    return int(found[1]) * 60 + int(found[2])


def parse_days(texts: object) -> tuple[int, ...]:
    """'mon', 'mon-fri', 'sat-mon', one or a list -> weekdays, Monday 0, in order. Raises ValueError."""
    some = [texts] if isinstance(texts, str) else texts
    if not isinstance(some, list | tuple) or not 0 < len(some) <= len(DAYS):
        raise ValueError("days or ranges such as 'mon' and 'mon-fri'")
    return tuple(sorted({day for text in some for day in _days(text)}))


def _days(text: object) -> list[int]:
    first, dash, last = text.partition("-") if isinstance(text, str) else ("", "", "")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f"{', '.join(DAYS)} and ranges of them such as 'mon-fri'")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]


def zone_of(name: object) -> ZoneInfo:
    """The zone of a name such as 'Europe/Berlin'. Raises ValueError that says what is allowed."""
    try:
        return ZoneInfo(name)  # type: ignore[arg-type]
    except (ValueError, KeyError, OSError, TypeError, AttributeError):
        hint = near_zone(name)
        raise ValueError(
            "the name of a time zone such as 'Europe/Berlin'" + (f" or {show(hint)}" * bool(hint))
        ) from None


def near_zone(name: object) -> str:
    """The nearest name of a zone, '' if none is near."""
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    return zones.get(near(name, zones), "")


def hours_of(period: Period) -> Hours:
    """The period with its zone. Raises ValueError for an unknown zone."""
    return Hours(period.begin, period.end, period.days, zone_of(period.timezone))


def in_periods(periods: Iterable[Period | Hours], instant: Instant) -> bool:
    """Whether the instant lies in any of them: from its begin on, and no longer at its end."""
    return any(_end_around(_hours(period), _bounded(instant)) is not None for period in periods)


def end_of_periods(periods: Iterable[Period | Hours], instant: Instant) -> Instant:
    """The first instant, from the given one on, that lies in none of them; at most a week ahead."""
    hours = [_hours(period) for period in periods]
    last = _bounded(instant) + AHEAD
    at = _bounded(instant)
    while at < last:
        end = max((found for one in hours if (found := _end_around(one, at)) is not None), default=None)
        if end is None:
            return instant if at == _bounded(instant) else at
        at = end
    return last


def local_time(instant: Instant, zone: ZoneInfo) -> datetime:
    """The time on clocks of the zone; instants beyond what a calendar has are its first or last."""
    return (_EPOCH + timedelta(microseconds=_bounded(instant))).astimezone(zone)


def _hours(period: Period | Hours) -> Hours:
    return period if isinstance(period, Hours) else hours_of(period)


def _bounded(instant: Instant) -> Instant:
    return min(max(instant, _EARLIEST), _LATEST)


def _end_around(hours: Hours, instant: Instant) -> Instant | None:
    """The end of the stretch in which the instant lies, None if it lies in none."""
    today = local_time(instant, hours.zone).date()
    for begins_on in (today, today - timedelta(days=1)):
        if hours.days and begins_on.weekday() not in hours.days:
            continue
        begin, end = _stretch(hours, begins_on)
        if begin <= instant < end:
            return end
    return None


def _stretch(hours: Hours, begins_on: date) -> tuple[Instant, Instant]:
    over_midnight = MINUTES_OF_DAY if hours.end <= hours.begin else 0
    return _instant(begins_on, hours.begin, hours.zone), _instant(begins_on, hours.end + over_midnight, hours.zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> Instant:
    """The first instant at which clocks of the zone show this time or, if they skip it, a later one."""
    wanted = datetime.combine(day, time()) + timedelta(minutes=minutes)
    first, second = (_of_clock(wanted, zone, fold) for fold in (0, 1))
    return first if first <= second else _jump(wanted, zone, second, first)


def _of_clock(shown: datetime, zone: ZoneInfo, fold: int) -> Instant:
    return (shown.replace(tzinfo=zone, fold=fold) - _EPOCH) // _ONE


def _jump(wanted: datetime, zone: ZoneInfo, low: Instant, high: Instant) -> Instant:
    """The first whole second after low, at most high, at which clocks show at least the wanted time."""
    while high - low > SECOND:
        middle = low + (high - low) // SECOND // 2 * SECOND
        if local_time(middle, zone).replace(tzinfo=None) >= wanted:
            high = middle
        else:
            low = middle
    return high
