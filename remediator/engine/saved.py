"""Saved states: the bytes of a key's state, and back. Raises msgspec.ValidationError for what is no state."""

from __future__ import annotations

import msgspec

from remediator.engine.detector_state import DetectorState
from remediator.engine.ledger_state import LedgerState
from remediator.engine.state import ConditionsState, DagState, KeyState, State, WorldState

_encoder = msgspec.msgpack.Encoder()
_dag_decoder = msgspec.msgpack.Decoder(DagState)
_detector_decoder = msgspec.msgpack.Decoder(DetectorState)
_world_decoder = msgspec.msgpack.Decoder(WorldState)
_ledger_decoder = msgspec.msgpack.Decoder(LedgerState)
_conditions_decoder = msgspec.msgpack.Decoder(ConditionsState)


def encode_state(state: State) -> bytes:
    """State -> the bytes that are saved."""
    return _encoder.encode(state)


def decode_key_state(key: str, body: bytes) -> KeyState:
    """The inverse, for a DAG's or a detector's key."""
    return _detector_decoder.decode(body) if key.startswith("rule:") else _dag_decoder.decode(body)


def decode_dag_state(body: bytes) -> DagState:
    """The inverse, for a DAG's key."""
    return _dag_decoder.decode(body)


def decode_world_state(body: bytes) -> WorldState:
    """The inverse, for the world's key."""
    return _world_decoder.decode(body)


def decode_ledger_state(body: bytes) -> LedgerState:
    """The inverse, for the ledger's key."""
    return _ledger_decoder.decode(body)


def decode_conditions_state(body: bytes) -> ConditionsState:
    """The inverse, for the conditions' key."""
    return _conditions_decoder.decode(body)
