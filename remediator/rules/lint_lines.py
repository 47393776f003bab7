"""The line of a finding: that of the clause or step that it is about, where its file has it, else that of its rule.

Reads the files again, since a rule knows its own line alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from msgspec.structs import replace

from remediator.rules.faults import Faults
from remediator.rules.lines import Path
from remediator.rules.lint import Finding
from remediator.rules.toml import Document, decode_document

_PLACE = re.compile(r'rule "[^"]*" ?(.*)', re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')


def located(findings: Iterable[Finding], files: Mapping[str, FilePath]) -> list[Finding]:
    """The findings with lines as exact as can be, in order. files: where those are that findings name."""
    found = list(findings)
    rules = {name: _Rules(files[name]) for name in {finding.fault.file for finding in found} if name in files}
    return sorted(
        rules[finding.fault.file].located(finding) if finding.fault.file in rules else finding for finding in found
    )


class _Rules:
    """The rules of one file by the line on which they begin. A file that is gone has none."""

    def __init__(self, path: FilePath) -> None:
        try:
            self._document = decode_document(path.read_bytes(), str(path))
        except (OSError, Faults):  # it was there when the rules were loaded; without it their own lines must do
            self._document = Document(str(path), {}, {})
        rules = self._document.data.get("rule")
        self._rules: list[Any] = rules if isinstance(rules, list) else []
        self._by_line = {self._document.line(("rule", index)): index for index in range(len(self._rules))}

    def located(self, finding: Finding) -> Finding:
        place, index = _PLACE.fullmatch(finding.fault.place), self._by_line.get(finding.fault.line)
        if place is None or index is None:
            return finding
        inner = _path(self._rules[index], [_name(word) for word in _WORD.findall(place[1])])
        return replace(finding, fault=replace(finding.fault, line=self._document.line(("rule", index, *inner))))


def _name(word: str) -> str:
    return str(json.loads(word)) if len(word) > 1 and word[0] == word[-1] == '"' else word


def _path(value: Any, words: list[str]) -> Path:
    """As much of the place as the rule has written itself."""
    path: list[str | int] = []
    for word in words:
        key: str | int = word
        if isinstance(value, list) and word.isdecimal():
            key = int(word) - 1
            known = 0 <= key < len(value)
        else:
            key = "steps" if word == "step" else word
            known = isinstance(value, dict) and key in value
        if not known:
            break
        value = value[key]
        path.append(key)
    return tuple(path)
