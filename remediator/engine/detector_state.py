"""A detector's state: what one rule remembers of events, in the shape in which it is saved. Nothing here decides."""

from __future__ import annotations

import msgspec

from remediator.model.event import Event
from remediator.model.time import Instant


class Kept(msgspec.Struct, omit_defaults=True):
    """One event at a detector. members: the parts of the rule that it can still fill, none once they are used up.

    value: of the field whose different values are counted. event: while it may still be shown.
    arrived, feed: journalled now at which it came, and what it waits for; None and '' once it counts.
    """

    time: Instant
    id: str
    members: tuple[str, ...]
    value: str = ""
    event: Event | None = None
    arrived: Instant | None = None
    feed: str = ""
    is_end: bool = False
    """It only ended something, and is kept so that a repeat ends nothing newer."""


class Holding(msgspec.Struct, omit_defaults=True):
    """True since then, but not yet for `hold_for`. began: the journalled now at which its event came."""

    since: Instant
    began: Instant
    event: Event
    count: int
    first: Instant


class DetectorState(msgspec.Struct, omit_defaults=True):
    """What one rule remembers for one combination of values of its `per` fields.

    shape: of the rule's stateful part; another one begins anew. waiting, kept: oldest first, by event time, then id.
    feeds: whose events came. waiting_since: the arrival of the longest waiting event, or before it.
    reached: the latest event time that was taken in. fired_at: journalled; fired_time: event time of the last firing.
    calm_at: event time at which a window's incident ends unless it fires again. is_open: it fired, and no end was seen.
    """

    rule: str
    shape: str
    per: tuple[str, ...]
    waiting: list[Kept] = []
    kept: list[Kept] = []
    holding: Holding | None = None
    feeds: list[str] = []
    waiting_since: Instant | None = None
    reached: Instant = 0
    fired_at: Instant | None = None
    fired_time: Instant | None = None
    calm_at: Instant | None = None
    is_open: bool = False
    last: Event | None = None
    touched: Instant = 0
    ended: Instant = 0
    """Event time of the latest end that was taken in: what is older is over, also if it comes later."""
    homes: list[tuple[str, str]] = []
    """(deployment, dag_id) of the DAGs whose states have the cases of its firings, the latest last."""
