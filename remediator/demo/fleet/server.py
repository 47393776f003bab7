"""Runs a stand-in in this process, on a free port of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from remediator.demo.fleet.app import FleetApi

STARTED_WITHIN_S = 10.0


class _Server(uvicorn.Server):
    """Leaves the process's signals alone: the program around it owns them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(api: FleetApi, port: int = 0) -> AsyncIterator[str]:
    """Yields the base URL, such as 'http://127.0.0.1:41234'; stops the server on leaving."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = _Server(_config(api))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _started(server, running)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await running


def _config(api: FleetApi) -> uvicorn.Config:
    return uvicorn.Config(
        api.app(),
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        date_header=False,
    )


async def _started(server: _Server, running: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait((ready, running), timeout=STARTED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
    if not server.ready.is_set():
        raise RuntimeError("the stand-in did not start")
