"""The executors of every change that Airflow knows, by kind, and what each would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from remediator.actions.airflow.backfill import Backfilling
from remediator.actions.airflow.cancel_backfill import Cancelling
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Fault
from remediator.actions.airflow.mark import Marking
from remediator.actions.airflow.once import Change, once, proved, tried
from remediator.actions.airflow.pause import Pausing
from remediator.actions.airflow.pool import Resizing
from remediator.actions.airflow.reprocess import ReprocessExecutor
from remediator.actions.airflow.rerun import Rerunning
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.trigger import Triggering
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee
from remediator.model.outcome import Outcome, Refused, Unknown


class AirflowExecutor(Protocol):
    """An Executor that can also say what it would do."""

    guarantee: Guarantee

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Do it once."""

    async def prove(self, action: Action) -> Outcome:
        """What became of it; nothing is sent."""

    async def preview(self, action: Action) -> Preview:
        """As actions.port.Previewer."""


class Changing(Protocol):
    """Makes a Change of an action."""

    guarantee: Guarantee

    def __call__(self, client: AirflowClient, action: Action, *, uncertain: bool) -> Change[Any, Any, Any]: ...


class OneChange:
    """The Executor of one kind of change. clients: deployment -> its API."""

    def __init__(self, clients: Mapping[str, AirflowClient], change: Changing) -> None:
        self.guarantee = change.guarantee
        self._clients = clients
        self._change = change

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Do it once."""
        client = self._clients.get(action.target)
        if client is None:
            return Refused(_unknown(action))
        return await once(self._change(client, action, uncertain=uncertain), uncertain=uncertain)

    async def prove(self, action: Action) -> Outcome:
        """What became of it."""
        client = self._clients.get(action.target)
        if client is None:
            return Unknown(_unknown(action))
        return await proved(self._change(client, action, uncertain=True))

    async def preview(self, action: Action) -> Preview:
        """What it would do now."""
        client = self._clients.get(action.target)
        if client is None:
            return Preview("", error=_unknown(action))
        answer = await tried(self._change(client, action, uncertain=False).preview())
        return Preview("", error=str(answer)) if isinstance(answer, Fault) else answer


def executors(clients: Mapping[str, AirflowClient]) -> dict[str, AirflowExecutor]:
    """Kind -> its executor."""
    return {
        "airflow.retry": RetryExecutor(clients),
        "airflow.rerun": OneChange(clients, Rerunning),
        "airflow.trigger": OneChange(clients, Triggering),
        "airflow.reprocess": ReprocessExecutor(clients),
        "airflow.backfill": OneChange(clients, Backfilling),
        "airflow.cancel_backfill": OneChange(clients, Cancelling),
        "airflow.pause": OneChange(clients, Pausing),
        "airflow.pool": OneChange(clients, Resizing),
        "airflow.mark": OneChange(clients, Marking),
    }


def _unknown(action: Action) -> str:
    return f"no API is configured for deployment {action.target!r}"
