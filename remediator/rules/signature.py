"""Signatures of errors: the same problem with other ids has the same one. For grouping, never for deciding.

The type and the first line of the message count; what varies in them is masked. Linear in the text, and bounded.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

from remediator.model.event import ErrorInfo

MAX_TEMPLATE = 300
MAX_READ = 1_000
"""How much of a message's line is read, in characters."""
_MAX_TYPE = 100
_BYTES = 8
_ROUNDS = 4
"""Masking can bring together what was apart, such as two quotes; it is done again until nothing changes."""

_QUOTES = "'\"`"
_HEX = r"[0-9A-Fa-f]"
_PART = r"[^\W_]"
_PATH = r"[^\s'\"`<>()\[\]{},;:]"
_KINDS = {
    "mask": r"<(?:quoted|time|ip|path|id|n)>",
    "code": r"(?i:\b(?:errno|http|sqlstate|ora|signal|status|code)(?:[ _]code)?[ =:-]{1,3}\d{1,5}\b)",
    "quoted": r"(?<![\w>])(?:'[^']*'|\"[^\"]*\"|`[^`]*`)(?![\w<])",
    "time": r"(?<!\d)(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d)?|\d\d:\d\d)(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"
    r"(?!\d)",
    "url": rf"[A-Za-z][A-Za-z0-9+.-]{{1,20}}://(?:[^\s@/'\"<>]{{0,200}}@)?(?P<host>[\w.:-]*)(?P<rest>[/?#]{_PATH}*)?",
    "uuid": rf"(?<!{_PART}){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!{_PART})",
    "ip": rf"(?<![\w.:])(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|{_HEX}{{0,4}}(?::{_HEX}{{0,4}}){{3,8}})(?![\w.])",
    "path": rf"(?<![\w<>])(?:~|\.{{1,2}})?/{_PATH}+|\b[A-Za-z]:\\{_PATH}+",
    "number": rf"(?<!{_PART})\d++(?:[.,]\d++)*+(?!{_PART})",
    "part": rf"{_PART}++",
}
"""What is looked for, the first that fits; numbers that are codes are kept, since they are the problem."""
_VARYING = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _KINDS.items()))
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}")
_NUMBERED = re.compile(
    r"([^\W\d_]+)\d{1,7}|\d+(?i:(ns|us|ms|s|m|h|d|min|sec|b|kb|mb|gb|tb|kib|mib|gib|k|g|st|nd|rd|th|x))"
)
_RANDOM = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{5,10}")
"""Kubernetes makes the ends of names from these."""


class Signature(msgspec.Struct, frozen=True):
    """id: hex digest of the template, '' for an error that says nothing. template: at most MAX_TEMPLATE characters."""

    id: str
    template: str


def signature(error: ErrorInfo | None) -> Signature:
    """The signature of an error's type and message."""
    kind = " ".join((error.type or "")[:_MAX_TYPE].split()) if error is not None else ""
    message = mask(error.message or "") if error is not None else ""
    template = ": ".join(part for part in (kind, message) if part)[:MAX_TEMPLATE]
    digest = blake2b(template.encode("utf-8", "replace"), digest_size=_BYTES).hexdigest()
    return Signature(digest if template else "", template)


def mask(text: str) -> str:
    """The first line that is not empty, with what varies as <n>, <id>, <time>, <ip>, <path> and <quoted>."""
    line = next((line for line in text[: 4 * MAX_READ].splitlines() if line.strip()), "")[:MAX_READ]
    for _ in range(_ROUNDS):
        before = line
        line = " ".join(_VARYING.sub(_masked, _unwrapped(line)).split())[:MAX_TEMPLATE].rstrip()
        if line == before:
            break
    return line


def _unwrapped(line: str) -> str:
    line = line.strip()
    while len(line) > 1 and line[0] in _QUOTES and line[0] == line[-1] and line.count(line[0]) == 2:
        line = line[1:-1].strip()
    return line


def _masked(found: re.Match[str]) -> str:
    text = found[0]
    match _kind(found):
        case "quoted":
            return text if _NAME.fullmatch(text, 1, len(text) - 1) else "<quoted>"
        case "url":
            return f"{text.partition('://')[0]}://{_masked_host(found['host'])}{'<path>' if found['rest'] else ''}"
        case "ip":
            return "<ip>" if any(map(str.isdigit, text)) else text
        case "uuid":
            return "<id>"
        case "number":
            return "<n>"
        case "part":
            return _masked_part(text, after_hyphen=found.string[found.start() - 1 : found.start()] == "-")
        case "time" | "path" as kind:
            return f"<{kind}>"
        case _:
            return text


def _kind(found: re.Match[str]) -> str:
    return next(name for name in _KINDS if found[name] is not None)


def _masked_host(host: str) -> str:
    return _VARYING.sub(_masked, host)


def _masked_part(part: str, *, after_hyphen: bool) -> str:
    """A run of letters and digits: 'node7' is 'node<n>', '30s' is '<n>s', a mix is an id, letters are themselves."""
    if after_hyphen and _RANDOM.fullmatch(part):
        return "<id>"
    if part.isdigit():
        return "<n>"
    if not any(map(str.isdigit, part)):
        return part
    numbered = _NUMBERED.fullmatch(part)
    if numbered is None:
        return "<id>"
    return f"{numbered[1]}<n>" if numbered[1] else f"<n>{numbered[2]}"
