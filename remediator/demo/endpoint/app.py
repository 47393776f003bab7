"""An endpoint that takes POST and PUT on any path: with a key header it does each key once, without one each call."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from remediator.demo.misbehaving import Misbehaving

TAKE = "take"
"""What the fault plan calls every request."""


class Taken(msgspec.Struct, frozen=True):
    """One effect: what was sent, with which headers (lower case)."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Endpoint:
    """key_header: the header by which it knows a repeat, '' for none. token: asked for as a bearer, '' for none."""

    def __init__(self, key_header: str = "", token: str = "") -> None:
        self.key_header = key_header.lower()
        self.token = token
        self.taken: list[Taken] = []
        self.trouble = Misbehaving()
        self._done: dict[str, int] = {}

    @property
    def effects(self) -> int:
        """How often something was done."""
        return len(self.taken)

    def forget(self) -> None:
        """Start anew, with no effect and no key known."""
        self.taken.clear()
        self._done.clear()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/{path:path}", self._take, methods=["POST", "PUT"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        return await self.trouble.answer(TAKE, lambda: self._answered(request, body))

    def _answered(self, request: Request, body: bytes) -> Response:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"message": "who are you?"}, status_code=401)
        try:
            taken = Taken(request.method, request.url.path, dict(request.headers), msgspec.json.decode(body))
        except msgspec.DecodeError:
            return JSONResponse({"message": "not JSON"}, status_code=400)
        return self._once(taken)

    def _once(self, taken: Taken) -> Response:
        key = taken.headers.get(self.key_header, "") if self.key_header else ""
        if key and key in self._done:
            return JSONResponse({"id": self._done[key]}, status_code=200)
        self.taken.append(taken)
        if key:
            self._done[key] = len(self.taken)
        return JSONResponse({"id": len(self.taken)}, status_code=201)
