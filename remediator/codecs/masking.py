"""Masking of secrets in text, before anything is stored. Knows shapes of secrets, no format of events.

Linear time whatever the text (RE2); clean text costs one scan. Prefers masking too much to too little.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

MASK = "***"

_WORD = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|credential|authorization|cookie|webhook[_.-]?url"
    r"|(?:api|access|private|account|secret|signing|encryption|fernet)[_.-]?key|signature|connection[_.-]?string)"
)
_KEY = rf"\b[\w.\-]*{_WORD}(?:s|[_.-]?(?:id|value|text|string|json|base64|b64|hash|key|\d+))?"
_QUOTED = (
    r'\\+"[^"\n]*"?'  # a quote inside a string that is itself quoted: ends at the next one
    r"|\\+'[^'\n]*'?"
    r'|"(?:[^"\\\n]|\\.)*"?'
    r"|'(?:[^'\\\n]|\\.)*'?"
)
_VALUE = rf"(?:(?:bearer|basic|digest|token)\s+)?(?:[bru]?(?:{_QUOTED})|[^\s,;&\"'<>]+)"

_HINT = (
    r"(?i)pass(?:w|ph|co)|pwd|secret|token|credential|authorization|cookie|webhook|signature|connection[_.-]?string"
    r"|(?:api|access|private|account|signing|encryption|fernet)[_. -]?key|bearer\s|basic\s|[?&;]sig=|://[^\s\"'<>]*@"
    r"|A[KS]IA|A[BC][IC]A|xox[a-z]-|xapp-|gh[a-z]_|github_pat|glpat-|eyJ|AIza|[sr]k_(?:live|test)|dapi[0-9a-f]"
    r"|-----(?:BEGIN|END) |hooks\.slack\.com"
)
"""Matches wherever any pattern below could: the scan that clean text pays for."""
_ALWAYS = ""


def _scanner() -> Any:
    """A set answers in one pass, without positions. It says nothing when it runs out of memory, so that a pattern
    which is always found is asked for too."""
    scanner = re2.Set.SearchSet()
    for pattern in (_ALWAYS, _HINT):
        scanner.Add(pattern)
    scanner.Compile()
    return scanner


_scan = _scanner().Match
_KNOWN_KEY_CHARS = 128
_SECRET_KEY = re2.compile(rf"(?i){_WORD}")

_PEM = r"[A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----"
_URL = re2.compile(r"""[A-Za-z][A-Za-z0-9+.\-]*://[^\s"'<>]*@""")
_SCHEME = re2.compile(r"(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=\-]{6,})")
_PATTERNS: tuple[tuple[Any, str], ...] = (
    (re2.compile(rf"(?s)-----BEGIN {_PEM}.*?(?:-----END {_PEM}|\z)"), MASK),
    (re2.compile(rf"[A-Za-z0-9+/=\s\\]{{20,}}-----END {_PEM}"), MASK),
    (re2.compile(r"(?i)(hooks\.slack\.com/)[\w/]+"), rf"\1{MASK}"),
    (re2.compile(rf"(?i)({_KEY}\\*[\"']?\s*(?:=>|[:=]+)\s*)(?:{_VALUE})"), rf"\1{MASK}"),
    (re2.compile(rf"(?i)(--[\w\-]*{_WORD}[\w\-]*\s+)(?:{_VALUE})"), rf"\1{MASK}"),
    (re2.compile(rf"(?i)(<[\w:.\-]*{_WORD}[^<>\n]*>)[^<]+"), rf"\1{MASK}"),
    (re2.compile(r"([?&;]sig=)[^\s&\"'<>]+"), rf"\1{MASK}"),
    (re2.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"), MASK),
    (re2.compile(r"\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"), MASK),
    (re2.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,})"), MASK),
    (re2.compile(r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*"), MASK),
    (re2.compile(r"\b(?:AIza[\w-]{30,}|[sr]k_(?:live|test)_\w{8,}|dapi[0-9a-f]{32})"), MASK),
)


def mask(text: str) -> str:
    """The text with every secret that has a known shape replaced by '***'. Needs text without lone surrogates."""
    if _scan(text) == [0]:
        return text
    text = _URL.sub(_mask_urls, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return str(_SCHEME.sub(_mask_scheme, text))


def is_secret_key(name: str) -> bool:
    """Does a value under this name count as a secret, whatever it looks like?"""
    return _is_known_secret_key(name) if len(name) <= _KNOWN_KEY_CHARS else _SECRET_KEY.search(name) is not None


@lru_cache(maxsize=4_096)
def _is_known_secret_key(name: str) -> bool:
    """Producers use the same few names in every record."""
    return _SECRET_KEY.search(name) is not None


def _mask_urls(match: Any) -> str:
    """One run of non-blank text with a URL at its start; more may be glued to it, as in a list of brokers."""
    head, *parts = str(match[0]).split("://")
    return "://".join([head, *map(_without_userinfo, parts)])


def _without_userinfo(part: str) -> str:
    """'user:pw@host/…' -> '***@host/…'. An '@' in the path stays, unless the password itself holds a '/'."""
    ends = [at for at in map(part.find, "/?#") if at >= 0]
    authority = part[: min(ends)] if ends else part
    if "@" in authority:
        return f"{MASK}@{part[authority.rindex('@') + 1 :]}"
    _, colon, port = authority.rpartition(":")
    if colon and "@" in part and not port.isdigit():
        return f"{MASK}@{part[part.rindex('@') + 1 :]}"
    return part


def _mask_scheme(match: Any) -> str:
    """'Bearer abc123' is a secret, 'basic authentication' is prose."""
    value = str(match[3])
    is_prose = value.isalpha() and value.islower() and len(value) < 20
    return str(match[0]) if is_prose else f"{match[1]}{match[2]}{MASK}"
