"""The shape of a rule: a hash of what its state depends on. Rules of the same shape can go on with the same state."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from remediator.rules.spec import Rule

SHAPE_BYTES = 8
STATEFUL = (
    "on",
    "where",
    "per",
    "window",
    "sequence",
    "compound",
    "hold_for",
    "ended_by",
    "active",
    "during",
    "not_during",
)
"""Fields of a rule that decide what its state means."""

_encoder = msgspec.msgpack.Encoder(order="deterministic")


def shape(rule: Rule) -> str:
    """Hex digest of the rule's stateful part: the same wherever it is computed."""
    parts = [(name, value) for name in STATEFUL if (value := getattr(rule, name))]
    return blake2b(_encoder.encode(parts), digest_size=SHAPE_BYTES).hexdigest()
