"""Faults of a call, inside this package only: executors turn every one of them into an outcome.

Fault
├── NotSent      nothing reached the scheduler: no connection, no name, no free slot
├── Lost         it may have reached the scheduler, no whole answer came back
└── Answered     the scheduler, or something before it, said no
    └── Unsayable    the deployment's API has no words for it; nothing was sent
"""

from __future__ import annotations

TEXT_LIMIT = 300
"""Characters of a remote text that are kept: enough to recognise it."""


class Fault(Exception):  # noqa: N818  (the tree above names them as what happened)
    """A call that gave no usable answer. `str()` is short, clear and free of secrets."""


class NotSent(Fault):
    """The scheduler cannot have acted on it."""


class Lost(Fault):
    """The scheduler may have acted on it."""


class TooLarge(Lost):
    """More than `max_response_bytes`. Asking again is vain, asking for less may help."""


class Answered(Fault):
    """A status of 300 or above. retry_after_s: what the answer asked for, if it did."""

    def __init__(self, status: int, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"HTTP {status}: {text}" if text else f"HTTP {status}")
        self.status = status
        self.text = text
        self.retry_after_s = retry_after_s


class Unsayable(Answered):
    """Refused by ourselves: API v1 cannot say this, or not without saying more. `str()` is why."""

    def __init__(self, text: str) -> None:
        super().__init__(422, text)

    def __str__(self) -> str:
        """There was no HTTP status."""
        return self.text


BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which a read is worth another try."""


def is_transient(fault: BaseException) -> bool:
    """May a read that ended so be tried again at once?"""
    if isinstance(fault, Answered):
        return fault.status in BUSY
    return isinstance(fault, NotSent | Lost) and not isinstance(fault, TooLarge)


def is_about_deployment(fault: Fault) -> bool:
    """Would every other question to the deployment end in the same way? (403 can be about a single DAG.)"""
    if isinstance(fault, Answered):
        return fault.status in (401, 429) or fault.status >= 500
    return not isinstance(fault, TooLarge)
