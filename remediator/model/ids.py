"""Identities: stable hashes of what they name, and the keys and lanes that share one spelling."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

_encoder = msgspec.msgpack.Encoder(order="deterministic")
DIGEST_BYTES = 12
"""24 hex digits: 2^48 identities before a collision becomes likely, and still readable in a note."""


def stable_id(*cause: object) -> str:
    """The same cause gives the same id in every process, on every machine, in every version."""
    return blake2b(_encoder.encode(cause), digest_size=DIGEST_BYTES).hexdigest()


def dag_key(deployment: str, dag_id: str) -> str:
    """The state key of a DAG: its dagruns, budgets and incidents are decided together."""
    return f"dag:{deployment}/{dag_id}"


def dagrun_lane(deployment: str, dag_id: str, run_id: str) -> str:
    """Changes to one dagrun are made in order, one in flight."""
    return f"dagrun:{deployment}/{dag_id}/{run_id}"


def detector_key(rule_id: str, values: tuple[str, ...]) -> str:
    """The state key of a rule that keeps state, for one combination of values of its `per` fields."""
    return f"rule:{rule_id}/{stable_id(*values)}"


LEDGER_KEY = "ledger"
"""The state key of what is counted over all keys."""
CONDITIONS_KEY = "conditions"
"""The state key of what holds of infrastructure."""
WORLD_KEY = "world"
"""The state key of what is not one DAG's: feeds, freeze, sweeps, self-alerts."""
