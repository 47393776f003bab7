"""The ledger's state: what is counted over all keys, in the one shape in which it is saved. Nothing here decides."""

from __future__ import annotations

import msgspec

from remediator.model.time import Instant


class UnderWay(msgspec.Struct):
    """A change that was issued and whose end is not known: at whose key, and until when it counts at most."""

    key: str
    until: Instant


class Breaker(msgspec.Struct, omit_defaults=True):
    """How a rule's changes went for one error. results: the latest, oldest first; True: it helped.

    results_of: changes under way whose result was counted: one clear of many tasks is one result.
    opened_at: since when cases wait, of the last probe in vain if there was one. in_vain: probes that did not help.
    probe: the change that was let through meanwhile. turn_until: till then the one whose turn it is (turn_of) may issue
    it, and nobody else.
    waiting: cases that have begun to wait since it opened. proposal: the question to people whether to go on.
    given_up: a person said no to it: people are told instead of waiting. since: when it opened, whatever was probed.
    """

    results: list[bool] = []
    results_of: list[str] = []
    opened_at: Instant | None = None
    in_vain: int = 0
    probe: str = ""
    turn_until: Instant = 0
    waiting: int = 0
    proposal: str = ""
    given_up: bool = False
    since: Instant = 0
    turn_of: str = ""


class Rate(msgspec.Struct):
    """How often changes helped and how often not."""

    helped: int = 0
    in_vain: int = 0


class Digest(msgspec.Struct, omit_defaults=True):
    """Pages of one route that were not sent because it has had its pages: how many, and what the first were about."""

    count: int = 0
    titles: list[str] = []


class Restore(msgspec.Struct, omit_defaults=True):
    """What is found after the store came back from a backup, until the thaw.

    since, at: what happened in between is read and asked for again. due: when it is told at the latest; None until
    the daemon has begun. actions: of the outbox, to be proved, at least as many as were; done, not_done, unknown: how
    they were.
    dagruns: to be looked at; looked: those that were; cases: open ones there; healed: those that a look ended.
    """

    by: str
    since: Instant
    at: Instant
    actions: int = 0
    done: int = 0
    not_done: int = 0
    unknown: int = 0
    dagruns: int = 0
    looked: int = 0
    cases: int = 0
    healed: int = 0
    due: Instant | None = None
    told: str = ""


class LedgerState(msgspec.Struct, omit_defaults=True):
    """What is counted over all keys. spent: changes by budget target; detectors: keys of state by rule.

    issued: changes of the last minute by deployment. under_way: by deployment, then action. breakers: by rule and error
    signature. rates: by rule, signature and deployment. pages: of the last hour by route. failures, unannounced: of the
    last hour by deployment.
    """

    spent: dict[str, list[Instant]] = {}
    detectors: dict[str, int] = {}
    issued: dict[str, list[Instant]] = {}
    under_way: dict[str, dict[str, UnderWay]] = {}
    breakers: dict[str, Breaker] = {}
    rates: dict[str, Rate] = {}
    pages: dict[str, list[Instant]] = {}
    failures: dict[str, list[Instant]] = {}
    unannounced: dict[str, list[Instant]] = {}
    page_digests: dict[str, Digest] = {}
    restore: Restore | None = None
    our_pauses: dict[str, bool] = msgspec.field(name="paused", default_factory=dict)
    """Saved as 'paused'. 'deployment/dag' that a change of ours pauses -> whether it was delivered."""
    undoing: dict[str, str] = {}
    """Undo that was issued and has not ended -> at whose key."""
