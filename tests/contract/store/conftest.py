"""The backends that the store contract runs over: memory, SQLite, and PostgreSQL from a wheel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_cases import Backend, MemoryBackend, PostgresBackend, SqliteBackend

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """One empty place that any number of stores can be opened on."""
    made: Backend
    if request.param == "memory":
        made = MemoryBackend()
    elif request.param == "sqlite":
        made = SqliteBackend(tmp_path / "store.db")
    else:
        made = await PostgresBackend.make(request.getfixturevalue("postgres_server"))
    yield made
    await made.close()
