"""Serves an ASGI application inside a running event loop. Leaves signals and logging to whoever owns the process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

STOP_S = 3
"""How long open requests may take to finish when the server stops."""
BACKLOG = 128
CONNECTIONS_MAX = 200
TICKS_PER_SECOND = 10


class Server(uvicorn.Server):
    """A server that handles no signals, says when it listens, and stops when it is told instead of at its next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._told = asyncio.Event()

    def stop(self) -> None:
        """Let `serve` end."""
        self.should_exit = True
        self._told.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        tick = 0
        while not await self.on_tick(tick):
            tick = (tick + 1) % TICKS_PER_SECOND
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / TICKS_PER_SECOND):
                    await self._told.wait()


class Running:
    """A server that listens. `task` ends only if the server does."""

    def __init__(self, host: str, port: int, task: asyncio.Task[None]) -> None:
        self.host = host
        self.port = port
        self.task = task

    @property
    def url(self) -> str:
        """'http://host:port'."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Running]:
    """Listen until the context ends. Port 0 takes a free one. Raises OSError if the address cannot be had."""
    listener = listener_at(host, port)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_S,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        await listening(server, task)
        yield Running(host, listener.getsockname()[1], task)
    finally:
        server.stop()
        await asyncio.wait([task], timeout=2 * STOP_S)
        task.cancel()
        listener.close()


def listener_at(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # asyncio sets it on sockets that it made itself alone; without it an answer in two parts waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def listening(server: Server, task: asyncio.Task[None]) -> None:
    """Until it listens; `task` serves. Raises OSError, or what the server raised, if it ends instead."""
    started = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait([started, task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        started.cancel()
    if task.done():
        task.result()
        raise OSError("the HTTP server ended before it listened")
