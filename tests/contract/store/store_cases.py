"""What the contract tests share: backends, and small builders of actions, batches and inputs."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from remediator.model.action import Action, LogLine, Look, Message, Retry, RetryTarget, Sweep
from remediator.model.event import Event
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.inputs import Entry, Fact, Input, Pressed
from remediator.model.reasons import Decision, Reason
from remediator.model.record import DeadLetter
from remediator.model.time import HOUR, SECOND
from remediator.store.memory import MemoryData, MemoryStore
from remediator.store.port import HistoryRow, Lease, MatcherBatch, StepCommit, Store
from remediator.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
LONG = 3_600 * SECOND


class Backend:
    """A place that stores open. `store` opens one more; all are closed with the backend."""

    def __init__(self) -> None:
        self.opened: list[Store] = []

    def make_store(self) -> Store:
        raise NotImplementedError

    async def store(self) -> Store:
        store = self.make_store()
        await store.open()
        self.opened.append(store)
        return store

    async def close(self) -> None:
        for store in self.opened:
            await store.close()


class MemoryBackend(Backend):
    def __init__(self) -> None:
        super().__init__()
        self.data = MemoryData()
        self.now = NOW

    async def _yield(self, point: str) -> None:
        await asyncio.sleep(0)

    def make_store(self) -> Store:
        return MemoryStore(self.data, clock=lambda: self.now, pause=self._yield)


class SqliteBackend(Backend):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_store(self) -> Store:
        return SqliteStore(self.path)


class PostgresBackend(Backend):
    def __init__(self, url: str, schema: str) -> None:
        super().__init__()
        self.url = f"{url}{'&' if '?' in url else '?'}search_path={schema}"

    @classmethod
    async def make(cls, url: str) -> PostgresBackend:
        schema = f"t{uuid.uuid4().hex}"
        # Not dropped: the server goes with the test session, and dropping takes longer than the test.
        await cls._execute(url, f"CREATE SCHEMA {schema}")
        return cls(url, schema)

    @staticmethod
    async def _execute(url: str, statement: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def make_store(self) -> Store:
        from remediator.store.postgres import PostgresStore

        return PostgresStore(self.url, ahead=None)  # these tests set their clock by hand


# -- builders ---------------------------------------------------------------------------------------------------


def pressed(text: str) -> Pressed:
    return Pressed(actor="ada", command="acknowledge", reason=text)


def fact(n: int) -> Fact:
    return Fact(event=Event(type="task.failed", time=NOW + n, dag_id="dag", run_id=f"run-{n}", task_id="task"))


def reasons(entries: list[Entry]) -> list[str]:
    """The texts of `pressed` inputs, in journal order."""
    return [entry.input.reason for entry in entries if isinstance(entry.input, Pressed)]


async def whole_journal(store: Store, after: int = 0, limit: int = 100) -> list[Entry]:
    """Everything after `after`, read in steps of `limit`."""
    entries: list[Entry] = []
    while found := await store.read_journal(after, limit):
        entries += found
        after = entries[-1].position
    return entries


def batch(expected: int | None, next_offset: int, inputs: list[Input] | None = None, **fields: Any) -> MatcherBatch:
    place = {"feed": "feed", "topic": "topic", "partition": 0, "at": NOW} | fields
    return MatcherBatch(expected=expected, next_offset=next_offset, inputs=inputs or [], **place)


def action(name: str, params: Any, lane: str = "", **fields: Any) -> Action:
    timing = {"not_before": NOW, "not_after": NOW + HOUR} | fields
    return Action(id=name, lane=lane or name, key="dag:d/dag", target="d", params=params, **timing)


def look(name: str, lane: str = "look:d", **fields: Any) -> Action:
    return action(name, Look(dag_id="dag", run_id=name), lane, **fields)


def sweep(name: str, lane: str = "sweep:d", **fields: Any) -> Action:
    return action(name, Sweep(since=NOW), lane, **fields)


def retry(name: str, lane: str = "", **fields: Any) -> Action:
    return action(name, Retry(dag_id="dag", run_id="run", tasks=(RetryTarget("task", 1),)), lane, **fields)


def log(name: str, lane: str = "", **fields: Any) -> Action:
    return action(name, LogLine(incident=incident("i"), text=name), lane, **fields)


def message(name: str, lane: str, replaces: str = "", **fields: Any) -> Action:
    return action(name, Message(incident=incident("i"), channel="C1"), lane, replaces=replaces, **fields)


def incident(name: str, episode: int = 1, updated_at: int = NOW, **fields: Any) -> Incident:
    fixed = {"title": "t", "severity": "warning", "deployment": "d", "phase": Phase.FIRING, "handling": Handling.NONE}
    return Incident(id=name, episode=episode, opened_at=NOW, updated_at=updated_at, **(fixed | fields))


def decision(position: int, of: str = "i", at: int = NOW, text: str = "because") -> Decision:
    return Decision(position=position, at=at, key="dag:d/dag", reason=Reason.SUSPECTED, text=text, incident=of)


def dead_letter(offset: int, timestamp: int = NOW, reason: str = "not JSON") -> DeadLetter:
    return DeadLetter("feed", "topic", 0, offset, timestamp, reason, 3, b"\x00{\xff")


def history_row(try_number: int, state: str, time: int = NOW, task_id: str = "task", **fields: Any) -> HistoryRow:
    return HistoryRow("d", "dag", "run", task_id, -1, try_number, state, time, **fields)


async def lease_of(store: Store, owner: str = "one") -> Lease:
    lease = await store.acquire_lease(owner, LONG)
    assert lease is not None
    return lease


async def step(store: Store, lease: Lease, position: int = 1, at: int = NOW, **fields: Any) -> None:
    await store.commit_step(lease, StepCommit(position=position, at=at, **fields))


async def with_actions(store: Store, *actions: Action) -> Lease:
    """A lease, after a step that wanted these actions."""
    lease = await lease_of(store)
    await step(store, lease, actions=actions)
    return lease


async def claimed(store: Store, now: int = NOW, limit: int = 100, worker: str = "w") -> dict[str, Any]:
    """Claim for a minute: action id -> claim."""
    return {claim.action.id: claim for claim in await store.claim(worker, now, 60 * SECOND, limit)}
