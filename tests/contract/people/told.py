"""Incidents and actions for the people-facing contract tests."""

from __future__ import annotations

import time
from typing import Any

from remediator.model.action import Action, LogLine, Message, Page, Params
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.time import MINUTE

NOW = int(time.time() * 1_000_000)

OPEN = Incident(
    id="5f0c1d2e3a4b5c6d7e8f9a0b",
    episode=1,
    title="orders / load failed: connection reset",
    severity="error",
    deployment="prod",
    phase=Phase.FIRING,
    handling=Handling.REMEDIATING,
    opened_at=NOW,
    updated_at=NOW,
    dag_id="orders",
    task_id="load",
    rule="task-lost-connection",
    owner="data-platform",
    error="ConnectionResetError: [Errno 104] Connection reset by peer",
    log_url="https://airflow.example.com/dags/orders/runs/1?a=1&b=2",
    dagruns=("scheduled__2026-11-22T06:00:00+00:00",),
    failures=3,
    status="retry 1 of 3 issued",
)


def action(params: Params, target: str = "team", name: str = "a1") -> Action:
    return Action(
        id=f"action-{name}",
        lane="message:x",
        key="dag:prod/orders",
        target=target,
        params=params,
        not_before=NOW,
        not_after=NOW + 30 * MINUTE,
    )


def message(incident: Incident = OPEN, channel: str = "#alerts", ref: str = "", **more: Any) -> Action:
    return action(Message(incident=incident, channel=channel, ref=ref), **more)


def page(incident: Incident = OPEN, event_action: str = "trigger", key: str = "incident-1", **more: Any) -> Action:
    return action(Page(incident=incident, event_action=event_action, dedup_key=key), **more)


def log_line(text: str, incident: Incident = OPEN) -> Action:
    return action(LogLine(incident=incident, text=text), target="")
