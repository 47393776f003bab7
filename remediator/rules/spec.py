"""What a rule says, as values. Written by the loader, compiled by the index, carried in the journal's rule sets."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.model.policy import Budget, Mode, Policy
from remediator.model.time import MINUTE, SECOND, Duration


class Backoff(msgspec.Struct, frozen=True, omit_defaults=True):
    """Wait before attempt n: initial * factor^(n-1), at most max, spread by +-jitter (a share)."""

    initial: Duration = 30 * SECOND
    factor: float = 2.0
    max: Duration = 10 * MINUTE
    jitter: float = 0.2


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a response. action: 'airflow.retry' | 'page' | 'notify' | 'log'; `to` names a route."""

    action: str
    to: str = ""
    max_attempts: int = 1
    backoff: Backoff = Backoff()
    verify: Duration = 20 * MINUTE


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One `[[rule]]`. `where` is the table as written, values still of TOML's types; `file`, `line` say where."""

    id: str
    on: tuple[str, ...]
    summary: str = ""
    owner: str = ""
    severity: str = "warning"
    mode: Mode = Mode.OBSERVE
    priority: int = 50
    where: dict[str, Any] = {}
    budget: Budget = Budget()
    do: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()
    runbook: str = ""
    file: str = ""
    line: int = 0


class RuleSetSpec(msgspec.Struct, frozen=True):
    """All rules loaded together and the policy they run under: the unit of activation, hashing and replay."""

    rules: tuple[Rule, ...]
    policy: Policy


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(RuleSetSpec)


def encode_rule_set(spec: RuleSetSpec) -> bytes:
    """The bytes that the content hash is of and that the store keeps."""
    return _encoder.encode(spec)


def decode_rule_set(body: bytes) -> RuleSetSpec:
    """The inverse of encode_rule_set. Raises msgspec.DecodeError."""
    return _decoder.decode(body)
