"""What only SQLite promises: one file, one lock, a bound on its size, and durability that is what it says."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from store_cases import LONG, NOW, batch, claimed, lease_of, pressed, reasons, retry, step, whole_journal, with_actions

import remediator
from remediator.store.port import StoreError
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite_file import connect

HOLDER = """
import asyncio, sys
from remediator.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    lease = await store.acquire_lease("other process", 0)
    print(lease.epoch if lease else "none", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""
WRITER = """
import asyncio, sys
from remediator.model.inputs import Tick
from remediator.store.port import MatcherBatch
from remediator.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    expected, offset = None, 0
    while True:
        offset += 3
        assert await store.commit_batch(MatcherBatch("f", "t", 0, expected, offset, 0, inputs=[Tick()] * 3))
        expected = offset
        print(offset, flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(path: Path, **settings: object) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, **settings)  # type: ignore[arg-type]
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def program(source: str, path: Path) -> AsyncIterator[Process]:
    root = str(Path(remediator.__file__).parent.parent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, str(path), stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # Reads what is left, so that the pipe closes before the loop does.
        await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def test_a_killed_process_loses_the_lease_and_a_living_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store, program(HOLDER, path) as holder:
        assert await line_of(holder) == "1"
        assert await store.acquire_lease("here", LONG) is None, "it asked for a lease of no length, but it lives"
        holder.kill()
        await holder.wait()
        lease = await lease_of(store, "here")
        assert lease.epoch == 2
        await step(store, lease, 1)
        async with program(HOLDER, path) as second:
            assert await line_of(second) == "none"


async def test_closing_the_store_frees_the_lease(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as two:
        async with opened(tmp_path / "store.db") as one:
            await lease_of(one, "one")
            assert await two.acquire_lease("two", LONG) is None
        assert (await lease_of(two, "two")).epoch == 2


async def test_a_kill_between_commits_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with program(WRITER, path) as writer:
        answered = [int(await line_of(writer)) for _ in range(20)][-1]
        writer.kill()
        await writer.wait()
    async with opened(path) as store:
        (offset,) = (await store.progress("f", "t")).values()
        assert offset >= answered
        assert [entry.position for entry in await whole_journal(store)] == list(range(1, offset + 1))


async def fill(store: SqliteStore) -> tuple[int, StoreError]:
    """Commit batches until one does not fit: (the offset before it, its error)."""
    for offset in range(1_000):
        try:
            await store.commit_batch(batch(offset or None, offset + 1, [pressed("x" * 20_000)]))
        except StoreError as error:
            return offset, error
    raise AssertionError("the bound on the size has no effect")


async def test_a_full_store_says_so_writes_nothing_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path, max_page_count=120) as store:
        lease = await with_actions(store, retry("a"))
        offset, error = await fill(store)
        assert str(error) == f"{path}: database or disk is full"
        before = await store.counts()
        assert before.journal_head == offset > 1
        assert await store.progress("feed", "topic") == {0: offset}
        with pytest.raises(StoreError):
            await store.append([pressed("y" * 20_000)], NOW)
        assert await store.counts() == before
        await step(store, lease, offset)
        await store.snapshot(lease, NOW)
        assert await store.prune(NOW + 1, 0, 1_000) == offset
        assert await store.commit_batch(batch(offset, offset + 1, [pressed("z" * 20_000)]))
        assert "a" in await claimed(store)
    async with opened(path, max_page_count=100_000) as store:
        assert await store.append([pressed("y" * 200_000)], NOW) == offset + 2


@pytest.mark.parametrize(("durability", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_durability_is_the_pragma(tmp_path: Path, durability: str, level: int) -> None:
    path = tmp_path / "store.db"
    with closing(connect(path, durability=durability, busy_timeout_s=1, max_page_count=None)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_full_is_the_default_and_off_is_refused(tmp_path: Path) -> None:
    assert SqliteStore(tmp_path / "x")._connect.keywords["durability"] == "FULL"
    with pytest.raises(StoreError, match="durability 'OFF' is not one of FULL, NORMAL"):
        SqliteStore(tmp_path / "x", durability="OFF")


async def test_an_empty_file_is_migrated_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    async with opened(path) as store, opened(path):
        await store.append([pressed("a")], NOW)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (5,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    async with opened(path) as store:
        assert reasons(await whole_journal(store)) == ["a"]


async def test_several_may_migrate_at_once(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    assert {(await store.counts()).journal_head for store in stores} == {0}
    for store in stores:
        await store.close()


async def test_a_schema_of_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"schema version 99 is newer than this program's 5"):
        await store.open()
    with pytest.raises(StoreError, match="not open"):
        await store.counts()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "var" / "lib" / "store.db") as store:
        assert await store.append([pressed("a")], NOW) == 1


async def test_what_is_no_store_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database, but it is long enough to be looked at\n" * 99)
    inside = tmp_path / "text" / "x.db"
    for path, words in ((tmp_path / "text", "not a database"), (inside, "its folder cannot be made")):
        with pytest.raises(StoreError, match=words) as caught:
            await SqliteStore(path).open()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="needs the path of a file"):
        SqliteStore(":memory:")


async def test_reads_do_not_wait_for_a_writer_and_writes_say_that_they_do(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path, busy_timeout_s=0.05) as store:
        await store.append([pressed("a")], NOW)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert reasons(await whole_journal(store)) == ["a"]
            with pytest.raises(StoreError, match="database is locked"):
                await store.append([pressed("b")], NOW)
            other.execute("ROLLBACK")
        assert await store.append([pressed("b")], NOW) == 2
