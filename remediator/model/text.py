"""Texts of bounded length. Knows no meaning of any."""

from __future__ import annotations


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with an ellipsis: at most `limit` characters, and at least one."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
