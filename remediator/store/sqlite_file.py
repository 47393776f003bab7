"""One SQLite file: connections with the right pragmas, transactions, migrations and the operating-system lock.

Owns everything about the medium and nothing of the port's meaning. Blocking: runs in the store's threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from remediator.store.port import StoreError
from remediator.store.queries import load_migrations

T = TypeVar("T")

DURABILITY = ("FULL", "NORMAL")
"""OFF is not offered: after a power cut it may leave a damaged file."""
WAL_LIMIT_BYTES = 64 * 1024 * 1024
CACHE_KIB = 32 * 1024


class Session:
    """One connection with the named statements. Used by one thread."""

    def __init__(self, connection: sqlite3.Connection, sql: Mapping[str, str]) -> None:
        self.connection = connection
        self._sql = sql

    def run(self, name: str, **values: Any) -> sqlite3.Cursor:
        return self.connection.execute(self._sql[name], values)

    def rows(self, name: str, **values: Any) -> list[Any]:
        return self.run(name, **values).fetchall()

    def row(self, name: str, **values: Any) -> Any:
        """The first row, None if there is none."""
        return self.run(name, **values).fetchone()

    def many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self.connection.executemany(self._sql[name], rows)

    def transact(self, begin: str, work: Callable[[Session], T]) -> T:
        """All of `work` or nothing of it. A full file may have rolled back by itself already."""
        self.connection.execute(begin)
        try:
            result = work(self)
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return result


def make_private(path: Path) -> None:
    """Make the file, for its owner alone, if it is not there: error texts and notes of people are in it.

    A store that is there is never opened here: closing any descriptor of a file drops all POSIX locks of the process
    on it, SQLite's too, and the next process to close the store would delete the write-ahead log that is in use.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: Path, *, durability: str, busy_timeout_s: float, max_page_count: int | None) -> sqlite3.Connection:
    """A connection in WAL mode; folders that are missing are made. Raises sqlite3.Error, or StoreError where the
    folder or WAL is not to be had."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: its folder cannot be made: {error.strerror}") from error
    try:
        make_private(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
    # check_same_thread: the executor's one thread opens it and uses it; close may come from the interpreter's end.
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise StoreError(f"{path}: the file system does not allow SQLite's write-ahead log (mode is {mode!r})")
    connection.execute(f"PRAGMA synchronous = {durability}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    if max_page_count is not None:
        connection.execute(f"PRAGMA max_page_count = {max_page_count}")
    return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to the newest version, each step in a transaction of its own."""
    migrations = load_migrations("sqlite")
    newest = migrations[-1][0]
    for version, statements in migrations:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read inside the transaction: another process may have migrated meanwhile.
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > newest:
                raise StoreError(
                    f"{path}: schema version {found} is newer than this program's {newest}; "
                    "use the remediator that wrote it, or a newer one"
                )
            if found < version:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


class FileLock:
    """An exclusive lock on `path`, held by this process until released or dead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self) -> bool:
        """True if the lock is held now. Raises OSError where the file cannot be made."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
