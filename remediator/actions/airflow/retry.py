"""Performs retries: looks, clears only the attempts that were meant, finds out what happened. `verdict` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.airflow import verdict
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Fault
from remediator.actions.airflow.rows import TaskInstanceRow
from remediator.actions.airflow.verdict import Clear, Found, LookAgain
from remediator.model.action import Action, Guarantee, Retry, RetryTarget
from remediator.model.outcome import Outcome, Refused
from remediator.model.time import SECOND


class RetryExecutor:
    """The Executor of 'airflow.retry'. clients: deployment -> its API.

    Every call looks first, so a repeat after a crash is harmless whether it says `uncertain` or not.
    """

    guarantee = Guarantee.PROVABLE

    def __init__(self, clients: Mapping[str, AirflowClient]) -> None:
        self._clients = clients

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Clear once, provably. See `verdict` for what each answer means."""
        retry = action.params
        assert isinstance(retry, Retry)  # noqa: S101  (the dispatcher picks the executor by kind)
        client = self._clients.get(action.target)
        if client is None:
            return Refused(f"no API is configured for deployment {action.target!r}")
        asked_at = asyncio.get_running_loop().time()
        found = await _found(client, retry, retry.tasks)
        if isinstance(found, Fault):
            return verdict.look_failed(found, uncertain=uncertain)
        if (asyncio.get_running_loop().time() - asked_at) * SECOND > verdict.LOOK_VALID:
            return verdict.look_too_old(uncertain=uncertain)
        decided = verdict.before(found, action.id, retry, uncertain=uncertain)
        return await _cleared(client, action.id, retry, decided, uncertain) if isinstance(decided, Clear) else decided


async def _cleared(client: AirflowClient, action_id: str, retry: Retry, clear: Clear, uncertain: bool) -> Outcome:
    decided = await _sent(client, action_id, retry, clear, uncertain)
    if not isinstance(decided, LookAgain):
        return decided
    return verdict.after(await _found(client, retry, clear.tasks), decided, action_id)


async def _sent(
    client: AirflowClient, action_id: str, retry: Retry, clear: Clear, uncertain: bool
) -> Outcome | LookAgain:
    try:
        page = await client.clear(retry.dag_id, retry.run_id, clear.tasks, clear.note)
    except Fault as fault:
        return verdict.refused(fault, uncertain=uncertain)
    return verdict.answered(page, clear, action_id)


async def _found(client: AirflowClient, retry: Retry, targets: Sequence[RetryTarget]) -> list[Found] | Fault:
    rows = await asyncio.gather(*(_row(client, retry, target) for target in targets))
    faults = [row for row in rows if isinstance(row, Fault)]
    return (
        faults[0] if faults else [(t, row) for t, row in zip(targets, rows, strict=True) if not isinstance(row, Fault)]
    )


async def _row(client: AirflowClient, retry: Retry, target: RetryTarget) -> TaskInstanceRow | Fault | None:
    try:
        return await client.task_instance(retry.dag_id, retry.run_id, target.task_id, target.map_index)
    except Fault as fault:
        return fault
