"""Bounds and safety of text: what is cut where, and how it stays encodable. Knows no format of events."""

from __future__ import annotations

import re

from remediator.codecs.masking import mask

ID_CHARS = 512
ID_BYTES = 768
"""250 characters, the most that Airflow has, of three bytes each. Three names must fit one index row of PostgreSQL."""
MESSAGE_CHARS = 4_096
TRACE_CHARS = 16_384
URL_CHARS = 2_048
MAX_TAGS = 64
MAX_DATASETS = 256

_MARGIN_CHARS = 65_536
"""Masked beyond what is kept, so that no secret is cut into a shape that no pattern knows."""
_UNSAFE_CHARS = re.compile("[\x00\ud800-\udfff]")
_UNSAFE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(
    rb"\\\\"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<unsafe>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def without_unsafe_escapes(value: bytes) -> bytes:
    r"""JSON whose strings decode to encodable text: \u0000 and lone surrogates become \ufffd."""
    if b"\\" not in value or _UNSAFE_ESCAPE.search(value) is None:
        return value
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match["unsafe"] else match[0], value)


def without_unsafe_chars(text: str) -> str:
    """Text without NUL and lone surrogates, for texts that did not come straight out of JSON."""
    return _UNSAFE_CHARS.sub("\ufffd", text)


def cut(text: str | None, limit: int = ID_CHARS) -> str | None:
    """The first `limit` characters, of a name at most ID_BYTES; None for an empty text, which names nothing."""
    if not text:
        return None
    kept = text if len(text) <= limit else text[:limit]
    return kept if limit != ID_CHARS or kept.isascii() else kept.encode()[:ID_BYTES].decode(errors="ignore")


def masked_head(text: str, limit: int) -> str:
    """The masked text's first `limit` characters."""
    return mask(text[: limit + _MARGIN_CHARS])[:limit]


def masked_tail(text: str, limit: int) -> str:
    """The masked text's last `limit` characters: the end of a trace holds the exception."""
    return mask(text[-limit - _MARGIN_CHARS :])[-limit:]
