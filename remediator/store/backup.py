"""Copies of a SQLite store: one of a store in use, and putting one back. Blocking; knows nothing of what is in it.

Both go through SQLite itself: a file copied by hand may lack what is still in the write-ahead log beside it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from remediator.store.port import StoreError
from remediator.store.sqlite_file import FileLock, make_private

BUSY_TIMEOUT_S = 10.0


def save(path: Path, to: Path) -> int:
    """Copy the store at `path`, which may be in use, to a new file. Returns its size in bytes. Raises StoreError."""
    if to.exists():
        raise StoreError(f"{to}: is there already")
    unfinished = to.with_name(f"{to.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(_readable(path)) as store:
            make_private(unfinished)
            store.execute("VACUUM INTO ?", (str(unfinished),))
        os.replace(unfinished, to)
    except (sqlite3.Error, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(f"{path} to {to}: {error}") from error
    return to.stat().st_size


def check(backup: Path) -> None:
    """Raises StoreError if it is no backup, or is damaged."""
    try:
        with closing(_readable(backup)) as source:
            _check(source, backup)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{backup}: {error}") from error


def put_back(backup: Path, path: Path) -> None:
    """Make the store at `path` what the backup is. Raises StoreError if a daemon runs on it, or it is no backup."""
    lock = FileLock(Path(f"{path}.lock"))
    try:
        with closing(_readable(backup)) as source:
            _check(source, backup)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not lock.take():
                raise StoreError(f"{path}: a daemon runs on it; stop it first")
            make_private(path)
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as target:
                source.backup(target)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{backup} to {path}: {error}") from error
    finally:
        lock.release()


def _readable(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)


def _check(source: sqlite3.Connection, backup: Path) -> None:
    tables = {row[0] for row in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"journal", "outbox", "key_state"} <= tables:
        raise StoreError(f"{backup}: is no store of remediator")
    verdict = source.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreError(f"{backup}: is damaged: {verdict}")
