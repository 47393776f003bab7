"""Performs `log`: the incident as one line of the daemon's own log. The last channel that can still speak."""

from __future__ import annotations

from collections.abc import Callable

from remediator.model.action import Action, Guarantee, LogLine
from remediator.model.outcome import NOT_DONE, Delivered, Outcome, Refused

LIMIT = 2_000


class LogExecutor:
    """`write` takes an event name and fields, as a structlog logger's method does."""

    guarantee = Guarantee.AT_LEAST_ONCE

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    async def prove(self, action: Action) -> Outcome:
        """A line more or less harms nobody: it is written when it is wanted anew."""
        return Refused(NOT_DONE)

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Write it. Raises TypeError for an action of another kind."""
        params = action.params
        if not isinstance(params, LogLine):
            raise TypeError(f"not a log line: {action.kind}")
        incident = params.incident
        self._write(
            "incident.told",
            text=params.text[:LIMIT],
            incident=incident.id,
            episode=incident.episode,
            severity=incident.severity,
            phase=incident.phase.value,
            deployment=incident.deployment,
            dag_id=incident.dag_id,
            task_id=incident.task_id,
            error=incident.error[:LIMIT],
            action_id=action.id,
        )
        return Delivered()
