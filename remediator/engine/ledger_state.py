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

    counted: the change whose result was counted last: one clear of many tasks is one result.
    opened_at: since when a person is asked instead. probe: the change that was let through meanwhile.
    """

    results: list[bool] = []
    opened_at: Instant | None = None
    probe: str = ""
    counted: str = ""


class Rate(msgspec.Struct):
    """How often changes helped and how often not."""

    helped: int = 0
    in_vain: int = 0


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
    digests: dict[str, list[str]] = {}
