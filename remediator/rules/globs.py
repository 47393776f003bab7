"""Globs as RE2 patterns, for conditions that many events are tried on: the dialect is model/globs.py's.

RE2 keeps them linear in the text, whatever the glob. Also the one way the package compiles patterns.
"""

from __future__ import annotations

from typing import Any

import re2

_GLOB_CHARACTERS = frozenset("*?[")
MAX_PATTERN_MEMORY = 8 << 20


def is_glob(text: str) -> bool:
    """Whether the text has a character that means something in a glob."""
    return not _GLOB_CHARACTERS.isdisjoint(text)


def literal_pattern(text: str) -> str:
    """An RE2 pattern that is found only in exactly this text."""
    return rf"\A{re2.escape(text)}\z"


def glob_pattern(glob: str) -> str:
    """An RE2 pattern that is found in a text exactly if the glob covers all of it. An unclosed '[' is itself."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        at, part = _part(glob, at)
        if part != "(?s:.*)" or not parts or parts[-1] != part:
            parts.append(part)
    return rf"\A{''.join(parts)}\z"


def _part(glob: str, at: int) -> tuple[int, str]:
    character = glob[at]
    if character == "*":
        return at + 1, "(?s:.*)"
    if character == "?":
        return at + 1, "(?s:.)"
    if character != "[":
        return at + 1, re2.escape(character)
    end = glob.find("]", at + (3 if glob.startswith("[!", at) else 2))
    if end < 0:
        return at + 1, re2.escape(character)
    return end + 1, _character_class(glob[at + 1 : end])


def _character_class(inner: str) -> str:
    negated = inner.startswith("!")
    inner = inner[1:] if negated else inner
    escaped = "".join(c if c == "-" or c.isalnum() else re2.escape(c) for c in inner)
    return f"[{'^' if negated else ''}{escaped}]"


def options(max_memory: int = MAX_PATTERN_MEMORY) -> Any:
    """RE2 options that keep it from writing to stderr."""
    chosen = re2.Options()
    chosen.log_errors = False
    chosen.max_mem = max_memory
    return chosen


def compile_pattern(pattern: str) -> Any:
    """Pattern -> RE2 with `search(bytes)`. Raises ValueError with RE2's own message."""
    try:
        return re2.compile(pattern, options())
    except (re2.error, UnicodeEncodeError) as error:
        detail = error.args[0] if error.args else "invalid"
        raise ValueError(detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(error)) from None


def utf8(text: str) -> bytes:
    """The text as RE2 reads it; a lone surrogate, which UTF-8 cannot hold, becomes '?'."""
    return text.encode("utf-8", "replace")
