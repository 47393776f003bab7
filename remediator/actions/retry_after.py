"""The Retry-After header of any answer: what a target that is busy, broken or hostile may make us wait."""

from __future__ import annotations

MOST_S = 3_600
"""Nobody makes an action wait longer; who asks for more is asked again after this."""


def asked_seconds(header: str | None) -> int | None:
    """The whole seconds that the header asks for, 0 to `MOST_S`. A date or nonsense says nothing: None."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")  # Python refuses to read thousands of digits
    return MOST_S if len(digits) > len(str(MOST_S)) else min(int(digits or "0"), MOST_S)
