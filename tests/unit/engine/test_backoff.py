"""Backoff: grows, stays below its maximum, and its jitter is a function of what is retried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remediator.engine.response import backoff
from remediator.model.ids import stable_id
from remediator.model.time import MINUTE, SECOND
from remediator.rules.spec import Backoff

POLICY = Backoff(initial=30 * SECOND, factor=2, max=10 * MINUTE, jitter=0.2)


@given(st.integers(1, 60), st.text())
def test_it_stays_within_its_jitter(attempt: int, what: str) -> None:
    plain = min(30 * SECOND * 2 ** (attempt - 1), 10 * MINUTE)
    assert 0.8 * plain <= backoff(POLICY, attempt, stable_id(what)) <= 1.2 * plain


@given(st.text())
def test_the_same_cause_waits_the_same(what: str) -> None:
    assert backoff(POLICY, 2, stable_id(what)) == backoff(POLICY, 2, stable_id(what))


def test_different_causes_spread() -> None:
    waits = {backoff(POLICY, 1, stable_id(number)) for number in range(100)}
    assert len(waits) > 90
