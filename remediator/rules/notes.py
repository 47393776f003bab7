"""A note: one thing that lint has to say about one rule."""

from __future__ import annotations

import msgspec


class Note(msgspec.Struct, frozen=True):
    """code: of its kind; place: inside the rule, such as 'where dag_id'; found, allowed, hint: as in a Fault."""

    code: str
    place: str
    found: str
    allowed: str
    hint: str = ""
