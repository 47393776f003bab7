"""Answers looks: one call a dagrun, one for the task instances of them all, one for each DAG in which some failed.

Changes nothing. What the tries of finished task instances prove is proving.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import msgspec

from remediator.actions.airflow.client import AirflowClient, Position, next_position
from remediator.actions.airflow.errors import Fault, is_about_deployment
from remediator.actions.airflow.once import tried
from remediator.actions.airflow.proving import DagRunKey, Proofs, Wanted, name_of, proofs_of
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.rows import DONE_STATES, DagRunRow, TaskInstanceRow, instant_of, task_truth
from remediator.model.action import Action, Look
from remediator.model.inputs import Answer, Looked
from remediator.model.time import Instant
from remediator.model.truth import DagRunTruth


class Instances(msgspec.Struct, frozen=True):
    """The unfinished task instances of one dagrun. complete: no page was left unread."""

    rows: tuple[TaskInstanceRow, ...]
    complete: bool = True


class Standing(msgspec.Struct, frozen=True):
    """What a look tells of a DAG. tags: None if the scheduler would not say."""

    paused: bool = False
    tags: tuple[str, ...] | None = ()


NOT_ASKED = Standing()
Heads = dict[DagRunKey, DagRunRow | Fault | None]
Bodies = dict[DagRunKey, Instances | Fault]


class LookExecutor:
    """The Questioner of 'airflow.look'. clients: deployment -> its API."""

    def __init__(self, clients: Mapping[str, AirflowClient]) -> None:
        self._clients = clients

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One Looked for each action, in order, side by side for different deployments."""
        wanted: dict[str, Wanted] = {}
        for action in actions:
            wanted.setdefault(action.target, {}).setdefault(_key(action), set()).update(_look(action).proving)
        found = await asyncio.gather(*(self._deployment(name, keys) for name, keys in wanted.items()))
        truths = dict(zip(wanted, found, strict=True))
        return [_looked(action, truths[action.target][_key(action)]) for action in actions]

    async def _deployment(self, name: str, wanted: Wanted) -> dict[DagRunKey, DagRunTruth | str]:
        client, keys = self._clients.get(name), tuple(wanted)
        if client is None:
            return dict.fromkeys(keys, f"no API is configured for deployment {name!r}")
        # Task instances are read after their dagrun: the other way round a task that fails in between
        # would look healed in a dagrun that looks failed.
        heads = await _heads(client, keys)
        bodies: Bodies = {}
        proofs: Proofs = {}
        known = [key for key, head in heads.items() if isinstance(head, DagRunRow)]
        for batch in _batches(known, client.settings.batch_size):
            bodies |= await _bodies(client, batch)
            proofs |= await proofs_of(client, {key: wanted[key] - _unfinished(bodies[key]) for key in batch})
        dags = await _dags(client, {key[0] for key, body in bodies.items() if _has_failed(body)})
        return {
            key: _truth(name, key, heads[key], bodies.get(key), dags.get(key[0], NOT_ASKED), proofs.get(key, ()))
            for key in keys
        }


async def _heads(client: AirflowClient, keys: Sequence[DagRunKey]) -> Heads:
    """The first alone: while the deployment is away, one call waits for it and not hundreds."""
    first = await _head(client, keys[0])
    if isinstance(first, Fault) and is_about_deployment(first):
        return dict.fromkeys(keys, first)
    rest = await asyncio.gather(*(_head(client, key) for key in keys[1:]))
    return dict(zip(keys, (first, *rest), strict=True))


async def _head(client: AirflowClient, key: DagRunKey) -> DagRunRow | Fault | None:
    try:
        return await client.dagrun(*key)
    except Fault as fault:
        return fault


async def _bodies(client: AirflowClient, keys: Sequence[DagRunKey]) -> Bodies:
    """All in one call; one by one if that is refused or does not fit a page, so that one dagrun spoils no other."""
    limit = client.settings.page_size * client.settings.max_pages
    dags, dagruns = (sorted({key[part] for key in keys}) for part in (0, 1))
    try:
        page = await client.unfinished(dags, dagruns, limit)
    except Fault as fault:
        if is_about_deployment(fault):
            return dict.fromkeys(keys, fault)
        return await _one_by_one(client, keys)
    if (page.total_entries or 0) > len(page.task_instances):
        return await _one_by_one(client, keys)
    return _by_dagrun(keys, page.task_instances)


