"""Lines of a recording into events: recorded records, plain events of any codec, or events by our own field names.

Owns telling these forms apart. Reads no file itself; a line that cannot be read becomes a reason, never an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from remediator.codecs.masking import mask
from remediator.codecs.port import REASON_CHARS, Codec, Undecodable
from remediator.model.event import Event
from remediator.model.record import Record
from remediator.model.time import MILLISECOND, Instant, parse_instant

LATEST: Instant = 253_402_214_400_000_000
"""The end of the year 9999: what lies beyond cannot be printed."""
_RECORD_MARK = b'"timestamp_ms"'

Decode = Callable[[Record], list[Event] | str]
"""Record -> its events, or the reason why it is a dead letter."""


def decoding(codec: Codec) -> Decode:
    """A codec as a function whose refusals are values."""

    def decode(record: Record) -> list[Event] | str:
        try:
            return codec.decode(record)
        except Undecodable as error:
            return error.reason

    return decode


class Read(msgspec.Struct, gc=False):
    """What one record says. at: when it was received, 0 if the record does not say; reason: why it cannot be read."""

    at: Instant
    topic: str
    events: list[Event]
    reason: str = ""


class _Line(msgspec.Struct, gc=False):
    """A recorded record whose value is text, as the project's own recordings are."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: str | None = None


class _AnyLine(msgspec.Struct, gc=False):
    """The same with a value that stands for its own text."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: msgspec.Raw = msgspec.Raw(b"null")


class LineReader:
    """Reads one line at a time; keeps nothing."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._text = msgspec.json.Decoder(_Line)
        self._raw = msgspec.json.Decoder(_AnyLine)
        self._own = msgspec.json.Decoder(dict[str, Any])

    def line(self, line: bytes) -> Read:
        """A line of a file, in any of the three forms."""
        try:
            wire = self._text.decode(line)
        except msgspec.ValidationError:
            return self._other(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            return _unread(str(error) or "nested too deeply")
        value = None if wire.value is None else wire.value.encode("utf-8", "surrogatepass")
        return self.record(Record(wire.topic, wire.partition, wire.offset, _instant(wire.timestamp_ms), None, value))

    def record(self, record: Record) -> Read:
        """A record, as a source hands it over."""
        events = self._decode(record)
        if isinstance(events, str):
            return Read(max(record.timestamp, 0), record.topic, [], events)
        return Read(_received(record.timestamp, events), record.topic, events)

    def _other(self, line: bytes) -> Read:
        try:
            wire = self._raw.decode(line)
        except msgspec.ValidationError as error:
            return _unread(str(error)) if _RECORD_MARK in line else self._plain(line)
        body = bytes(wire.value)
        value = None if body == b"null" else body
        return self.record(Record(wire.topic, wire.partition, wire.offset, _instant(wire.timestamp_ms), None, value))

    def _plain(self, line: bytes) -> Read:
        found = self.record(Record("", 0, 0, 0, None, line))
        return found if not found.reason else self._by_our_names(line) or found

    def _by_our_names(self, line: bytes) -> Read | None:
        """An event with the fields that rules use, as rule tests have them: {"type": …, "time": …, "dag_id": …}."""
        try:
            table = self._own.decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if "type" not in table or "time" not in table or "specversion" in table:
            return None
        try:
            if isinstance(table["time"], str):
                table["time"] = parse_instant(table["time"])
            event = msgspec.convert(table, Event)
        except (ValueError, OverflowError) as error:
            return _unread(f"an event by our field names: {error}")
        return Read(_received(0, [event]), "", [event])


def _instant(timestamp_ms: int) -> Instant:
    """Out of range counts as not said."""
    at = timestamp_ms * MILLISECOND
    return at if 0 < at <= LATEST else 0


def _received(at: Instant, events: list[Event]) -> Instant:
    """A record without a time was received when the last of its events happened."""
    if at > 0:
        return at
    return min(max((event.time for event in events), default=0), LATEST)


def _unread(reason: str) -> Read:
    return Read(0, "", [], mask(reason)[:REASON_CHARS])
