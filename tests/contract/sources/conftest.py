"""One empty log of each kind, by what the kind can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.sources.source_backends import Backend, FileBackend, KafkaBackend, MemoryBackend
from tests.support.broker_fixtures import apache_kafka

__all__ = ["apache_kafka"]

MEMORY = pytest.param("memory")
FILE = pytest.param("file")
EMBEDDED = pytest.param("embedded_broker", marks=pytest.mark.broker)
APACHE = pytest.param("apache_kafka", marks=pytest.mark.kafka)


async def _make(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if kind == "memory":
        return MemoryBackend()
    if kind == "file":
        return FileBackend(tmp_path / "recording.ndjson")
    # The embedded broker lets the first member of a group wait for half of the session timeout.
    timeout_ms = 2_000 if kind == "embedded_broker" else 6_000
    backend = KafkaBackend(request.getfixturevalue(kind).bootstrap, session_timeout_ms=timeout_ms)
    await backend.create()
    return backend


@pytest.fixture(params=[MEMORY, FILE, EMBEDDED, APACHE])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Any log: records are put before a source starts."""
    return await _make(request.param, request, tmp_path)


@pytest.fixture(params=[MEMORY, EMBEDDED, APACHE])
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A log that grows while it is read."""
    return await _make(request.param, request, tmp_path)


@pytest.fixture(params=[MEMORY, APACHE])
async def lossy(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A log with retention, more partitions later, and deletion."""
    return await _make(request.param, request, tmp_path)
