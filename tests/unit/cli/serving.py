"""A daemon that listens on loopback, in a thread of its own as it would in another process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from typer.testing import CliRunner, Result

from remediator.cli.main import build
from remediator.model.secret import Secret
from remediator.runtime.metrics import Metrics
from remediator.web.app import build_app
from remediator.web.server import serving
from tests.unit.web.surface import FakeDaemon

TOKEN = "t0ken-hunter2"


class Served:
    """A daemon, and where it listens."""

    def __init__(self, daemon: FakeDaemon, url: str) -> None:
        self.daemon = daemon
        self.url = url

    def run(self, *arguments: str, token: str = TOKEN) -> Result:
        return CliRunner().invoke(build(), [*arguments, "--url", self.url], env={"REMEDIATOR_TOKEN": token})


@pytest.fixture
def served() -> Iterator[Served]:
    daemon = FakeDaemon()
    listening: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=asyncio.run, args=(_serve(daemon, listening),))
    thread.start()
    url, loop, stop = listening.result(timeout=20)
    yield Served(daemon, url)
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=20)


async def _serve(daemon: FakeDaemon, listening: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    stop = asyncio.Event()
    async with serving(build_app(daemon, Metrics(), Secret(TOKEN))) as running:
        listening.set_result((running.url, asyncio.get_running_loop(), stop))
        await stop.wait()
