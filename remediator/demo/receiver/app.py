"""The stand-in over HTTP: /api/<method> is Slack, /v2/enqueue is PagerDuty. Holds no state of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from remediator.demo.receiver.faults import Fault, FaultPlan
from remediator.demo.receiver.pagerduty import PagerDutyState
from remediator.demo.receiver.slack import SlackState

ENQUEUE = "enqueue"
"""What the fault plan calls POST /v2/enqueue."""
HANG_S = 60.0
"""No caller waits this long; the connection is dropped then."""


class Receiver:
    """Both services, the faults they are told to have, and the app that serves them.

    `release` ends every call that hangs, so that a server can stop at once.
    """

    def __init__(self, slack: SlackState | None = None, pagerduty: PagerDutyState | None = None) -> None:
        self.slack = slack or SlackState()
        self.pagerduty = pagerduty or PagerDutyState()
        self.faults = FaultPlan()
        self.calls: dict[str, int] = {}
        self._released = asyncio.Event()

    def counters(self) -> dict[str, int]:
        """What reached people, for reports."""
        return {
            "slack_posts": self.slack.posts,
            "slack_edits": self.slack.edits,
            "slack_distinct_actions": self.slack.distinct_actions,
            "pagerduty_triggers": self.pagerduty.triggers,
            "pagerduty_distinct_keys": self.pagerduty.distinct_keys,
            "pagerduty_pages": self.pagerduty.pages,
            "pagerduty_resolves": self.pagerduty.resolves,
            "pagerduty_open": self.pagerduty.open_alerts,
        }

    def release(self) -> None:
        """End every call that hangs."""
        self._released.set()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/api/{method}", self._slack, methods=["GET", "POST"]),
                Route("/v2/enqueue", self._pagerduty, methods=["POST"]),
            ]
        )

    async def _slack(self, request: Request) -> Response:
        method = request.path_params["method"]
        body = await slack_body(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")

        async def act() -> Response:
            return JSONResponse(self.slack.call(method, body, token))

        return await self._answer(method, act)

    async def _pagerduty(self, request: Request) -> Response:
        body = await request.json()

        async def act() -> Response:
            status, answer = self.pagerduty.enqueue(body)
            return JSONResponse(answer, status_code=status)

        return await self._answer(ENQUEUE, act)

    async def _answer(self, method: str, act: Callable[[], Awaitable[Response]]) -> Response:
        self.calls[method] = self.calls.get(method, 0) + 1
        fault = self.faults.take(method)
        if fault is None:
            return await act()
        if fault.act:
            await act()
        if fault.hang:
            await self._hang()
        return faulty(fault)

    async def _hang(self) -> None:
        try:
            await asyncio.wait_for(self._released.wait(), HANG_S)
        except TimeoutError:
            return


def faulty(fault: Fault) -> Response:
    """The bad answer itself."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if not fault.error:
        return PlainTextResponse("", status_code=504 if fault.hang else fault.status, headers=headers)
    return JSONResponse({"ok": False, "error": fault.error}, status_code=fault.status, headers=headers)


async def slack_body(request: Request) -> dict[str, Any]:
    """The arguments of a Web API call: JSON, a form, or the query; blocks and metadata of a form are JSON in it."""
    if "json" in request.headers.get("content-type", ""):
        return dict(await request.json())
    raw = dict(request.query_params) | await _form(request)
    return {name: json.loads(value) if name in ("blocks", "metadata") else value for name, value in raw.items()}


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))
