"""The stand-in's HTTP side: routes, tokens, faults. What the answers say is decided by the pure modules beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from remediator.demo.fleet import (
    backfill_handlers,
    change_handlers,
    dag_handlers,
    handlers,
    health_handlers,
    v1,
    v1_changes,
)
from remediator.demo.fleet.auth import Accounts, Denied
from remediator.demo.fleet.bodies import Invalid
from remediator.demo.fleet.faults import Fault, Faults, Kind
from remediator.demo.fleet.handlers import Call, NotFound, Refusal
from remediator.demo.fleet.state import FleetState
from remediator.model.time import SECOND, Instant

API = "/api/v2"
RUN = f"{API}/dags/{{dag_id}}/dagRuns/{{dag_run_id}}"
TASK = f"{RUN}/taskInstances/{{task_id}}"
CLEAR_TAKES_S = 0.03
"""Between choosing and writing (30-90 ms measured): what makes two clears collide."""

Handler = Callable[[Call], Any]
ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("version", "GET", f"{API}/version", handlers.version),
    ("health", "GET", f"{API}/monitor/health", health_handlers.health),
    ("event_log", "GET", f"{API}/eventLogs", health_handlers.event_log),
    ("list_pools", "GET", f"{API}/pools", health_handlers.pools),
    ("import_errors", "GET", f"{API}/importErrors", health_handlers.import_errors),
    ("list_dags", "GET", f"{API}/dags", health_handlers.dags),
    ("dag", "GET", f"{API}/dags/{{dag_id}}", dag_handlers.dag),
    ("patch_dag", "PATCH", f"{API}/dags/{{dag_id}}", dag_handlers.patch_dag),
    ("tasks", "GET", f"{API}/dags/{{dag_id}}/tasks", dag_handlers.tasks),
    ("list_runs", "GET", f"{API}/dags/{{dag_id}}/dagRuns", handlers.list_runs),
    ("trigger", "POST", f"{API}/dags/{{dag_id}}/dagRuns", dag_handlers.trigger),
    ("get_run", "GET", RUN, handlers.get_run),
    ("list_batch", "POST", f"{RUN}/taskInstances/list", handlers.list_batch),
    ("list_tasks", "GET", f"{RUN}/taskInstances", handlers.list_tasks),
    ("task_tries", "GET", f"{TASK}/tries", handlers.task_tries),
    ("task_log", "GET", f"{TASK}/logs/{{try_number:int}}", health_handlers.task_log),
    ("mapped_tries", "GET", f"{TASK}/{{map_index:int}}/tries", handlers.task_tries),
    ("get_task", "GET", f"{TASK}/{{map_index:int}}", handlers.get_mapped_task),
    ("get_task", "GET", TASK, handlers.get_task),
    ("would_patch_task", "PATCH", f"{TASK}/dry_run", change_handlers.would_patch_task),
    ("patch_task", "PATCH", f"{TASK}/{{map_index:int}}", change_handlers.patch_task),
    ("patch_task", "PATCH", TASK, change_handlers.patch_task),
    ("pool", "GET", f"{API}/pools/{{pool_name}}", change_handlers.pool),
    ("patch_pool", "PATCH", f"{API}/pools/{{pool_name}}", change_handlers.patch_pool),
    ("list_backfills", "GET", f"{API}/backfills", backfill_handlers.listed),
    ("create_backfill", "POST", f"{API}/backfills", backfill_handlers.create),
    ("plan_backfill", "POST", f"{API}/backfills/dry_run", backfill_handlers.plan),
    ("get_backfill", "GET", f"{API}/backfills/{{backfill_id:int}}", backfill_handlers.get),
    ("cancel_backfill", "PUT", f"{API}/backfills/{{backfill_id:int}}/cancel", backfill_handlers.cancel),
)
LOGGED = {
    "trigger": "trigger_dag_run",
    "rerun": "clear_dag_run",
    "patch_dag": "patch_dag",
    "patch_task": "patch_task_instance",
    "patch_pool": "patch_pool",
    "create_backfill": "create_backfill",
    "cancel_backfill": "cancel_backfill",
}
"""Routes whose calls Airflow writes into its event log before it acts. (A clear of task instances does it itself.)"""
OPEN = frozenset({"health", "version"})
"""Routes that need no token."""


@dataclass(slots=True)
class FleetApi:
    """One stand-in: its state, its accounts, its faults and its clock.

    spoiled: answers that a fault has spoiled. api: 'v2', or 'v1' of an Airflow 2.
    """

    state: FleetState
    clock: Callable[[], Instant]
    accounts: Accounts = field(default_factory=Accounts)
    faults: Faults = field(default_factory=Faults)
    clear_takes_s: float = CLEAR_TAKES_S
    spoiled: int = 0
    api: str = "v2"

    def app(self) -> Starlette:
        """The ASGI application."""
        if self.api == "v1":
            return self._v1_app()
        routes = [Route(path, self._endpoint(name, handler), methods=[verb]) for name, verb, path, handler in ROUTES]
        routes.append(Route("/auth/token", self._endpoint("token", self._token), methods=["POST"]))
        clear = f"{API}/dags/{{dag_id}}/clearTaskInstances"
        routes.append(Route(clear, self._endpoint("clear", self._clear), methods=["POST"]))
        routes.append(Route(f"{RUN}/clear", self._endpoint("rerun", self._rerun), methods=["POST"]))
        return Starlette(routes=routes)

    def _v1_app(self) -> Starlette:
        routes = [Route(path, self._endpoint(name, handler), methods=[verb]) for name, verb, path, handler in v1.ROUTES]
        routes.append(Route(v1.CLEAR, self._endpoint("clear", self._v1_clear), methods=["POST"]))
        routes.append(Route(v1.RERUN, self._endpoint("rerun", self._v1_rerun), methods=["POST"]))
        return Starlette(routes=routes, exception_handlers={404: v1.no_route})

    def _endpoint(self, name: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self.state.calls[name] += 1
            fault = self.faults.take(name)
            if fault is not None and fault.kind in (Kind.LATENCY, Kind.STATUS):
                await asyncio.sleep(fault.seconds)
                if fault.kind is Kind.STATUS:
                    return _status(fault)
            if fault is not None and fault.kind is Kind.DEAF:
                self.spoiled += 1
                return _Broken(Kind.HANG)
            answer = await self._answer(name, handler, request)
            # The stand-in's own clock, which may be virtual, and not the server's.
            answer.headers["date"] = formatdate(self.clock() // SECOND, usegmt=True)
            if fault is None:
                return answer
            self.spoiled += 1
            return _spoiled(answer, fault)

        return endpoint

    async def _answer(self, name: str, handler: Handler, request: Request) -> Response:
        try:
            user = "" if name in OPEN or name == "token" else self._user(request)
            call = Call(self.state, request, await _json(request), user, self.clock())
            (_log_v1 if self.api == "v1" else _log)(name, call)
            found = handler(call)
            content = await found if isinstance(found, Awaitable) else found
        except (Denied, Refusal) as refusal:
            return self._refused(refusal.status, refusal.detail)
        except NotFound as missing:
            return self._refused(404, str(missing))
        except Invalid as invalid:
            return JSONResponse({"detail": invalid.detail}, 422)
        return content if isinstance(content, Response) else JSONResponse(content, 201 if name == "token" else 200)

    def _refused(self, status: int, detail: Any) -> Response:
        return v1.problem(status, detail) if self.api == "v1" else JSONResponse({"detail": detail}, status)

    def _user(self, request: Request) -> str:
        changes = request.method != "GET" and not request.url.path.endswith("/list")
        if self.api == "v1":
            return v1.user_of(self.accounts, request, changes=changes)
        return self.accounts.user_of(request.headers.get("authorization", ""), changes=changes)

    def _token(self, call: Call) -> Any:
        body = call.body if isinstance(call.body, dict) else {}
        return {"access_token": self.accounts.login(body.get("username"), body.get("password"))}

    async def _clear(self, call: Call) -> Any:
        body, chosen = handlers.choose_clear(call)
        if not body.dry_run:
            await asyncio.sleep(self.clear_takes_s)
        return handlers.finish_clear(call, body, chosen, self.clock())

    async def _v1_clear(self, call: Call) -> Any:
        body, chosen = v1_changes.choose_clear(call)
        if not body.dry_run:
            await asyncio.sleep(self.clear_takes_s)
        return v1_changes.finish_clear(call, body, chosen)

    async def _v1_rerun(self, call: Call) -> Any:
        body, chosen = v1_changes.choose_rerun(call)
        if not body.dry_run:
            await asyncio.sleep(self.clear_takes_s)
        return v1_changes.finish_rerun(call, body, chosen)

    async def _rerun(self, call: Call) -> Any:
        raw, body, chosen = change_handlers.choose_rerun(call)
        if not body.dry_run:
            await asyncio.sleep(self.clear_takes_s)
        return change_handlers.finish_rerun(call, raw, body, chosen, self.clock())


def _log(name: str, call: Call) -> None:
    body = call.body if isinstance(call.body, dict) else {}
    if name not in LOGGED or (name == "rerun" and body.get("dry_run", True)):
        return
    path = call.request.path_params
    named = {key: value for key, value in path.items() if key in ("pool_name", "backfill_id", "map_index")}
    extra = json.dumps({**call.request.query_params, **named, **body, "method": call.request.method})
    dag_id = path.get("dag_id") or body.get("dag_id")
    run_id = path.get("dag_run_id") or body.get("dag_run_id")
    call.state.record(call.now, LOGGED[name], call.user, dag_id, run_id, extra, path.get("task_id"))


def _log_v1(name: str, call: Call) -> None:
    if name not in v1.LOGGED:
        return
    path, body = call.request.path_params, call.body if isinstance(call.body, dict) else {}
    named = {key: value for key, value in path.items() if key in ("pool_name", "map_index")}
    extra = json.dumps({**call.request.query_params, **named, **body})
    place = path.get("dag_id"), path.get("dag_run_id"), extra, path.get("task_id")
    call.state.record(call.now, f"api.{v1.LOGGED[name]}", call.user, *place)


async def _json(request: Request) -> Any:
    content = await request.body()
    try:
        return json.loads(content) if content else None
    except ValueError:
        raise Invalid([{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}]) from None


def _status(fault: Fault) -> Response:
    headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
    return JSONResponse({"detail": fault.detail or "fault injected"}, fault.status, headers=headers)


def _spoiled(answer: Response, fault: Fault) -> Response:
    if fault.kind is Kind.STATUS_AFTER:
        return _status(fault)
    if fault.kind is Kind.GARBAGE:
        return Response(b"<html>it works</html>", media_type="text/html")
    return answer if fault.kind is Kind.LATENCY else _Broken(fault.kind)


class _Broken(Response):
    """Never answers, or answers half and breaks off."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._kind is Kind.HANG:
            while (await receive())["type"] != "http.disconnect":
                continue
        await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
