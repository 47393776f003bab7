"""Answers questions for what a change would do: the change's own executor is asked, and nothing is changed.

Owns the time that such a question may take. What a dry run is, is the executor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from remediator.actions.port import Executor, Preview, Previewer
from remediator.model.action import Action, DryRun
from remediator.model.inputs import Answer, Previewed
from remediator.model.time import SECOND, Duration, Instant, format_duration

PATIENCE: Duration = 20 * SECOND
"""Less than people wait for it."""


class PreviewQuestioner:
    """The Questioner of 'preview'. executors: by kind of change."""

    def __init__(self, executors: Mapping[str, Executor], patience: Duration = PATIENCE) -> None:
        self._executors = executors
        self._patience = patience

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One Previewed for each action, in order, side by side."""
        return list(await asyncio.gather(*(self._one(action) for action in actions)))

    async def _one(self, action: Action) -> Answer:
        wanted = action.params
        assert isinstance(wanted, DryRun)  # noqa: S101  (the dispatcher picks the executor by kind)
        found = await previewed(self._executors, msgspec.structs.replace(action, params=wanted.change), self._patience)
        return Previewed(action.id, action.key, found.text, found.affects, found.refused, found.error)


async def previewed(executors: Mapping[str, Executor], action: Action, patience: Duration) -> Preview:
    """What the change would do now, as far as its executor can tell in that time."""
    executor = executors.get(action.kind)
    if not isinstance(executor, Previewer):
        return Preview("", error=f"nothing here performs {action.kind}")
    try:
        async with asyncio.timeout(patience / SECOND):
            return await executor.preview(action)
    except TimeoutError:
        return Preview("", error=f"{action.target} did not answer within {format_duration(patience)}")
