"""The tables of the store in memory, and the pure questions asked of them. Decides nothing, awaits nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from remediator.model.action import Action
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import Instant
from remediator.store.audit import AuditHead, AuditRow
from remediator.store.chunks import Chunk
from remediator.store.lattice import HistoryKey
from remediator.store.port import Answer, HistoryRow, Timer

LOOK = "airflow.look"
FINISHED = frozenset({"delivered", "refused", "unknown"})

T = TypeVar("T")


class OutboxRow(msgspec.Struct):
    """An action with what became of it. token '' unless claimed; until is then the end of the claim."""

    seq: int
    action: Action
    at: Instant
    not_before: Instant
    state: str = "pending"
    tries: int = 0
    detail: str = ""
    token: str = ""
    until: Instant = 0
    uncertain: bool = False
    doubtful: bool = False


class KeptSnapshot(msgspec.Struct, frozen=True):
    """A copy of the key states and timers at a committed position."""

    position: int
    states: dict[str, bytes]
    timers: dict[str, tuple[Timer, ...]]


class MemoryData(msgspec.Struct):
    """What would be on disk: outlives the stores that share it."""

    journal: list[Chunk] = []
    head: int = 0
    progress: dict[tuple[str, str, int], int] = {}
    history: dict[HistoryKey, HistoryRow] = {}
    dead: list[tuple[Instant, DeadLetter]] = []
    epoch: int = 0
    lease_owner: str = ""
    lease_until: Instant = 0
    position: int = 0
    restored: int = 0
    """The journal position of the latest restore, 0 if there was none."""
    states: dict[str, bytes] = {}
    timers: dict[str, tuple[Timer, ...]] = {}
    rule_sets: dict[str, bytes] = {}
    outbox: dict[str, OutboxRow] = {}
    lanes: dict[str, dict[str, OutboxRow]] = {}
    sequence: int = 0
    frozen: bool = False
    rates: dict[str, tuple[int, int]] = {}
    """Target -> (minute, changes in it)."""
    incidents: dict[tuple[str, int], Incident] = {}
    decisions: list[Decision] = []
    snapshots: list[KeptSnapshot] = []
    audit: list[AuditRow] = []
    audit_head: AuditHead = AuditHead()
    answers: dict[str, Answer] = {}


def offered(rows: list[OutboxRow], now: Instant) -> list[OutboxRow]:
    """What a lane gives now; `rows` are its unfinished ones, oldest first."""
    if any(row.state == "claimed" and now < row.until for row in rows):
        return []
    candidates = [row for row in rows if row.action.kind == LOOK] if rows[0].action.kind == LOOK else rows[:1]
    return [row for row in candidates if row.not_before <= now]


def is_resolved_before(incident: Incident, before: Instant) -> bool:
    """Closed, and not touched since `before`."""
    return incident.phase is Phase.RESOLVED and incident.updated_at < before


def put(table: dict[str, T], key: str, value: T | None) -> None:
    """Set, or delete for None."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def latest(rows: list[T], limit: int) -> list[T]:
    """The last `limit` of them, still in order."""
    return rows[max(len(rows) - limit, 0) :]


def drop(rows: list[T], is_old: Callable[[T], bool], limit: int) -> tuple[list[T], int]:
    """(what stays, what is left of the limit) after at most `limit` old rows went, first ones first."""
    kept: list[T] = []
    for row in rows:
        if limit > 0 and is_old(row):
            limit -= 1
        else:
            kept.append(row)
    return kept, limit
