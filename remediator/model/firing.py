"""Firings: a rule's condition over time became true. What incidents, texts and compound rules read of it."""

from __future__ import annotations

import msgspec

from remediator.model.event import Event
from remediator.model.time import Instant


class FiringView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What texts may say of a firing. per: the fields and values of the rule's key; first, last: event times.

    count: matches that led to it; different values, where the rule counts those.
    """

    rule: str
    count: int = 1
    first: Instant = 0
    last: Instant = 0
    per: dict[str, str] = {}


class Firing(msgspec.Struct, frozen=True, omit_defaults=True):
    """One firing. event: the one that completed it, without its trace. case: its key in words.

    match: named groups of the rule's patterns. unverified: an absence that no watermark proved.
    """

    view: FiringView
    event: Event
    case: str
    match: dict[str, str] = {}
    unverified: bool = False
