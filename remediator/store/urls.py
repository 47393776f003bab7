"""How a store's URL is shown to people: never with a password or parameters."""

from __future__ import annotations

import re

_HOST = r"(?:\[[0-9a-fA-F:]+\]|[\w.-]*)(?::\d+)?"
_PLAIN = re.compile(
    rf"(?P<scheme>\w+)://(?:(?P<user>[^:@/?#]*)(?P<password>:[^@/?#]*)?@)?(?P<host>{_HOST}(?:,{_HOST})*)"
    r"(?P<path>/[^@?#]*)?(?:\?[^@#]*)?"
)


def mask_url(url: str) -> str:
    """'postgresql://user:…@host/database'. Of a URL that is not clearly built, only its scheme is shown."""
    found = _PLAIN.fullmatch(url)
    if found is None:
        scheme = re.match(r"\w+://", url)
        return f"{scheme[0] if scheme else ''}…"
    user = "" if found["user"] is None else f"{found['user']}{':…' if found['password'] else ''}@"
    return f"{found['scheme']}://{user}{found['host']}{found['path'] or ''}"
