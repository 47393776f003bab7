"""Instants and durations: exact both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.time import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_survives_its_text(moment: datetime) -> None:
    at = parse_instant(moment.isoformat())
    assert parse_instant(format_instant(at)) == at
    assert at == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-22T08:50:35.114288+02:00", "2026-11-22T06:50:35.114288Z"),
        ("2026-11-22T06:50:35.114288", "2026-11-22T06:50:35.114288Z"),
        ("2026-11-22T06:50:35Z", "2026-11-22T06:50:35.000000Z"),
    ],
)
def test_offsets_are_honoured_and_their_absence_is_utc(text: str, same: str) -> None:
    assert format_instant(parse_instant(text)) == same


@given(st.integers(min_value=0, max_value=400 * DAY // MILLISECOND))
def test_a_duration_survives_its_text(milliseconds: int) -> None:
    length = milliseconds * MILLISECOND
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [("250ms", 250 * MILLISECOND), ("1h30m", HOUR + 30 * MINUTE), ("1.5s", 1_500 * MILLISECOND), ("7d", 7 * DAY)],
)
def test_durations(text: str, length: int) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5x", "-5s", "1h 30m", "5s!", "nan"])
def test_what_is_no_duration_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write numbers with ms, s, m, h or d"):
        parse_duration(text)


def test_a_negative_duration_is_printed_as_one() -> None:
    assert format_duration(-90 * SECOND) == "-1m30s"


def test_no_machine_time_zone_is_involved() -> None:
    there = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert format_instant(parse_instant(there.isoformat())) == "2026-03-28T20:45:00.000000Z"
