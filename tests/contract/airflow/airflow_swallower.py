"""Stands between a client and an Airflow, lets one request vanish on its way there or one answer on its way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from remediator.demo.fleet.server import serving
from tests.support.loopback import loopback_client

METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
PASSED_ON = ("authorization", "content-type", "accept")


class Swallower:
    """at: the number of the request, counted from 0, that gets no answer. arrives: does Airflow get it?

    swallowed: set when it has happened.
    """

    def __init__(self, http: httpx.AsyncClient, at: int, arrives: bool) -> None:
        self.swallowed = asyncio.Event()
        self.url = ""
        self._http = http
        self._at = at
        self._arrives = arrives
        self._count = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=METHODS)])

    async def _answer(self, request: Request) -> Response:
        number, body = self._count, await request.body()
        self._count += 1
        if number == self._at and not self._arrives:
            return await self._silence(request)
        answer = await self._passed_on(request, body)
        if number == self._at:
            return await self._silence(request)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def _passed_on(self, request: Request, body: bytes) -> httpx.Response:
        path = f"{request.scope['raw_path'].decode()}?{request.scope['query_string'].decode()}"
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        return await self._http.request(request.method, path, content=body, headers=headers)

    async def _silence(self, request: Request) -> Response:
        self.swallowed.set()
        while (await request.receive())["type"] != "http.disconnect":
            continue
        return Response()


@asynccontextmanager
async def swallowing(url: str, at: int, *, arrives: bool) -> AsyncIterator[Swallower]:
    """One on a port of its own, before the Airflow at `url`."""
    async with loopback_client(url, timeout=30) as http:
        made = Swallower(http, at, arrives)
        async with serving(cast(Any, made)) as own:
            made.url = own
            yield made
