"""The spool: what of a record must be decided on, kept between the reading and the deciding.

In memory up to a bound, then in a temporary file without a name: a recording of any size needs no more memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Self

import msgspec

from remediator.model.event import Event
from remediator.model.time import Instant

IN_MEMORY = 64 * 1024 * 1024
BLOCK = 500


class Seen(msgspec.Struct, array_like=True, gc=False):
    """Events of one record and one deployment. at: virtual time, when it was received; never goes back."""

    at: Instant
    deployment: str
    events: list[Event]


class Spool:
    """Append everything, then walk it as often as wanted."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._file = tempfile.SpooledTemporaryFile(in_memory, prefix="remediator-backtest-")  # noqa: SIM115
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[Seen])
        self._waiting: list[Seen] = []
        self.length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, seen: Seen) -> None:
        """Keep one more."""
        self.length += 1
        self._waiting.append(seen)
        if len(self._waiting) >= BLOCK:
            self._flush()

    def walk(self) -> Iterator[list[Seen]]:
        """Everything in order, in blocks."""
        self._flush()
        self._file.seek(0)
        while head := self._file.read(4):
            yield self._decoder.decode(self._file.read(int.from_bytes(head, "big")))

    def close(self) -> None:
        """Give memory and file free."""
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            body = self._encoder.encode(self._waiting)
            self._file.seek(0, 2)
            self._file.write(len(body).to_bytes(4, "big") + body)
            self._waiting.clear()
