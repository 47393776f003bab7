"""Weekly periods: their ends, days over midnight, changes of the clock, and the texts that they are written with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.time import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from remediator.rules.periods import end_of_periods, in_periods, parse_days, parse_minutes, zone_of
from remediator.rules.spec import Period

BERLIN = "Europe/Berlin"
WORK = Period(parse_minutes("08:00"), parse_minutes("18:00"), parse_days("mon-fri"), BERLIN)
NIGHT = Period(parse_minutes("22:00"), parse_minutes("06:00"), parse_days("fri"), "UTC")


def at(text: str) -> Instant:
    return parse_instant(text)


def clock(begin: str, end: str, zone: str = BERLIN) -> tuple[Period]:
    return (Period(parse_minutes(begin), parse_minutes(end, end=True), (), zone),)


@pytest.mark.parametrize(
    ("period", "instant", "expected"),
    [
        (WORK, "2026-11-23T08:00:00+01:00", True),
        (WORK, "2026-11-23T07:59:59.999999+01:00", False),
        (WORK, "2026-11-23T17:59:59.999999+01:00", True),
        (WORK, "2026-11-23T18:00:00+01:00", False),
        (WORK, "2026-07-20T08:00:00+02:00", True),
        (WORK, "2026-11-22T12:00:00+01:00", False),  # a Sunday
        (NIGHT, "2026-11-20T22:00:00Z", True),  # a Friday
        (NIGHT, "2026-11-21T05:59:59Z", True),  # begun on Friday
        (NIGHT, "2026-11-21T06:00:00Z", False),
        (NIGHT, "2026-11-21T22:00:00Z", False),
        (NIGHT, "2026-11-20T05:00:00Z", False),
        (Period(days=(0,)), "2026-11-23T00:00:00Z", True),
        (Period(days=(0,)), "2026-11-24T00:00:00Z", False),
        (Period(480, 480, (0,)), "2026-11-24T07:59:59Z", True),
        (Period(480, 480, (0,)), "2026-11-24T08:00:00Z", False),
    ],
)
def test_a_period_holds_from_its_begin_on_and_no_longer_at_its_end(
    period: Period, instant: str, expected: bool
) -> None:
    assert in_periods((period,), at(instant)) is expected


def test_a_time_that_clocks_skip_is_the_instant_of_the_jump() -> None:
    """2026-03-29 in Berlin: 02:00 CET is 03:00 CEST."""
    jump = at("2026-03-29T01:00:00Z")
    half_past = clock("02:30", "04:00")
    assert not in_periods(half_past, jump - 1)
    assert in_periods(half_past, jump)
    assert end_of_periods(half_past, jump) == at("2026-03-29T04:00:00+02:00")
    until = clock("01:00", "02:30")
    assert in_periods(until, jump - 1)
    assert not in_periods(until, jump)
    inside = clock("02:10", "02:50")
    assert not any(in_periods(inside, jump + minute * MINUTE) for minute in range(-120, 120))


def test_of_a_time_that_comes_twice_the_first_counts() -> None:
    """2026-10-25 in Berlin: 03:00 CEST is 02:00 CET."""
    first, second = at("2026-10-25T02:30:00+02:00"), at("2026-10-25T02:30:00+01:00")
    assert second == first + HOUR
    until = clock("22:00", "02:30")
    assert in_periods(until, first - 1)
    assert not in_periods(until, first)
    assert not in_periods(until, second - 1)  # it does not come back
    since = clock("02:30", "04:00")
    assert not in_periods(since, first - 1)
    assert in_periods(since, first)
    assert in_periods(since, second - MINUTE)  # nor is it broken
    assert end_of_periods(since, first) == first + 2 * HOUR + 30 * MINUTE


def test_a_day_has_as_many_hours_as_clocks_say() -> None:
    sunday = (Period(days=(6,), timezone=BERLIN),)
    long_day, short_day = at("2026-10-25T00:00:00+02:00"), at("2026-03-29T00:00:00+01:00")
    assert end_of_periods(sunday, long_day) - long_day == 25 * HOUR
    assert end_of_periods(sunday, short_day) - short_day == 23 * HOUR


def test_a_jump_over_midnight_and_a_lost_day_break_nothing() -> None:
    assert not in_periods(clock("00:00", "00:30", "Africa/Cairo"), at("2023-04-28T00:00:00+03:00"))  # 00:00 was skipped
    assert in_periods(clock("00:00", "02:00", "Africa/Cairo"), at("2023-04-28T01:00:00+03:00"))
    lost = clock("10:00", "11:00", "Pacific/Apia")  # 2011-12-30 did not happen
    assert not in_periods(lost, at("2011-12-30T09:59:00Z"))
    assert in_periods(lost, at("2011-12-30T20:00:00Z"))


def test_periods_that_follow_each_other_end_together() -> None:
    night_and_morning = (*clock("22:00", "06:00"), *clock("06:00", "08:00"), *clock("07:00", "09:00"))
    assert end_of_periods(night_and_morning, at("2026-11-23T23:00:00+01:00")) == at("2026-11-24T09:00:00+01:00")
    noon = at("2026-11-23T12:00:00+01:00")
    assert end_of_periods(night_and_morning, noon) == noon


def test_a_period_without_end_is_looked_at_again_in_a_week() -> None:
    noon = at("2026-11-23T12:00:00Z")
    assert end_of_periods(clock("00:00", "24:00"), noon) == noon + 7 * DAY


@pytest.mark.parametrize("instant", [-(2**63), 2**63 - 1, -(10**30), 10**30])
def test_no_instant_is_too_far(instant: Instant) -> None:
    everyday = clock("00:00", "24:00")
    assert in_periods(everyday, instant)
    end_of_periods(everyday, instant)


minutes = st.integers(0, 24 * 60 - 1)
periods = st.builds(
    Period,
    minutes,
    st.integers(0, 24 * 60),
    st.lists(st.integers(0, 6), max_size=3, unique=True).map(tuple),
    st.sampled_from(("UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")),
)


@given(st.lists(periods, max_size=3).map(tuple), st.integers(at("2026-03-01T00:00:00Z"), at("2026-11-30T00:00:00Z")))
def test_the_end_is_the_first_instant_outside(some: tuple[Period, ...], instant: Instant) -> None:
    end = end_of_periods(some, instant)
    assert instant <= end <= instant + 7 * DAY
    assert (end > instant) == in_periods(some, instant)
    if instant < end < instant + 7 * DAY:
        assert not in_periods(some, end)
        assert in_periods(some, end - 1)
        step = max((end - instant) // 50, SECOND)
        assert all(in_periods(some, one) for one in range(instant, end, step))


def test_times_and_days_are_read() -> None:
    assert parse_minutes("08:30") == 510
    assert parse_minutes("24:00", end=True) == 1440
    assert parse_days("mon") == (0,)
    assert parse_days(["sat-mon", "wed", "mon"]) == (0, 2, 5, 6)
    assert parse_days("mon-sun") == tuple(range(7))
    assert zone_of("Europe/Berlin").key == "Europe/Berlin"


@pytest.mark.parametrize("text", ["24:00", "8:30", "08:60", "25:00", "0830", "", "08:30\n", "٠٨:٣٠", 8, None])
def test_what_is_no_time_of_the_day_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="time of the day"):
        parse_minutes(text)


@pytest.mark.parametrize("texts", [[], "monday", "mon-", "-mon", "MON", ["mon", 3], 3, None, ["mon"] * 8])
def test_what_is_no_day_is_refused(texts: object) -> None:
    with pytest.raises(ValueError, match="mon"):
        parse_days(texts)


@pytest.mark.parametrize("name", ["Europe/Berln", "", "../UTC", "/etc/passwd", "a\0b", "Europe", 3, None])
def test_what_is_no_zone_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="time zone such as"):
        zone_of(name)


def test_a_mistyped_zone_is_recognised() -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        zone_of("europe/berln")
