"""Attributes: foreign nested values made masked, bounded and encodable. Knows no format of events."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from remediator.codecs.masking import MASK, is_secret_key
from remediator.codecs.text import masked_head, without_unsafe_chars

MAX_DEPTH = 6
MAX_VALUES = 512
KEY_CHARS = 128
TEXT_CHARS = 2_048
TOTAL_CHARS = 32_768
_INT_LIMIT = 2**63
"""Beyond it neither msgpack nor a database column holds an integer."""


def bounded(table: dict[str, Any]) -> dict[str, Any]:
    """A decoded JSON table as attributes: at most 6 levels, 512 values and 32,768 characters; the rest is left out.

    A value under a key that looks secret is '***', whatever it is. Integers beyond 64 bits become text.
    """
    return _Bounds().table(table, 1)


class _Bounds:
    """What one call may still spend."""

    def __init__(self) -> None:
        self._values = MAX_VALUES
        self._chars = TOTAL_CHARS

    def table(self, table: dict[str, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in table.items():
            if not self._spend(min(len(key), KEY_CHARS)):
                break
            name = _known_name(key) if len(key) <= KEY_CHARS else _text(key, KEY_CHARS)
            kept[name] = MASK if value is not None and is_secret_key(key) else self._value(value, depth)
        return kept

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            text = _text(value, TEXT_CHARS)
            return text if self._spend_chars(len(text)) else "…"
        if isinstance(value, dict):
            return self.table(value, depth + 1) if depth < MAX_DEPTH else "…"
        if isinstance(value, list):
            return self._list(value, depth + 1) if depth < MAX_DEPTH else "…"
        if isinstance(value, int) and not -_INT_LIMIT <= value < _INT_LIMIT:
            return "…" if value.bit_length() > 256 else str(value)
        return value

    def _list(self, values: list[Any], depth: int) -> list[Any]:
        kept = []
        for value in values:
            if not self._spend(0):
                break
            kept.append(self._value(value, depth))
        return kept

    def _spend(self, chars: int) -> bool:
        self._values -= 1
        return self._values >= 0 and self._spend_chars(chars)

    def _spend_chars(self, chars: int) -> bool:
        self._chars -= chars
        return self._chars >= 0


def _text(text: str, limit: int) -> str:
    return masked_head(without_unsafe_chars(text), limit)


@lru_cache(maxsize=4_096)
def _known_name(key: str) -> str:
    """Producers use the same few names in every record."""
    return _text(key, KEY_CHARS)
