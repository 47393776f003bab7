"""Names out of foreign texts: event types, subjects and scopes, masked and bounded. Knows no format of events."""

from __future__ import annotations

import re
from datetime import datetime

from remediator.codecs.masking import mask
from remediator.codecs.port import Undecodable
from remediator.codecs.text import ID_CHARS, cut, masked_head

TYPE_CHARS = 128
RESERVED_TYPES = frozenset({"task.failed_finally"})
"""Derived from a look at the scheduler; a producer that could claim it would act past that look."""
_TYPE = re.compile(r"[a-z0-9_]+(?:[.\-][a-z0-9_]+)*")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")


def event_type(text: str, place: str) -> str:
    """A producer's own word as an event type, in lower case. Raises Undecodable."""
    kind = text.lower()
    if len(kind) > TYPE_CHARS or _TYPE.fullmatch(kind) is None:
        raise Undecodable(
            f"not an event type at `{place}`: {mask(kind[:40])!r}, "
            f"allowed are words of letters, digits and _, joined by . or -, at most {TYPE_CHARS} characters"
        )
    if kind in RESERVED_TYPES:
        raise Undecodable(f"reserved event type at `{place}`: {kind} is derived by remediator, send task.failed")
    return kind


def snake(text: str) -> str:
    """'FailedToDrainNode', 'EC2 Instance State-change' -> 'failed_to_drain_node', 'ec2_instance_state_change'.

    At most 100 characters, so that a prefix fits before it; '' where no letter or digit is.
    """
    words = _NO_WORD.sub("_", _WORD_START.sub("_", masked_head(text, ID_CHARS)))
    return words.strip("_").lower()[:100].rstrip("_")


def name(text: str | None) -> str | None:
    """A name as an event may hold it; None for none."""
    return cut(masked_head(text, ID_CHARS)) if text else None


def joined(*parts: str | None) -> str | None:
    """'node', 'ip-10-0-3-7' -> 'node/ip-10-0-3-7'; None if a part is missing, since half a name names another thing."""
    return name("/".join(part for part in parts if part)) if all(parts) else None


def said(moment: datetime | None) -> datetime | None:
    """A moment, or None for the zero time that programs in Go write where they have none."""
    return None if moment is None or moment.year == 1 else moment
