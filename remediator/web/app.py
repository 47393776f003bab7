"""The HTTP application: probes and metrics for anyone who reaches it, the API behind the token.

Bounds every body and every wait; answers errors as {"error": text}. Knows no store and no journal.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from remediator.model.event import Event
from remediator.model.secret import Secret
from remediator.model.time import Instant, parse_instant
from remediator.store.port import StoreError
from remediator.web.accounts import account_routes
from remediator.web.auth import known_by, objection
from remediator.web.port import Exposition, NotThere, Several, Surface, View
from remediator.web.requests import Endpoint, bounded, limited_body, parse_since

EVENT_LIMIT = 1_048_576
INCIDENTS_DEFAULT = 50
INCIDENTS_MAX = 500
RULES_MAX = 100
INSTANTS = ("time", "logical_date", "started_at", "ended_at")
LATEST: Instant = 253_402_214_400_000_000
SINCE_DEFAULT = "7d"


class FreezeBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /api/v1/freeze."""

    on: bool
    reason: str = ""
    actor: str = "api"


class ExplainBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /api/v1/explain. event: by the field names that rules use; instants as text or microseconds."""

    event: dict[str, Any]
    topic: str = ""
    rules: list[str] = []


def build_app(surface: Surface, metrics: Exposition, token: Secret | None = None) -> Starlette:
    """The ASGI application. token: what /api asks for; None for nothing."""
    routes = _Routes(surface, metrics, token)
    return Starlette(
        routes=[
            Route("/livez", routes.livez),
            Route("/readyz", routes.readyz),
            Route("/metrics", routes.metrics),
            Mount(
                "/api/v1",
                routes=[
                    Route("/status", routes.guarded(routes.status)),
                    Route("/freeze", routes.guarded(routes.freeze), methods=["POST"]),
                    Route("/incidents", routes.guarded(routes.incidents)),
                    Route("/incidents/{incident_id}/explain", routes.guarded(routes.explain)),
                    Route("/actions/{action_id}/explain", routes.guarded(routes.explain_action)),
                    Route("/explain", routes.guarded(routes.explain_event), methods=["POST"]),
                    Route("/unmatched", routes.guarded(routes.unmatched)),
                    *account_routes(surface, routes.guarded, known_by(token)),
                ],
            ),
        ],
        exception_handlers={HTTPException: _http_error, StoreError: _store_error, Exception: _bug},
    )


class _Routes:
    def __init__(self, surface: Surface, metrics: Exposition, token: Secret | None) -> None:
        self._surface = surface
        self._metrics = metrics
        self._token = token

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint behind the token."""

        async def guard(request: Request) -> Response:
            refused = objection(request, self._token)
            if refused is not None:
                raise HTTPException(refused[0], refused[1], headers={"WWW-Authenticate": "Bearer"})
            return await endpoint(request)

        return guard

    async def livez(self, request: Request) -> Response:
        stuck = self._surface.stuck()
        return PlainTextResponse(f"stuck: {', '.join(stuck)}\n" if stuck else "ok\n", 503 if stuck else 200)

    async def readyz(self, request: Request) -> Response:
        try:
            ready, reasons = await bounded(self._surface.ready())
        except StoreError as error:
            ready, reasons = False, [f"store: {error}"]
        return JSONResponse({"ready": ready, "reasons": reasons}, status_code=200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.exposition(), media_type=self._metrics.content_type)

    async def status(self, request: Request) -> Response:
        return JSONResponse(await bounded(self._surface.status()))

    async def freeze(self, request: Request) -> Response:
        body = parse_freeze(await limited_body(request))
        actor = f"{body.actor[:200]} ({known_by(self._token)})"
        return JSONResponse(await bounded(self._surface.freeze(body.on, actor, body.reason[:1_000])))

    async def incidents(self, request: Request) -> Response:
        found = await bounded(
            self._surface.incidents(
                open_only=request.query_params.get("all", "false") != "true",
                limit=parse_limit(request.query_params.get("limit")),
            )
        )
        return JSONResponse({"incidents": found})

    async def explain(self, request: Request) -> Response:
        return await told(self._surface.explain_incident(request.path_params["incident_id"]))

    async def explain_action(self, request: Request) -> Response:
        return await told(self._surface.explain_action(request.path_params["action_id"]))

    async def explain_event(self, request: Request) -> Response:
        body, event = parse_explain(await limited_body(request, EVENT_LIMIT))
        try:
            found = await bounded(self._surface.explain_event(event, body.topic[:300], body.rules))
        except NotThere as error:
            raise HTTPException(404, str(error)) from None
        return JSONResponse(found)

    async def unmatched(self, request: Request) -> Response:
        since = parse_since(request.query_params.get("since", SINCE_DEFAULT))
        return JSONResponse(await bounded(self._surface.unmatched(since)))


async def told(story: Awaitable[View]) -> Response:
    """The story; 404 if there is none, 409 with {'error': …, 'found': [lines]} if the id names several."""
    try:
        return JSONResponse(await bounded(story))
    except NotThere as error:
        raise HTTPException(404, str(error)) from None
    except Several as error:
        return JSONResponse({"error": str(error), "found": error.found}, status_code=409)


def parse_freeze(body: bytes) -> FreezeBody:
    """The body of a freeze. Raises HTTPException 400 with what is wrong."""
    try:
        return msgspec.json.decode(body, type=FreezeBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"{error}; allowed: {{'on': true | false, 'reason': text, 'actor': text}}") from None


def parse_explain(body: bytes) -> tuple[ExplainBody, Event]:
    """The body of an explain and its event. Raises HTTPException 400 with what is wrong."""
    allowed = "allowed: {'event': {'type': …, 'time': …, …}, 'topic': text, 'rules': [ids]}"
    try:
        found = msgspec.json.decode(body, type=ExplainBody)
        if len(found.rules) > RULES_MAX:
            raise ValueError(f"at most {RULES_MAX} rules")
        return found, event_of(found.event)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
        raise HTTPException(400, f"{error}; {allowed}") from None


def event_of(table: dict[str, Any]) -> Event:
    """An event by our field names. Raises ValueError that says what is wrong."""
    unknown = sorted(table.keys() - set(Event.__struct_fields__))
    if unknown:
        raise ValueError(f"unknown field {unknown[0][:100]!r} of an event; what a producer says besides is attributes")
    instants = {name: parse_instant(table[name]) for name in INSTANTS if isinstance(table.get(name), str)}
    event = msgspec.convert({**table, **instants}, Event)
    times = [value for name in INSTANTS if (value := getattr(event, name)) is not None]
    if not all(abs(value) < LATEST for value in times):
        raise ValueError(
            "an instant beyond the year 9999: microseconds since 1970, or text such as 2026-11-22T06:00:00Z"
        )
    return event


def parse_limit(text: str | None) -> int:
    """How many incidents to show. Raises HTTPException 400."""
    if text is None:
        return INCIDENTS_DEFAULT
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= INCIDENTS_MAX:
        raise HTTPException(400, f"limit must be a number from 1 to {INCIDENTS_MAX}")
    return int(text)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (the table above sends nothing else here)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _store_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the store cannot answer: {error}"}, status_code=503)


async def _bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "internal error; the log says more"}, status_code=500)
