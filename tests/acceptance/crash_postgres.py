"""PostgreSQL from a wheel, as daemons in processes of their own reach it: by a URL with a schema of the test's own."""

from __future__ import annotations

import uuid
from urllib.parse import parse_qs, quote, urlsplit

import pytest


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
    server = server_url(postgres_server)
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
    finally:
        await connection.close()
    return f"{server}?search_path={schema}"
