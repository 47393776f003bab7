"""Globs: `*` any text, `?` one character, `[a-z]` and `[!a-z]` one of a set. Case matters, an unclosed '[' is itself.

The one dialect of configuration, rules and engine. Rules compile it for many events at once: rules/globs.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def covers(glob: str, text: str) -> bool:
    """Whether the glob covers all of the text. A set that is none, as [z-a], covers nothing."""
    return fnmatchcase(text, glob)


def any_covers(globs: Iterable[str], text: str) -> bool:
    """Whether one of them does."""
    return any(covers(glob, text) for glob in globs)
