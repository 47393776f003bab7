"""What every endpoint does with a request: bounds for its body and answer, and texts of its query. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from remediator.model.time import DAY, Duration, parse_duration

BODY_LIMIT = 16_384
WAIT_S = 15.0
SINCE_MAX = 90 * DAY
T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


async def bounded(answer: Awaitable[T]) -> T:
    """The answer, or 503 when it takes too long."""
    try:
        async with asyncio.timeout(WAIT_S):
            return await answer
    except TimeoutError:
        raise HTTPException(503, f"no answer within {WAIT_S:.0f} s") from None


async def limited_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body of a JSON request. Raises HTTPException: 413 if it is too long, 415 if it is not JSON.

    Asking for JSON also keeps web forms of other sites out: browsers ask before they send it across.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, f"the body may have {limit:,} bytes")
    return body


def parse_since(text: str) -> Duration:
    """How far back to look. Raises HTTPException 400."""
    try:
        since = parse_duration(text[:40])
    except (ValueError, OverflowError):
        since = 0
    if not 0 < since <= SINCE_MAX:
        raise HTTPException(400, "since must be a duration such as '7d' or '12h', at most '90d'")
    return since
