"""The codec port: one record becomes events, or it is undecodable. Codecs do no I/O and keep no state."""

from __future__ import annotations

from typing import Protocol

from remediator.model.event import Event
from remediator.model.record import Record
from remediator.model.text import cut

REASON_CHARS = 512
"""A dead letter's reason has to fit a line on a screen."""
MAX_RECORD_BYTES = 4 * 1024 * 1024
"""Default size limit: far above the 8.7 kB of ordinary events and the 1 MB that Kafka allows unless configured."""


class Undecodable(Exception):  # noqa: N818  (a verdict on a record, not a fault of ours)
    """No event can be read from this record. `reason` says why and where, bounded, without the record's values."""

    def __init__(self, reason: str) -> None:
        self.reason = cut(reason, REASON_CHARS)
        super().__init__(self.reason)


class Codec(Protocol):
    """Contract of every codec, for any bytes whatever.

    Texts of an event are free of NUL and lone surrogates, bounded, and masked: every event can be encoded again.
    """

    def decode(self, record: Record) -> list[Event]:
        """The record's events, possibly none (a tombstone needs nothing). Raises Undecodable and nothing else."""
