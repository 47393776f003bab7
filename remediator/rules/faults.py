"""User faults: what is wrong in a file somebody wrote, where, and what is allowed instead.

Owns their rendering and the exception that carries all of them at once. Knows no file format.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """One fault. line: 1-based, 0 for the file as a whole; place: such as 'rule "x" where.owner'; hint: a near name."""

    file: str
    line: int
    place: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = f"{self.place}: " if self.place else ""
        hint = f" (did you mean {self.hint}?)" if self.hint else ""
        return f"{where}: {place}found {self.found}; allowed: {self.allowed}{hint}"


class Faults(Exception):  # noqa: N818 - the plural is the point: every fault at once
    """All faults of all files read together, in the order of file and line. Its text has one line each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(sorted(set(faults)))
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)
