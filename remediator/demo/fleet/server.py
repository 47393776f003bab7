"""Runs a stand-in in this process, on a free port of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from remediator.demo.fleet.app import FleetApi
from remediator.web.server import Server, listener_at, listening

STARTED_WITHIN_S = 10.0


class _Server(Server):
    """Ends at once: whoever hangs on an answer was to hang, and is cut off."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(api: FleetApi, port: int = 0) -> AsyncIterator[str]:
    """Yields the base URL, such as 'http://127.0.0.1:41234'; stops the server on leaving."""
    with listener_at("127.0.0.1", port) as listener:
        server = _Server(_config(api))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(STARTED_WITHIN_S):
                await listening(server, running)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
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
