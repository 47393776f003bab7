"""Dead letters: what is kept of a record that no codec could read."""

from __future__ import annotations

from remediator.codecs.masking import mask
from remediator.codecs.port import REASON_CHARS
from remediator.model.record import DEAD_LETTER_HEAD_BYTES, DeadLetter, Record

_MARGIN_BYTES = 8_192


def dead_letter(feed: str, record: Record, reason: str) -> DeadLetter:
    """The record with its reason and its first bytes, secrets masked in both."""
    value = record.value or b""
    return DeadLetter(
        feed=feed,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        reason=mask(reason)[:REASON_CHARS],
        size=len(value),
        head=_masked(value[: DEAD_LETTER_HEAD_BYTES + _MARGIN_BYTES])[:DEAD_LETTER_HEAD_BYTES],
    )


def _masked(value: bytes) -> bytes:
    """Latin-1 names every byte, so that what is not text survives as it was."""
    return mask(value.decode("latin-1")).encode("latin-1")
