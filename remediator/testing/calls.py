"""Sees each HTTP request that an executor sends, whichever client it uses, so that a crash can fall between them.

Owns the hooks in the HTTP clients. They are for a process of its own that ends by the crash.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import aiohttp
import httpx

from remediator.model.action import Action

ON_ITS_WAY_S = 0.003
"""From the moment at which a request was handed to the kernel: the target may have acted by then, or not."""
IGNORED = ("/auth/token",)
"""Requests for credentials: which action needs them is a matter of chance."""


class Points(Protocol):
    """What is told of requests, and may end the process."""

    def at(self, action: Action, moment: str, kill: Any = None) -> None: ...

    def called(self, action: Action, number: int, request: str) -> None: ...


class Calls:
    """Knows whose request it is: each action has a context of its own."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._current: ContextVar[tuple[Action, Iterator[int]] | None] = ContextVar("current", default=None)

    @contextmanager
    def of(self, action: Action) -> Iterator[None]:
        """What is sent inside is this action's."""
        token = self._current.set((action, itertools.count(1)))
        try:
            yield
        finally:
            self._current.reset(token)

    def begin(self, method: str, path: str) -> Call | None:
        """A request is about to be sent; None if it is nobody's."""
        current = self._current.get()
        if current is None or path in IGNORED:
            return None
        action, numbers = current
        number = next(numbers)
        self._points.called(action, number, f"{method} {path}")
        return Call(self._points, action, number)


class Call:
    """One request of an action."""

    def __init__(self, points: Points, action: Action, number: int) -> None:
        self._points = points
        self._action = action
        self._number = number

    def sent(self) -> None:
        """It was handed over."""
        self._points.at(self._action, f"{self._number}:sent", _end_soon)

    def answered(self) -> None:
        """The answer begins to come in."""
        self._points.at(self._action, f"{self._number}:answered")


def listen(calls: Calls) -> None:
    """Hook into the HTTP clients of this process."""
    send, request = httpx.AsyncHTTPTransport.handle_async_request, aiohttp.ClientSession._request

    async def by_httpx(self: httpx.AsyncHTTPTransport, asked: httpx.Request) -> httpx.Response:
        call = calls.begin(asked.method, asked.url.path)
        if call is None:
            return await send(self, asked)

        async def trace(event: str, _: Any) -> None:
            if event == "http11.send_request_body.complete":
                call.sent()

        asked.extensions = {**asked.extensions, "trace": trace}
        answer = await send(self, asked)
        call.answered()
        return answer

    async def by_aiohttp(self: aiohttp.ClientSession, method: str, url: Any, **more: Any) -> aiohttp.ClientResponse:
        call = calls.begin(method, httpx.URL(str(url)).path)
        if call is None:
            return await request(self, method, url, **more)
        call.sent()
        answer = await request(self, method, url, **more)
        call.answered()
        return answer

    httpx.AsyncHTTPTransport.handle_async_request = by_httpx  # type: ignore[assignment, method-assign]
    aiohttp.ClientSession._request = by_aiohttp  # type: ignore[assignment, method-assign]


def _end_soon() -> None:
    asyncio.get_running_loop().call_later(ON_ITS_WAY_S, os.kill, os.getpid(), signal.SIGKILL)
