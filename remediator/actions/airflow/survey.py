"""Answers surveys: what is wrong at a scheduler now that no event carries. A handful of calls, changes nothing.

What the API does not show: heartbeats of running tasks. The event log shows those that the scheduler missed, once it
has given up on them ([scheduler] task_instance_heartbeat_timeout, five minutes unless set); that is what is found here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence

from remediator.actions.airflow import findings
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Fault, is_about_deployment
from remediator.actions.airflow.health_client import HealthClient
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey_rows import QueuedDagRun
from remediator.actions.airflow.text import Mask
from remediator.model.action import Action
from remediator.model.inputs import Answer, Surveyed
from remediator.model.time import MINUTE, Duration, Instant
from remediator.model.truth import Finding

PARTS: dict[str, tuple[str, ...]] = {
    "health": ("scheduler.unhealthy", "triggerer.unhealthy", "dag_processor.unhealthy"),
    "pools": ("pool.full",),
    "import_errors": ("import_error.found",),
    "dagruns": ("dagrun.queued_too_long", "dag.paused_unexpectedly"),
    "tasks": ("task.queued_too_long",),
    "heartbeats": ("task.no_heartbeat",),
}
"""What each part of a survey can find, the most important first."""
HEARTBEATS_KEPT: Duration = 10 * MINUTE
"""How long a lost heartbeat is still found."""
UNTOLD_STEPS = (1, 3)
"""Where the API does not tell since when a dagrun waits: so many times the limit are told apart."""


class SurveyExecutor:
    """The Questioner of 'airflow.survey'. clients: deployment -> its API. mask: takes secrets out of text.

    A part that cannot be asked is a finding of its own, 'survey.incomplete', whose attribute `types` says about which
    findings nothing is known; `error` is set only if there is no answer at all.
    """

    def __init__(self, clients: Mapping[str, AirflowClient], mask: Mask) -> None:
        self._clients = clients
        self._mask = mask

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One Surveyed for each action, in order, side by side."""
        return list(await asyncio.gather(*(self._one(action, now) for action in actions)))

    async def _one(self, action: Action, now: Instant) -> Answer:
        client = self._clients.get(action.target)
        if client is None:
            return _no_answer(action, f"no API is configured for deployment {action.target!r}")
        health = HealthClient(client.session)
        # Alone and first: while the deployment is away, one call waits for it and not all of them.
        try:
            row, server = await health.health()
        except Fault as fault:
            if is_about_deployment(fault):
                return _no_answer(action, str(fault))
            first: list[Finding] | Fault = fault
        else:
            first, now = findings.of_health(row), now if server is None else server
        rest = await asyncio.gather(*(_judged(part) for part in _parts(health, client.settings, now, self._mask)))
        return _surveyed(action, dict(zip(PARTS, (first, *rest), strict=True)))


def _parts(
    client: HealthClient, settings: AirflowSettings, now: Instant, mask: Mask
) -> tuple[Awaitable[list[Finding]], ...]:
    """Every part but the health, in the order of PARTS."""
    return (
        _pools(client),
        _import_errors(client, mask),
        _dagruns(client, settings, now),
        _tasks(client, settings, now),
        _heartbeats(client, now),
    )


async def _judged(part: Awaitable[list[Finding]]) -> list[Finding] | Fault:
    try:
        return await part
    except Fault as fault:
        return fault


async def _pools(client: HealthClient) -> list[Finding]:
    return findings.of_pools(await client.pools())


async def _import_errors(client: HealthClient, mask: Mask) -> list[Finding]:
    return findings.of_import_errors(await client.import_errors(), mask)


async def _dagruns(client: HealthClient, settings: AirflowSettings, now: Instant) -> list[Finding]:
    waits = await _waits(client, settings.queued_too_long, now)
    if not waits and not settings.must_run:
        return []
    paused = await client.paused_dags()
    late = findings.of_dagruns(waits, {dag.dag_id for dag in paused})
    return [*late, *findings.of_paused(paused, settings.must_run)]


async def _waits(client: HealthClient, limit: Duration, now: Instant) -> list[tuple[QueuedDagRun, Duration]]:
    """Dagruns that have waited for too long, with how long, or how long at least."""
    queued = await client.queued_dagruns()
    if all(row.queued_at is not None for row in queued):
        return findings.overdue_dagruns(queued, now, limit)
    waits: dict[tuple[str, str], tuple[QueuedDagRun, Duration]] = {}
    for times in UNTOLD_STEPS:
        unchanged = await client.queued_dagruns(now - times * limit)
        waits |= {(row.dag_id, row.dag_run_id): (row, times * limit) for row in unchanged}
        if not unchanged:
            break
    return sorted(waits.values(), key=lambda wait: -wait[1])


async def _tasks(client: HealthClient, settings: AirflowSettings, now: Instant) -> list[Finding]:
    return findings.of_tasks(await client.queued_tasks(), now, settings.queued_too_long)


async def _heartbeats(client: HealthClient, now: Instant) -> list[Finding]:
    return findings.of_heartbeats(await client.heartbeat_losses(now - HEARTBEATS_KEPT))


def _surveyed(action: Action, parts: Mapping[str, list[Finding] | Fault]) -> Surveyed:
    missing = {name: part for name, part in parts.items() if isinstance(part, Fault)}
    if len(missing) == len(parts):
        return _no_answer(action, str(next(iter(missing.values()))))
    untold = [findings.incomplete(name, PARTS[name], str(fault)) for name, fault in missing.items()]
    found = [part for part in parts.values() if not isinstance(part, Fault)]
    return Surveyed(action.id, action.target, findings.bounded([untold, *found]))


def _no_answer(action: Action, error: str) -> Surveyed:
    return Surveyed(action.id, action.target, error=error)
