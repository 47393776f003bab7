"""Who may read what the SQLite store writes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediator.model.inputs import Tick
from remediator.model.time import SECOND
from remediator.store.backup import put_back, save
from remediator.store.sqlite import SqliteStore

NOW = 1_790_000_000 * SECOND


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """The least careful umask."""
    before = os.umask(0)
    yield
    os.umask(before)


async def test_a_store_its_backup_and_what_is_put_back_are_their_owners_alone(tmp_path: Path) -> None:
    path, copy, again = tmp_path / "remediator.db", tmp_path / "copy.db", tmp_path / "again.db"
    store = SqliteStore(path)
    await store.open()
    await store.append([Tick()], NOW)
    beside = [Path(f"{path}-wal"), Path(f"{path}-shm")]
    assert [mode(one) for one in (path, *beside)] == [0o600] * 3
    save(path, copy)
    await store.close()
    put_back(copy, again)
    assert [mode(one) for one in (copy, again)] == [0o600] * 2


async def test_another_process_that_comes_and_goes_leaves_the_log_of_a_store_in_use(tmp_path: Path) -> None:
    """SQLite's locks are the process's: one descriptor too many, closed, and they are gone with all that is written
    after it."""
    path = tmp_path / "remediator.db"
    store = SqliteStore(path)
    await store.open()
    await store.append([Tick()], NOW)
    assert count_elsewhere(path) == 1
    await store.append([Tick()], NOW)
    assert count_elsewhere(path) == 2
    await store.close()


def count_elsewhere(path: Path) -> int:
    """The journal's chunks, as another process reads them."""
    program = (
        "import sqlite3, sys; store = sqlite3.connect(sys.argv[1]); "
        "print(store.execute('SELECT count(*) FROM journal').fetchone()[0]); store.close()"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    return int(run.stdout)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
