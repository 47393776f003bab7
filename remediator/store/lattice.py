"""The history lattice: which of two reports of one task instance wins, whatever order they arrive in.

Owns the order; the SQL of the stores says the same and the contract suite compares them. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from remediator.model.time import Instant
from remediator.store.port import STATE_RANK, HistoryRow

HistoryKey = tuple[str, str, str, str, int]
"""(deployment, dag_id, run_id, task_id, map_index)."""
HistoryOrder = tuple[int, int, Instant, str, Instant, bool, str]
"""(try_number, rank, time), then what breaks a tie, so that the merge commutes even between contradictions."""


def history_key(row: HistoryRow) -> HistoryKey:
    """Which task instance or dagrun the row is about."""
    return (row.deployment, row.dag_id, row.run_id, row.task_id, row.map_index)


def history_rank(state: str) -> int:
    """The rank of a state; one that the port does not know loses to all it does."""
    return STATE_RANK.get(state, 0)


def history_order(row: HistoryRow) -> HistoryOrder:
    """The row with the greater order wins whole."""
    ended = -1 if row.ended_at is None else row.ended_at
    return (row.try_number, history_rank(row.state), row.time, row.state, ended, row.error is not None, row.error or "")


def merge(one: HistoryRow, other: HistoryRow) -> HistoryRow:
    """The least row that is not below either. Commutative, associative, idempotent."""
    winner, loser = (one, other) if history_order(one) >= history_order(other) else (other, one)
    if winner.try_number != loser.try_number or loser.started_at is None:
        return winner
    if winner.started_at is not None and winner.started_at <= loser.started_at:
        return winner
    return msgspec.structs.replace(winner, started_at=loser.started_at)


def merge_all(rows: Iterable[HistoryRow]) -> dict[HistoryKey, HistoryRow]:
    """One row per key: a batch often carries several reports of one try."""
    merged: dict[HistoryKey, HistoryRow] = {}
    for row in rows:
        key = history_key(row)
        earlier = merged.get(key)
        merged[key] = row if earlier is None else merge(earlier, row)
    return merged
