"""Shares and the loss of events: what is counted, what is much, and how it is written."""

from __future__ import annotations

import pytest

from remediator.model.shares import Loss, percent, share


@pytest.mark.parametrize(
    ("loss", "expected", "of_all", "is_much"),
    [
        (Loss(0, 0), 0, None, False),
        (Loss(50, 10), 50, 0.2, True),
        (Loss(51, 10), 51, 10 / 51, False),
        (Loss(9, 9), 9, 1.0, False),
        (Loss(3, 12), 12, 1.0, True),
    ],
)
def test_a_loss_is_of_the_failures_that_an_event_was_expected_of(
    loss: Loss, expected: int, of_all: float | None, is_much: bool
) -> None:
    assert (loss.expected, loss.share, loss.is_much(10)) == (expected, of_all, is_much)


def test_how_a_share_is_written() -> None:
    assert [percent(one) for one in (None, 0.0, 0.834, 1.0)] == ["-", "0 %", "83 %", "100 %"]
    assert (share(0, 0), share(1, 2)) == (None, 0.333)
