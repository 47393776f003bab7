"""Incidents: the open problems that people see. A read model; the engine keeps its own part in key state."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from remediator.model.time import Instant

REPORT_RULE = "self.report"
"""What a scheduled report is told as: it is no problem, and ends without a word."""


class Phase(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Handling(StrEnum):
    NONE = "none"
    REMEDIATING = "remediating"
    ACKNOWLEDGED = "acknowledged"


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that a person may approve. key: the state key that must hear of it. asked_at: 0 if it is not known.

    preview: what a yes would do, as the target said when it was asked, or why it said nothing; '' where none is asked.
    affects: how many task instances that touches; 0: none, or nobody knows.
    """

    id: str
    key: str
    action: str
    text: str
    expires_at: Instant
    asked_at: Instant = 0
    preview: str = ""
    affects: int = 0


class Incident(msgspec.Struct, frozen=True, omit_defaults=True):
    """One problem. `id` names its group; each reopening is a new episode of the same id.

    dagruns: the affected dagruns, latest last, bounded; `failures` counts all of them.
    cause: the failure that opened it: what sets one episode's actions apart for ever.
    text: what the rule has to say about it, rendered; escaped by whoever shows it.
    resolution: why it ended: a reason's name with text, empty while open.
    """

    id: str
    episode: int
    title: str
    severity: str
    deployment: str
    phase: Phase
    handling: Handling
    opened_at: Instant
    updated_at: Instant
    cause: str = ""
    dag_id: str = ""
    task_id: str = ""
    rule: str = ""
    owner: str = ""
    error: str = ""
    log_url: str = ""
    dagruns: tuple[str, ...] = ()
    failures: int = 0
    status: str = ""
    resolution: str = ""
    resolved_at: Instant | None = None
    paged: bool = False
    helped: bool = False
    impact: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    log_tail: str = ""
    text: str = ""
    runbook: str = ""
    labels: dict[str, str] = {}
