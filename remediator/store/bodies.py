"""The bodies of rows: model structs as msgpack, and what every SQL store does with them alike. Does no I/O."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from remediator.model.action import Action
from remediator.model.incident import Incident
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.store.lattice import history_rank
from remediator.store.port import HistoryRow, Timer

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_actions = msgspec.msgpack.Decoder(Action)
_incidents = msgspec.msgpack.Decoder(Incident)
_decisions = msgspec.msgpack.Decoder(Decision)
_dead_letters = msgspec.msgpack.Decoder(DeadLetter)
_timers = msgspec.msgpack.Decoder(tuple[Timer, ...])

encode_body = _encoder.encode
decode_action = _actions.decode
decode_incident = _incidents.decode
decode_decision = _decisions.decode
decode_dead_letter = _dead_letters.decode
decode_timers = _timers.decode


def history_columns(
    row: HistoryRow,
) -> tuple[str, str, str, str, int, int, int, int, str, int | None, str | None, int | None]:
    """The row in the order of the columns of the `history_merge` statement."""
    return (
        row.deployment,
        row.dag_id,
        row.run_id,
        row.task_id,
        row.map_index,
        row.try_number,
        history_rank(row.state),
        row.time,
        row.state,
        row.ended_at,
        row.error,
        row.started_at,
    )
