"""Budgets: how many changes a task may get in a sliding hour and day. The config's cap binds every rule."""

from __future__ import annotations

from remediator.model.policy import Budget
from remediator.model.time import DAY, HOUR, Instant


def effective(rule: Budget, cap: Budget) -> Budget:
    """The tighter of both, period by period."""
    return Budget(per_hour=_tighter(rule.per_hour, cap.per_hour), per_day=_tighter(rule.per_day, cap.per_day))


def _tighter(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def exhausted(spent: list[Instant], budget: Budget, now: Instant) -> str:
    """'' if one more change is allowed, else the limit that forbids it, in words. Periods are (now - length, now]."""
    for limit, length, name in ((budget.per_hour, HOUR, "hour"), (budget.per_day, DAY, "day")):
        used = sum(1 for at in spent if at > now - length)
        if limit is not None and used >= limit:
            return f"{used} of {limit} changes in the last {name} are used"
    return ""


def pruned(spent: list[Instant], now: Instant) -> list[Instant]:
    """What can still count."""
    return [at for at in spent if at > now - DAY]
