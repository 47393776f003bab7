"""Text from an Airflow made fit to be shown: no control characters, colours or halves of characters. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

Mask = Callable[[str], str]
"""Text without lone surrogates -> the same without secrets."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
MARGIN = 16_384
"""Characters that are masked beyond what is kept, so that no secret is cut into a shape that no pattern knows."""


def plain(text: str) -> str:
    """Tabs and line ends stay; what a terminal or a message would obey, or hide, goes."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def line(text: str, limit: int, mask: Mask) -> str:
    """The beginning of a text as one masked line."""
    return " ".join(mask(plain(text[: limit + MARGIN])).split())[:limit]


def last_line(text: str, limit: int, mask: Mask) -> str:
    """The last line that says something: of a stack trace, its exception."""
    lines = [one for one in mask(plain(text[-limit - MARGIN :])).splitlines() if one.strip()]
    return " ".join(lines[-1].split())[:limit] if lines else ""
