"""Answers questions for the end of a try's log: one call each, of which only the end is kept. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Fault
from remediator.actions.airflow.health_client import HealthClient
from remediator.actions.airflow.log_text import tail
from remediator.actions.airflow.text import Mask
from remediator.model.action import Action, LogTail
from remediator.model.inputs import Answer, Tailed
from remediator.model.time import Instant

KEPT_BYTES = 1024 * 1024
"""Of the log as the API gives it: one line of it can hold a stack trace, or a whole SQL statement."""


class LogTailExecutor:
    """The Questioner of 'airflow.log'. clients: deployment -> its API. mask: takes secrets out of text."""

    def __init__(self, clients: Mapping[str, AirflowClient], mask: Mask) -> None:
        self._clients = clients
        self._mask = mask

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One Tailed for each action, in order, side by side."""
        return list(await asyncio.gather(*(self._one(action) for action in actions)))

    async def _one(self, action: Action) -> Answer:
        wanted = action.params
        assert isinstance(wanted, LogTail)  # noqa: S101  (the dispatcher picks the executor by kind)
        client = self._clients.get(action.target)
        if client is None:
            return _none(action, f"no API is configured for deployment {action.target!r}")
        try:
            end = await HealthClient(client.session).log_end(wanted, KEPT_BYTES)
        except Fault as fault:
            return _none(action, str(fault))
        text = tail(end.body, self._mask, cut=end.cut)
        return Tailed(action.id, action.key, text) if text else _none(action, "the log is empty")


def _none(action: Action, error: str) -> Tailed:
    return Tailed(action.id, action.key, error=error)
