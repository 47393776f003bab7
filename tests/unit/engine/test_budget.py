"""Budgets: the edges of sliding periods, and that no rule can raise the cap."""

from __future__ import annotations

import pytest

from remediator.engine.budget import effective, exhausted, pruned
from remediator.model.policy import Budget
from remediator.model.time import DAY, HOUR

NOW = 100 * DAY


@pytest.mark.parametrize(
    ("rule", "cap", "binds"),
    [
        (Budget(), Budget(6, 20), Budget(6, 20)),
        (Budget(3, 7), Budget(6, 20), Budget(3, 7)),
        (Budget(100, 100), Budget(6, 20), Budget(6, 20)),
        (Budget(per_day=2), Budget(per_hour=6), Budget(6, 2)),
    ],
)
def test_the_tighter_limit_binds(rule: Budget, cap: Budget, binds: Budget) -> None:
    assert effective(rule, cap) == binds


def test_a_change_counts_for_exactly_an_hour() -> None:
    limit = Budget(per_hour=1)
    assert exhausted([NOW - HOUR + 1], limit, NOW) == "1 of 1 changes in the last hour are used"
    assert exhausted([NOW - HOUR], limit, NOW) == ""


def test_a_budget_of_nothing_allows_nothing() -> None:
    assert exhausted([], Budget(per_hour=0), NOW) == "0 of 0 changes in the last hour are used"


def test_what_no_period_counts_is_forgotten() -> None:
    assert pruned([NOW - DAY, NOW - DAY + 1, NOW], NOW) == [NOW - DAY + 1, NOW]
