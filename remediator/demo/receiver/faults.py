"""What a stand-in can be told to do wrong, and for how many calls. Pure."""

from __future__ import annotations

from collections import deque

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One bad answer.

    status, error, retry_after: what is answered ('' error and status 200: a good answer).
    act: the call takes effect all the same. hang: it is never answered, so that the caller times out.
    """

    status: int = 200
    error: str = ""
    retry_after: int | None = None
    act: bool = False
    hang: bool = False


RATE_LIMITED = Fault(status=429, error="ratelimited", retry_after=1)
INTERNAL_ERROR = Fault(error="internal_error")
INTERNAL_ERROR_AFTER_ACTING = Fault(error="internal_error", act=True)
TIMEOUT_AFTER_ACTING = Fault(hang=True, act=True)
TIMEOUT = Fault(hang=True)
BAD_GATEWAY = Fault(status=502)


class FaultPlan:
    """Faults waiting for the next calls of each method, first in, first out."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(self, method: str, fault: Fault, times: int = 1) -> None:
        """The next `times` calls of `method` that have no fault yet get this one."""
        self._waiting.setdefault(method, deque()).extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        """The fault of this call, if any."""
        waiting = self._waiting.get(method)
        return waiting.popleft() if waiting else None
