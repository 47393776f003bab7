"""Looking at a store without touching it: which schema it has, whether it can be reached. Migrates nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from remediator.store.factory import sqlite_path
from remediator.store.port import StoreError
from remediator.store.queries import load_migrations
from remediator.store.urls import mask_url

CONNECT_TIMEOUT_S = 10.0


class Schema(msgspec.Struct, frozen=True):
    """found: its version, 0 for a database without one, None if there is no file yet. newest: this program's."""

    found: int | None
    newest: int


async def schema_of(url: str) -> Schema:
    """The schema of the store at a URL, as the factory takes them. Raises StoreError if it cannot be reached."""
    if url.startswith("sqlite:"):
        path = Path(sqlite_path(url))
        return Schema(await asyncio.to_thread(_sqlite, path), load_migrations("sqlite")[-1][0])
    return Schema(await _postgres(url), load_migrations("postgres")[-1][0])


def _sqlite(path: Path) -> int | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=CONNECT_TIMEOUT_S)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


async def _postgres(url: str) -> int:
    try:
        import asyncpg
    except ModuleNotFoundError as error:
        raise StoreError("the PostgreSQL store needs the extra 'postgres': install remediator[postgres]") from error
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
        try:
            if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
                return 0
            return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version"))
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"{mask_url(url)}: {text}") from error
