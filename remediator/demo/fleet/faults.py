"""Faults that the stand-in commits on demand: each for one route, a number of times. Pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    """Waits before it acts."""
    STATUS = "status"
    """Answers with a status and does not act."""
    STATUS_AFTER = "status_after"
    """Acts, then answers with a status, as a proxy does that lost its server."""
    DEAF = "deaf"
    """Neither acts nor answers."""
    HANG = "hang"
    """Acts, then never answers."""
    CLOSE = "close"
    """Acts, then breaks the connection in the middle of the answer."""
    GARBAGE = "garbage"
    """Acts, then answers 200 with what is not JSON."""


@dataclass(slots=True)
class Fault:
    """One fault. route: its name, '*' for all; times: how often; skip: calls of the route to let pass first."""

    kind: Kind
    route: str = "*"
    times: int = 1
    skip: int = 0
    status: int = 503
    seconds: float = 0.0
    retry_after: str = ""
    detail: str = ""


class Faults:
    """The faults that are still to come, in the order in which they were added."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let it happen at the next calls of its route."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._waiting.clear()

    def take(self, route: str) -> Fault | None:
        """The fault of this call, used up by asking."""
        for fault in self._waiting:
            if fault.route not in ("*", route) or fault.times <= 0:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            return fault
        return None
