"""Performs retries: looks, clears only the attempts that were meant, finds out what happened. `verdict` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.airflow import ending, marked, scope, verdict
from remediator.actions.airflow.client import AirflowClient, Position, next_position
from remediator.actions.airflow.errors import Fault, Lost, TooLarge, is_about_deployment
from remediator.actions.airflow.once import Watch, tried
from remediator.actions.airflow.preview import of_clear
from remediator.actions.airflow.routes import Clearing
from remediator.actions.airflow.rows import TaskInstancePage, TaskInstanceRow
from remediator.actions.airflow.scope import Plan
from remediator.actions.airflow.verdict import Clear, Found, LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Retry, RetryTarget
from remediator.model.outcome import NOT_DONE, Outcome, Refused, Unknown

MOST_SINGLY = 20
"""How many task instances are asked for one by one."""


class RetryExecutor:
    """The Executor of 'airflow.retry'. clients: deployment -> its API.

    Every call looks first, so a repeat after a crash is harmless whether it says `uncertain` or not.
    """

    guarantee = Guarantee.PROVABLE

    def __init__(self, clients: Mapping[str, AirflowClient]) -> None:
        self._clients = clients

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Clear once, provably. See `verdict` for what each answer means."""
        retry = _retry(action)
        client = self._clients.get(action.target)
        if client is None:
            return Refused(f"no API is configured for deployment {action.target!r}")
        watch = Watch()
        found = await _found(client, retry, retry.tasks)
        if isinstance(found, TooLarge) and not uncertain:
            return Refused(str(found))
        if isinstance(found, Fault):
            return verdict.look_failed(found, uncertain=uncertain)
        decided = verdict.before(found, action.id, retry, uncertain=uncertain)
        return await _if_wanted(client, action, decided, found, watch, uncertain)

    async def prove(self, action: Action) -> Outcome:
        """Its note tells; the attempt that is still there and failed tells that it was not cleared."""
        retry = _retry(action)
        client = self._clients.get(action.target)
        if client is None:
            return Unknown(f"no API is configured for deployment {action.target!r}")
        found = await _found(client, retry, retry.tasks)
        if isinstance(found, Fault):
            return verdict.look_failed(found, uncertain=True)
        decided = verdict.before(found, action.id, retry, uncertain=True)
        return Refused(NOT_DONE) if isinstance(decided, Clear) else decided

    async def preview(self, action: Action) -> Preview:
        """What the scheduler would clear now, and whether the attempts are still the ones that were meant."""
        retry = _retry(action)
        client = self._clients.get(action.target)
        if client is None:
            return Preview("", error=f"no API is configured for deployment {action.target!r}")
        found = await _found(client, retry, retry.tasks)
        if isinstance(found, Fault):
            return Preview("", error=str(found))
        decided = verdict.before(found, action.id, retry, uncertain=False)
        asked = await tried(_dry_run(client, retry, decided.tasks if isinstance(decided, Clear) else retry.tasks))
        if isinstance(asked, Fault):
            return Preview("", error=str(asked))
        return _previewed(*asked, action, decided)


def _previewed(what: Clearing, page: TaskInstancePage, action: Action, decided: Clear | Outcome) -> Preview:
    retry, rows = _retry(action), page.task_instances
    meant = None if what.tasks is None else {(task.task_id, task.map_index) for task in what.tasks}
    planned = scope.planned(what, rows, retry, action.id, action.target)
    refused = next((one for one in (decided, planned) if isinstance(one, Refused)), None)
    return of_clear(rows, retry.dag_id, retry.run_id, meant=meant, refused=refused)


async def _if_wanted(
    client: AirflowClient,
    action: Action,
    decided: Clear | Outcome,
    found: Sequence[Found],
    watch: Watch,
    uncertain: bool,
) -> Outcome:
    """What a person marked failed is left as it is."""
    if not isinstance(decided, Clear):
        return decided
    rows = {target: row for target, row in found if row is not None and target in decided.tasks}
    since = min(marked.begun(row) for row in rows.values())
    lines = await tried(client.logged(marked.EVENTS, _retry(action).dag_id, since))
    if isinstance(lines, TooLarge) and not uncertain:
        return Refused(f"whether a person marked it failed is not known: {lines}")
    if isinstance(lines, Fault):
        return verdict.look_failed(lines, uncertain=uncertain)
    theirs = {target: wish for target, row in rows.items() if (wish := marked.of_task(row, lines)) is not None}
    spared = verdict.spared(decided, rows, theirs, action.id, _retry(action))
    if isinstance(spared, Refused):
        return spared
    return verdict.told_of(theirs, await _planned(client, action, spared, watch, uncertain))


async def _planned(client: AirflowClient, action: Action, clear: Clear, watch: Watch, uncertain: bool) -> Outcome:
    is_ending = await tried(_is_ending(client, _retry(action), clear))
    if isinstance(is_ending, Fault):
        return verdict.look_failed(is_ending, uncertain=uncertain)
    if is_ending:
        return ending.wait(uncertain=uncertain)
    plan = await _plan(client, action, clear)
    if isinstance(plan, TooLarge):
        return Refused(f"the scheduler's dry run lists more than can be read: {plan}")
    if isinstance(plan, Fault):
        return verdict.look_failed(plan, uncertain=uncertain)
    if isinstance(plan, Refused):
        return plan
    if watch.is_stale:
        return verdict.look_too_old(uncertain=uncertain)
    return await _cleared(client, action, clear, plan, uncertain)


