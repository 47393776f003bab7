"""Where in a TOML text each table, key and array item begins: tomllib parses but does not tell.

Scans text that tomllib has accepted, so it needs no error handling of its own; holds no meaning of any key.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""Keys and array positions from the root, such as ('rule', 0, 'where', 'error.message')."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY_PART = re.compile(
    r'[ \t]*(?:"(?P<basic>(?:[^"\\\n]|\\.)*)"|\'(?P<literal>[^\'\n]*)\'|(?P<bare>[A-Za-z0-9_-]+))[ \t]*'
)
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


def locate(text: str) -> dict[Path, int]:
    """The 1-based line of every table, key and array item of a valid TOML text, by its path in the parsed value."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {}
        self._last: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _skip_blank(self) -> bool:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _header(self) -> Path:
        line, double = self._line(), self._text.startswith("[[", self._at)
        self._at += 2 if double else 1
        *outer, name = self._key()
        self._at += 2 if double else 1
        table = self._descend((), outer)
        if double:
            table = (*table, name)
            self._lines.setdefault(table, line)
            self._last[table] = self._last.get(table, -1) + 1
            table = (*table, self._last[table])
        else:
            table = self._descend(table, [name])
        self._lines.setdefault(table, line)
        return table

    def _descend(self, table: Path, names: list[str]) -> Path:
        for name in names:
            table = (*table, name)
            if table in self._last:
                table = (*table, self._last[table])
        return table

    def _pair(self, table: Path) -> None:
        line = self._line()
        for name in self._key():
            table = (*table, name)
            self._lines.setdefault(table, line)
        self._at += 1  # the equals sign
        self._value(table)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        opening = self._text[self._at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            match = (_STRING if opening in "\"'" else _SCALAR).match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _array(self, path: Path) -> None:
        index = 0
        while self._next_item("]"):
            self._lines[*path, index] = self._line()
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, closing: str) -> bool:
        """Move past the opening bracket or comma to the next item; False past the closing bracket."""
        self._skip_blank()
        if self._text[self._at] != closing:
            self._at += 1 if self._text[self._at] in ",[{" else 0
            self._skip_blank()
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _key(self) -> list[str]:
        parts: list[str] = []
        while match := _KEY_PART.match(self._text, self._at):
            self._at = match.end()
            parts.append(_unquoted(match))
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return parts

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)


def _unquoted(match: re.Match[str]) -> str:
    basic = match["basic"]
    if basic is None:
        return match["literal"] if match["literal"] is not None else match["bare"]
    return str(tomllib.loads(f'key = "{basic}"')["key"]) if "\\" in basic else basic
