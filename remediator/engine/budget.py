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


def give_back(spent: list[Instant], at: Instant) -> bool:
    """The change of that instant was not made: it counts no more. What was spent since stays when it was."""
    if at not in spent:
        return False
    spent.remove(at)
    return True


def pruned(spent: list[Instant], now: Instant) -> list[Instant]:
    """What can still count."""
    return [at for at in spent if at > now - DAY]


def forget(spent: dict[str, list[Instant]], now: Instant) -> None:
    """Drop the targets of which nothing counts any more. spent: by target, the one of the earliest change first."""
    while spent:
        place, changes = next(iter(spent.items()))
        if pruned(changes[-1:], now):
            return
        del spent[place]


def over_at(spent: list[Instant]) -> Instant:
    """From when on nothing of it counts any more."""
    return max(spent, default=0) + DAY
