"""The Retry-After header, as a hostile or broken target may send it: nobody crashes, nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from remediator.actions.airflow import session, verdict
from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.http import answer as http_answer
from remediator.actions.pagerduty import executor as pagerduty
from remediator.actions.retry_after import MOST_S, asked_seconds
from remediator.actions.slack import faults as slack
from remediator.model.outcome import Outcome, RetryAfter
from remediator.model.time import HOUR, SECOND

NOTHING_SAID = [
    None,
    "",
    "-5",
    "+5",
    "1.5",
    "nan",
    "inf",
    "1e9",
    "0x10",
    "٣",
    "²",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "-" + "9" * 5_000,
]
ENDLESS = ["9" * 5_000, "1" + "0" * 400, "99999", "3601"]


@pytest.mark.parametrize("header", NOTHING_SAID)
def test_a_date_and_nonsense_say_nothing(header: str | None) -> None:
    assert asked_seconds(header) is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0), ("7", 7), (" 12 ", 12), ("0" * 5_000 + "9", 9), ("3600", 3_600)]
)
def test_whole_seconds_are_taken(header: str, seconds: int) -> None:
    assert asked_seconds(header) == seconds


@pytest.mark.parametrize("header", ENDLESS)
def test_nobody_waits_longer_than_the_most(header: str) -> None:
    assert asked_seconds(header) == MOST_S


def slack_says(header: str) -> Outcome:
    return slack.outcome_of(429, "ratelimited", header, repeatable=False)


def pagerduty_says(header: str) -> Outcome:
    return pagerduty.outcome_of(429, "", header, "key")


def endpoint_says(header: str) -> Outcome:
    return http_answer.outcome_of(http_answer.Answer(429, "", header), "endpoint", uncertain=False)


def airflow_says(header: str) -> Outcome:
    opened = session.Session(AirflowSettings(deployment="prod", base_url="http://airflow"))
    response = httpx.Response(429, headers={"retry-after": header})
    with pytest.raises(Answered) as told:
        opened._judged(response, b"slow down", cut=False)
    return verdict.look_failed(told.value, uncertain=False)


@pytest.mark.parametrize("says", [slack_says, pagerduty_says, endpoint_says, airflow_says])
@pytest.mark.parametrize("header", [*ENDLESS, *(header for header in NOTHING_SAID if header and header.isascii())])
def test_every_target_is_believed_within_bounds(says: Callable[[str], Outcome], header: str) -> None:
    outcome = says(header)
    assert isinstance(outcome, RetryAfter)
    assert SECOND <= outcome.after <= HOUR
