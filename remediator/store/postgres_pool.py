"""A pool of PostgreSQL connections: named statements, transactions, migrations, and faults as StoreError.

Owns everything about the medium and nothing of the port's meaning. No message shows a password.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from remediator.model.time import Duration
from remediator.store.port import StoreError
from remediator.store.queries import Positional, load_migrations, load_queries, positional
from remediator.store.urls import mask_url

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
SETTINGS = {
    "application_name": "remediator",
    # A client that hangs in a transaction would hold the journal's counter for everyone.
    "idle_in_transaction_session_timeout": "60000",
    "jit": "off",
}
MIGRATION_LOCK = 7_203_118_466_052
"""Any number that no other program uses."""
BUGS = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
)
"""Faults of the program, not of the medium: these crash."""
NUL_STANDS_FOR = "\ufffd"
"""PostgreSQL's text cannot hold NUL. Bodies can, so only columns see this."""


class Session:
    """One connection, in a transaction or not, with the named statements. ahead: of the database's clock at most."""

    def __init__(self, connection: Any, sql: Mapping[str, Positional], ahead: Duration | None = None) -> None:
        self.ahead = ahead
        self._connection = connection
        self._sql = sql

    async def rows(self, name: str, **values: Any) -> list[Any]:
        statement = self._sql[name]
        arguments = [_storable(values[parameter]) for parameter in statement.parameters]
        found: list[Any] = await self._connection.fetch(statement.sql, *arguments)
        return found

    async def row(self, name: str, **values: Any) -> Any:
        """The first row, None if there is none."""
        rows = await self.rows(name, **values)
        return rows[0] if rows else None


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", NUL_STANDS_FOR)
    if isinstance(value, list):
        return [one.replace("\x00", NUL_STANDS_FOR) if isinstance(one, str) else one for one in value]
    return value


class Pool:
    """Connections to one database. A lost one is replaced by the next use."""

    def __init__(self, url: str, size: int, ahead: Duration | None = None) -> None:
        self._ahead = ahead
        self._url = url
        self._size = size
        self._sql = {name: positional(text) for name, text in load_queries("postgres").items()}
        self._pool: Any = None

    def __repr__(self) -> str:
        return f"Pool({mask_url(self._url)!r})"

    async def open(self) -> None:
        """Connect and migrate. Raises StoreError."""
        async with self._faults():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=SETTINGS,
            )
        try:
            async with self._faults(), self._pool.acquire() as connection, connection.transaction():
                await self._migrate(connection)
        except BaseException:
            await self.close()
            raise

    async def _migrate(self, connection: Any) -> None:
        # One transaction under one lock: of several programs that start at once, the first does it for all.
        await connection.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
        found = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
        migrations = load_migrations("postgres")
        newest = migrations[-1][0]
        if found > newest:
            raise StoreError(
                f"{mask_url(self._url)}: schema version {found} is newer than this program's {newest}; "
                "use the remediator that wrote it, or a newer one"
            )
        for version, statements in migrations:
            if version > found:
                for statement in statements:
                    await connection.execute(statement)
                await connection.execute("INSERT INTO schema_version VALUES ($1)", version)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """A connection whose statements each see what is committed when they start."""
        async with self._faults(), self._open_pool().acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            yield Session(connection, self._sql)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A connection whose statements all see the same moment."""
        async with (
            self._faults(),
            self._open_pool().acquire(timeout=CONNECT_TIMEOUT_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Session(connection, self._sql)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Session]:
        """A transaction: rolled back if the block raises."""
        async with (
            self._faults(),
            self._open_pool().acquire(timeout=CONNECT_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            yield Session(connection, self._sql, self._ahead)

    def _open_pool(self) -> Any:
        if self._pool is None:
            raise StoreError(f"{mask_url(self._url)}: the store is not open")
        return self._pool

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        try:
            yield
        except asyncpg.InsufficientPrivilegeError as error:
            raise self._fault(error) from error
        except BUGS:
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> StoreError:
        text = " ".join(str(error).split()) or type(error).__name__
        return StoreError(f"{mask_url(self._url)}: {text}")
