"""Faults of a call, inside this package only: the executor turns every one of them into an outcome.

Fault
├── NotSent      nothing reached the API server
├── Lost         it may have reached the API server, no whole answer came back
└── Answered     the API server, or something before it, said no
"""

from __future__ import annotations


class Fault(Exception):  # noqa: N818  (the tree above names them as what happened)
    """A call that gave no usable answer. `str()` is short, clear and free of secrets."""


class NotSent(Fault):
    """The API server cannot have acted on it."""


class Lost(Fault):
    """The API server may have acted on it."""


class Answered(Fault):
    """A status of 300 or above. retry_after_s: what the answer asked for, if it did."""

    def __init__(self, status: int, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"HTTP {status}: {text}" if text else f"HTTP {status}")
        self.status = status
        self.retry_after_s = retry_after_s
