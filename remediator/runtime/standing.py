"""What stands still until somebody or something comes: questions to people, and breakers that are open. Pure.

Owns how both are counted, for status and metrics alike. Reads no store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from remediator.engine.breakers import alert_id, rests_until
from remediator.engine.ledger_state import Breaker, LedgerState
from remediator.model.incident import Incident, Proposal
from remediator.model.policy import Policy
from remediator.model.time import SECOND, Duration, Instant, format_instant
from remediator.web.port import View

BREAKERS_SHOWN = 20


def open_proposals(incidents: Iterable[Incident], now: Instant) -> list[tuple[Incident, Proposal]]:
    """What people can still answer, what expires first first."""
    found = [(incident, one) for incident in incidents for one in incident.proposals if one.expires_at > now]
    return sorted(found, key=lambda pair: (pair[1].expires_at, pair[1].id))


def oldest_wait(proposals: Iterable[tuple[Incident, Proposal]], now: Instant) -> Duration | None:
    """How long the oldest question waits; None if there is none, or nobody knows."""
    asked = [one.asked_at for _, one in proposals if one.asked_at]
    return max(0, now - min(asked)) if asked else None


def approvals_view(proposals: list[tuple[Incident, Proposal]], now: Instant) -> View:
    """{'waiting': how many, 'oldest_s', 'next_expiry_s'}; None of none."""
    oldest = oldest_wait(proposals, now)
    return {
        "waiting": len(proposals),
        "oldest_s": None if oldest is None else oldest / SECOND,
        "next_expiry_s": (proposals[0][1].expires_at - now) / SECOND if proposals else None,
    }


def breakers_view(ledger: LedgerState, policy: Policy, now: Instant) -> View:
    """{'open': how many, 'listed': the first ones to be probed, each with its incident}."""
    found = sorted(open_breakers(ledger), key=lambda pair: (rests_until(policy, pair[1]), pair[0]))
    return {"open": len(found), "listed": [_view(name, one, policy, now) for name, one in found[:BREAKERS_SHOWN]]}


def open_breakers(ledger: LedgerState) -> Iterator[tuple[str, Breaker]]:
    """(rule/signature, breaker)"""
    return ((name, one) for name, one in ledger.breakers.items() if one.opened_at is not None)


def breakers_by_rule(ledger: LedgerState) -> Counter[str]:
    """Rule -> how many of its breakers are open."""
    return Counter(_rule_and_signature(name)[0] for name, _ in open_breakers(ledger))


def _view(name: str, breaker: Breaker, policy: Policy, now: Instant) -> View:
    """since: None if it is not known. next_probe_at: not before; a breaker that nobody waits for is not probed."""
    rule, signature = _rule_and_signature(name)
    return {
        "rule": rule,
        "signature": signature,
        "since": format_instant(breaker.since) if breaker.since else None,
        "open_s": (now - breaker.since) / SECOND if breaker.since else None,
        "probing": bool(breaker.probe),
        "next_probe_at": None if breaker.probe else format_instant(rests_until(policy, breaker)),
        "next_probe_s": None if breaker.probe else max(0, rests_until(policy, breaker) - now) / SECOND,
        "waiting": breaker.waiting,
        "given_up": breaker.given_up,
        "incident": alert_id(name),
    }


def _rule_and_signature(name: str) -> tuple[str, str]:
    rule, _, signature = name.rpartition("/")
    return rule, signature