async def _plan(client: AirflowClient, action: Action, clear: Clear) -> Plan | Refused | Fault:
    retry = _retry(action)
    if not scope.is_planned(retry):
        return Plan(scope.clearing(retry, clear.tasks, ()), clear.note)
    asked = await tried(_dry_run(client, retry, clear.tasks))
    if isinstance(asked, Fault):
        return asked
    what, page = asked
    return scope.planned(what, page.task_instances, retry, action.id, action.target)


async def _is_ending(client: AirflowClient, retry: Retry, clear: Clear) -> bool:
    run = await client.dagrun(retry.dag_id, retry.run_id)
    if not ending.may_be_ending(run, clear.failed_at):
        return False
    return not await client.count_in(retry.dag_id, retry.run_id, ending.IN_FLIGHT)


async def _dry_run(
    client: AirflowClient, retry: Retry, targets: Sequence[RetryTarget]
) -> tuple[Clearing, TaskInstancePage]:
    rows = await _all(client, retry) if scope.is_grouped(retry, targets) else []
    what = scope.clearing(retry, targets, rows)
    return what, await client.would_clear(what)


async def _all(client: AirflowClient, retry: Retry) -> list[TaskInstanceRow]:
    """Every task instance of the dagrun. Raises TooLarge if they are more than a look may read."""
    rows: list[TaskInstanceRow] = []
    at = Position()
    for _ in range(client.settings.max_pages):
        page = await client.task_instances(retry.dag_id, retry.run_id, at)
        rows += page.task_instances
        following = next_position(page, at)
        if following is None:
            return rows
        at = following
    raise TooLarge(f"{retry.dag_id} {retry.run_id} has more than {len(rows)} task instances")


async def _cleared(client: AirflowClient, action: Action, clear: Clear, plan: Plan, uncertain: bool) -> Outcome:
    decided = await _sent(client, action, clear, plan, uncertain)
    if not isinstance(decided, LookAgain):
        return decided
    retry = _retry(action)
    return verdict.after(await _found(client, retry, clear.tasks), decided, action.id, retry)


async def _sent(
    client: AirflowClient, action: Action, clear: Clear, plan: Plan, uncertain: bool
) -> Outcome | LookAgain:
    try:
        page = await client.changes.clear(plan.clearing, plan.note)
    except Fault as fault:
        return verdict.refused(fault, uncertain=uncertain)
    return verdict.answered(page, clear, action.id, _retry(action))


async def _found(client: AirflowClient, retry: Retry, targets: Sequence[RetryTarget]) -> list[Found] | Fault:
    """One call each for a few. For the many indexes of a mapped task that would take longer than a look is valid."""
    if len(targets) > MOST_SINGLY:
        rows = await tried(_together(client, retry, sorted({target.task_id for target in targets})))
        if isinstance(rows, list):
            known = {(row.task_id, row.map_index): row for row in rows}
            return [(target, known.get((target.task_id, target.map_index))) for target in targets]
        if isinstance(rows, TooLarge) or is_about_deployment(rows):
            return rows
    return await _singly(client, retry, targets)


async def _together(client: AirflowClient, retry: Retry, task_ids: Sequence[str]) -> list[TaskInstanceRow]:
    """Raises TooLarge if they are more than a look may read."""
    found: dict[tuple[str, int], TaskInstanceRow] = {}
    seen = 0
    for _ in range(client.settings.max_pages):
        page = await client.of_tasks(retry.dag_id, retry.run_id, task_ids, seen)
        found |= {(row.task_id, row.map_index): row for row in page.rows}
        seen += len(page.rows)
        if len(found) < seen:
            raise Lost("the pages of task instances overlap, so that some may be missing")
        if not page.rows or page.total_entries is None or seen >= page.total_entries:
            return list(found.values())
    raise TooLarge(f"{retry.dag_id} {retry.run_id} has more than {seen} task instances of the tasks to be cleared")


async def _singly(client: AirflowClient, retry: Retry, targets: Sequence[RetryTarget]) -> list[Found] | Fault:
    rows = await asyncio.gather(*(_row(client, retry, target) for target in targets))
    faults = [row for row in rows if isinstance(row, Fault)]
    return (
        faults[0] if faults else [(t, row) for t, row in zip(targets, rows, strict=True) if not isinstance(row, Fault)]
    )


async def _row(client: AirflowClient, retry: Retry, target: RetryTarget) -> TaskInstanceRow | Fault | None:
    return await tried(client.task_instance(retry.dag_id, retry.run_id, target.task_id, target.map_index))


def _retry(action: Action) -> Retry:
    assert isinstance(action.params, Retry)  # noqa: S101  (the dispatcher picks the executor by kind)
    return action.params
