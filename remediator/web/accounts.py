"""The API's part about people: proposals and their answers, the audit, reports. Knows no store and no journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from remediator.model.time import Instant, parse_instant
from remediator.web.port import Accounts, NotThere, Over, View
from remediator.web.requests import Endpoint, bounded, limited_body, parse_since

PAGE_DEFAULT = 500
PAGE_MAX = 2_000
REPORT_SINCE = "12h"


class AnswerBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /api/v1/proposals/{id}/approve and …/reject."""

    actor: str
    reason: str = ""


def account_routes(surface: Accounts, guarded: Callable[[Endpoint], Endpoint], known_by: str) -> list[Route]:
    """The routes below /api/v1. known_by: how callers are known, for the record."""
    accounts = _Accounts(surface, known_by)
    return [
        Route("/proposals", guarded(accounts.proposals)),
        Route("/proposals/{proposal}", guarded(accounts.proposal)),
        Route("/proposals/{proposal}/approve", guarded(accounts.approve), methods=["POST"]),
        Route("/proposals/{proposal}/reject", guarded(accounts.reject), methods=["POST"]),
        Route("/audit", guarded(accounts.audit)),
        Route("/report", guarded(accounts.report)),
    ]


class _Accounts:
    def __init__(self, surface: Accounts, known_by: str) -> None:
        self._surface = surface
        self._known_by = known_by

    async def proposals(self, request: Request) -> Response:
        return JSONResponse({"proposals": await bounded(self._surface.proposals())})

    async def proposal(self, request: Request) -> Response:
        return await _found(self._surface.proposal(request.path_params["proposal"][:100]))

    async def approve(self, request: Request) -> Response:
        return await self._answer(request, "approve")

    async def reject(self, request: Request) -> Response:
        return await self._answer(request, "reject")

    async def _answer(self, request: Request, command: str) -> Response:
        body = parse_answer(await limited_body(request))
        actor = f"{body.actor.strip()[:200]} ({self._known_by})"
        proposal = request.path_params["proposal"][:100]
        return await _found(self._surface.answer(proposal, command, actor, body.reason[:1_000]))

    async def audit(self, request: Request) -> Response:
        query = request.query_params
        after = parse_number(query.get("after"), "after", 0, 0, 2**62)
        limit = parse_number(query.get("limit"), "limit", PAGE_DEFAULT, 1, PAGE_MAX)
        return JSONResponse(await bounded(self._surface.audit(after, limit, parse_moment(query.get("since")))))

    async def report(self, request: Request) -> Response:
        since = parse_since(request.query_params.get("since", REPORT_SINCE))
        return JSONResponse(await bounded(self._surface.report(since)))


async def _found(answer: Awaitable[View]) -> Response:
    """The answer; 404 for an unknown proposal, 409 for one that is over."""
    try:
        return JSONResponse(await bounded(answer))
    except NotThere as error:
        raise HTTPException(404, str(error)) from None
    except Over as error:
        raise HTTPException(409, str(error)) from None


def parse_answer(body: bytes) -> AnswerBody:
    """The body of an answer. Raises HTTPException 400 with what is wrong."""
    allowed = "allowed: {'actor': who answers, 'reason': text}"
    try:
        found = msgspec.json.decode(body, type=AnswerBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"{error}; {allowed}") from None
    if not found.actor.strip():
        raise HTTPException(400, f"an answer without a name; {allowed}")
    return found


def parse_number(text: str | None, name: str, default: int, least: int, most: int) -> int:
    """A number of the query. Raises HTTPException 400."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):
        raise HTTPException(400, f"{name} must be a number from {least} to {most}")
    return int(text)


def parse_moment(text: str | None) -> Instant:
    """An instant of the query; none for the beginning. Raises HTTPException 400."""
    try:
        return 0 if text is None else parse_instant(text[:40])
    except (ValueError, OverflowError):
        raise HTTPException(400, "since must be a time such as 2026-11-22T06:00:00Z") from None
