"""Reading: bytes into typed values, with every way in which bytes can be wrong turned into Undecodable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from remediator.codecs.port import MAX_RECORD_BYTES, Undecodable
from remediator.codecs.text import without_unsafe_escapes
from remediator.model.time import Instant

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Instant = -62_135_510_400_000_000
_LATEST: Instant = 253_402_214_400_000_000
"""From 0001-01-02 to 9999-12-31: every instant between can be printed, in any zone."""


class JsonReader(Generic[T]):
    """Reads JSON of one type. Unknown members are skipped, wrong types are named with their place."""

    def __init__(self, wanted: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(wanted)

    def checked(self, value: bytes) -> bytes:
        """The bytes as valid UTF-8 of a bearable size, without unsafe escapes. Raises Undecodable."""
        if len(value) > MAX_RECORD_BYTES:
            raise Undecodable(f"too large: {len(value)} bytes, at most {MAX_RECORD_BYTES} are read")
        if not value.isascii():
            _require_utf8(value)
        return without_unsafe_escapes(value)

    def read(self, checked: bytes, place: str = "$") -> T:
        """One value out of checked bytes; `place` is where in the record they begin. Raises Undecodable."""
        try:
            return self._decoder.decode(checked)
        except msgspec.ValidationError as error:
            raise Undecodable(f"wrong type: {_placed(str(error), place)}") from None
        except msgspec.DecodeError as error:
            raise Undecodable(f"not JSON: {error}, of {len(checked)} bytes") from None
        except RecursionError:
            raise Undecodable("nested too deeply") from None
        except ValueError as error:
            raise Undecodable(f"not JSON: {error}") from None


def _placed(text: str, place: str) -> str:
    return text.replace("`$", f"`{place}", 1) if "`$" in text else f"{text} - at `{place}`"


def instant(moment: datetime | None, place: str) -> Instant | None:
    """A decoded time as Instant, UTC where it names no zone. Raises Undecodable if it is out of range."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return in_range((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds, place)


def in_range(at: Instant, place: str) -> Instant:
    """The instant, if it can be printed. Raises Undecodable."""
    if not _EARLIEST <= at <= _LATEST:
        raise Undecodable(f"out of range: the time at `{place}`, allowed are the years 1 to 9999")
    return at


def _require_utf8(value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8: {error.reason} (byte {error.start} of {len(value)})") from None
