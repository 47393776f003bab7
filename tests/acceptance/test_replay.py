"""What was decided once is decided again, byte for byte: from the beginning, and from a snapshot after pruning."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.model.time import SECOND
from remediator.runtime.replay import Verdict, find_start, replay, verify
from remediator.store.factory import open_store
from remediator.store.port import ControllerStart, StepCommit, Store, StoreError
from tests.acceptance.crash_postgres import postgres_url
from tests.acceptance.crash_run import Plan, run
from tests.acceptance.harness import clock, command, write_config

__all__ = ["postgres_url"]

pytestmark = [pytest.mark.subprocesses, pytest.mark.broker]

SIZE = 1_500
# The restarted daemon keeps a second snapshot, in the middle of the journal.
ONE_KILL = Plan(kills=1, seed=3, lives=(2.5, 4.0))


async def test_the_journal_replays_on_sqlite(tmp_path: Path, embedded_broker: EmbeddedBroker) -> None:
    url = f"sqlite:///{tmp_path}/remediator.db"
    await run(tmp_path / "run", embedded_broker.bootstrap, url, SIZE, clock(), ONE_KILL)
    store = open_store(url)
    await store.open()
    try:
        check(await verify(store), 0)
        await check_any_split_gives_the_same(store)
        await check_from_a_snapshot(store)
        await check_the_command(tmp_path, url, "byte-identical", 0)
        await spoil_a_state(store)
        assert "state of dag:prod/trouble_" in (await verify(store)).difference
        await check_the_command(tmp_path, url, "state of dag:prod/trouble_", 1)
        with pytest.raises(StoreError, match="a daemon decided meanwhile"):
            await verify(cast(Store, Moving(store)))
    finally:
        await store.close()


@pytest.mark.slow
@pytest.mark.postgres
async def test_the_journal_replays_on_postgresql(
    tmp_path: Path, embedded_broker: EmbeddedBroker, postgres_url: str
) -> None:
    await run(tmp_path / "run", embedded_broker.bootstrap, postgres_url, SIZE, clock(), ONE_KILL)
    store = open_store(postgres_url)
    await store.open()
    try:
        check(await verify(store), 0)
        await check_from_a_snapshot(store)
    finally:
        await store.close()


class Moving:
    """A store on which somebody decides while it is read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._moved = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def controller_start(self) -> ControllerStart:
        start = await self._store.controller_start()
        self._moved += 1
        return start if self._moved == 1 else msgspec.structs.replace(start, position=start.position + 1)


def check(verdict: Verdict, start: int) -> None:
    assert verdict.difference == ""
    assert verdict.start == start < verdict.end
    assert verdict.decisions > 20
    assert verdict.actions > 10
    assert verdict.states > 5


async def check_any_split_gives_the_same(store: Store) -> None:
    end = (await store.controller_start()).position
    whole = await replay(store, await find_start(store), end)
    split = await replay(store, await find_start(store), end, batch=1)
    assert split.changes.decisions == whole.changes.decisions
    assert split.changes.actions == whole.changes.actions
    assert split.changes.states == whole.changes.states
    assert split.changes.timers == whole.changes.timers


async def check_from_a_snapshot(store: Store) -> None:
    """The restarted daemon has kept one in the middle; all before it goes."""
    head = (await store.controller_start()).position
    lease = await store.acquire_lease("test", 60 * SECOND)
    assert lease is not None
    await store.snapshot(lease, clock())  # the two latest are kept: the middle, and now
    await store.release_lease(lease)
    kept = await store.load_snapshot()
    assert kept is not None
    middle = kept[0]
    assert 0 < middle < head
    entry = (await store.read_journal(middle, 1))[0]  # a chunk comes whole, so there may be more
    while await store.prune(entry.at, 0, 1_000):
        continue
    assert (await store.read_journal(0, 1))[0].position > 1
    verdict = await verify(store)
    assert (verdict.difference, verdict.start, verdict.end) == ("", middle, head)
    assert verdict.decisions > 0


async def check_the_command(folder: Path, url: str, text: str, code: int) -> None:
    """`remediator replay` says so."""
    feed = {"name": "main", "bootstrap_servers": ["127.0.0.1:1"], "topics": ["t"]}
    path = write_config(folder, {"store": {"url": url}, "feed": [feed], "rules": {"paths": [folder / "run" / "rules"]}})
    found, out, error = await command("replay", "--config", str(path))
    assert (found, error) == (code, "")
    assert text in out


async def spoil_a_state(store: Store) -> None:
    """Write what no decision has led to."""
    start = await store.controller_start()
    states = await store.load_states([f"dag:prod/trouble_{number:03}" for number in range(10)])
    lease = await store.acquire_lease("test", 60 * SECOND)
    assert lease is not None
    key = max(states)
    await store.commit_step(lease, StepCommit(start.position, clock(), states={key: states[key] + b"\x00"}))
    await store.release_lease(lease)