async def _one_by_one(client: AirflowClient, keys: Sequence[DagRunKey]) -> Bodies:
    found = await asyncio.gather(*(_body(client, key) for key in keys))
    return dict(zip(keys, found, strict=True))


async def _body(client: AirflowClient, key: DagRunKey) -> Instances | Fault:
    """Without a state filter: an Airflow that does not know one of our states refuses the whole question."""
    rows: list[TaskInstanceRow] = []
    at: Position | None = Position()
    try:
        for _ in range(client.settings.max_pages):
            page = await client.task_instances(*key, at or Position())
            rows += [row for row in page.task_instances if row.state not in DONE_STATES]
            at = next_position(page, at or Position())
            if at is None:
                break
    except Fault as fault:
        return fault
    return Instances(tuple(rows), complete=at is None)


def _has_failed(body: Instances | Fault) -> bool:
    return isinstance(body, Instances) and any(row.state == "failed" for row in body.rows)


def _unfinished(body: Instances | Fault) -> set[str]:
    """What proves nothing yet; of a body that could not be read, nothing is asked either."""
    return {name_of(row) for row in body.rows} if isinstance(body, Instances) else set()


async def _dags(client: AirflowClient, dags: Collection[str]) -> dict[str, Standing | Fault]:
    names = sorted(dags)
    found = await asyncio.gather(*(tried(client.dag(name)) for name in names))
    return {name: _standing(answer) for name, answer in zip(names, found, strict=True)}


def _standing(answer: DagRow | Fault | None) -> Standing | Fault:
    """What the scheduler refuses to say counts as not paused, and its tags as unknown."""
    if isinstance(answer, Fault):
        return answer if is_about_deployment(answer) else Standing(tags=None)
    if answer is None:
        return Standing(tags=None)
    return Standing(answer.is_paused, tuple(sorted(tag.name for tag in answer.tags or ())))


def _by_dagrun(keys: Sequence[DagRunKey], rows: Sequence[TaskInstanceRow]) -> Bodies:
    """Rows of combinations that nobody asked for are dropped."""
    grouped: dict[DagRunKey, list[TaskInstanceRow]] = {key: [] for key in keys}
    for row in rows:
        mine = grouped.get((row.dag_id, row.dag_run_id))
        if mine is not None and row.state not in DONE_STATES:
            mine.append(row)
    return {key: Instances(tuple(mine)) for key, mine in grouped.items()}


def _truth(
    deployment: str,
    key: DagRunKey,
    head: DagRunRow | Fault | None,
    body: Instances | Fault | None,
    dag: Standing | Fault,
    proofs: Sequence[TaskInstanceRow] | Fault,
) -> DagRunTruth | str:
    dag_id, run_id = key
    if isinstance(head, Fault):
        return str(head)
    if head is None or body is None:
        return DagRunTruth(deployment=deployment, dag_id=dag_id, run_id=run_id, state="")
    if isinstance(body, Fault):
        return str(body)
    if isinstance(dag, Fault):
        return str(dag)
    if isinstance(proofs, Fault):
        return str(proofs)
    tasks = sorted((task_truth(row) for row in body.rows), key=lambda task: (task.task_id, task.map_index))
    return DagRunTruth(
        deployment=deployment,
        dag_id=dag_id,
        run_id=run_id,
        state=head.state,
        tasks=tuple(tasks),
        ended_at=instant_of(head.end_date),
        complete=body.complete,
        paused=dag.paused,
        tags=dag.tags,
        proved=tuple(task_truth(row) for row in proofs),
    )


def _look(action: Action) -> Look:
    assert isinstance(action.params, Look)  # noqa: S101  (the dispatcher picks the executor by kind)
    return action.params


def _key(action: Action) -> DagRunKey:
    return _look(action).dag_id, _look(action).run_id


def _looked(action: Action, truth: DagRunTruth | str) -> Looked:
    _, run_id = _key(action)
    if isinstance(truth, str):
        return Looked(action_id=action.id, key=action.key, run_id=run_id, error=truth)
    return Looked(action_id=action.id, key=action.key, run_id=run_id, truth=truth)


def _batches(keys: Sequence[DagRunKey], size: int) -> list[tuple[DagRunKey, ...]]:
    return [tuple(keys[start : start + size]) for start in range(0, len(keys), size)]
