"""Shares: how much of something, and how it is written. Also the one that says whether a feed may lose events."""

from __future__ import annotations

import msgspec

LOST_SHARE = 0.2
"""From so many unannounced failures on, of all of them, a feed may lose events."""


class Loss(msgspec.Struct, frozen=True):
    """Final failures of a deployment in one hour, and how many of them no event announced.

    A failure that was counted as unannounced may be of an hour in which the failure itself was not counted any more, so
    that there are at least as many failures as unannounced ones.
    """

    failures: int
    unannounced: int

    @property
    def expected(self) -> int:
        """Failures of which an event was to be expected."""
        return max(self.failures, self.unannounced)

    @property
    def share(self) -> float | None:
        """None of no failure."""
        return self.unannounced / self.expected if self.expected else None

    def is_much(self, at_least: int) -> bool:
        """Is it more than tasks that are killed explain? at_least: so few say nothing."""
        return self.unannounced >= at_least and self.unannounced >= LOST_SHARE * self.expected


def share(helped: int, in_vain: int) -> float | None:
    """Of what has ended with a proof or without, how much helped; None of nothing."""
    ended = helped + in_vain
    return round(helped / ended, 3) if ended else None


def percent(share: float | None) -> str:
    """'83 %', or '-' of nothing."""
    return "-" if share is None else f"{share * 100:.0f} %"
