"""The stand-in's HTTP side as API v1 has it: basic credentials, faults as problem documents, its own routes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from remediator.demo.fleet import handlers, health_handlers, v1_changes, v1_handlers
from remediator.demo.fleet.auth import VIEWER, Accounts, Denied

API = "/api/v1"
RUN = f"{API}/dags/{{dag_id}}/dagRuns/{{dag_run_id}}"
TASK = f"{RUN}/taskInstances/{{task_id}}"
NO_ROUTE = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Task instance not found", 409: "Conflict"}
TITLED = ("Dag Run id ", "Dag id ", "TaskInstance not found")
ROUTES: tuple[tuple[str, str, str, Callable[[handlers.Call], Any]], ...] = (
    ("version", "GET", f"{API}/version", v1_handlers.version),
    ("health", "GET", f"{API}/health", health_handlers.health),
    ("event_log", "GET", f"{API}/eventLogs", v1_handlers.event_log),
    ("list_pools", "GET", f"{API}/pools", v1_handlers.pools),
    ("pool", "GET", f"{API}/pools/{{pool_name}}", v1_handlers.pool),
    ("patch_pool", "PATCH", f"{API}/pools/{{pool_name}}", v1_changes.patch_pool),
    ("import_errors", "GET", f"{API}/importErrors", v1_handlers.import_errors),
    ("list_dags", "GET", f"{API}/dags", v1_handlers.dags),
    ("dag", "GET", f"{API}/dags/{{dag_id}}", v1_handlers.dag),
    ("patch_dag", "PATCH", f"{API}/dags/{{dag_id}}", v1_changes.patch_dag),
    ("tasks", "GET", f"{API}/dags/{{dag_id}}/tasks", v1_handlers.tasks),
    ("list_runs", "GET", f"{API}/dags/{{dag_id}}/dagRuns", v1_handlers.list_runs),
    ("trigger", "POST", f"{API}/dags/{{dag_id}}/dagRuns", v1_changes.trigger),
    ("get_run", "GET", RUN, v1_handlers.get_run),
    ("set_note", "PATCH", f"{RUN}/setNote", v1_changes.set_run_note),
    ("list_batch", "POST", f"{RUN}/taskInstances/list", v1_handlers.list_batch),
    ("list_tasks", "GET", f"{RUN}/taskInstances", v1_handlers.list_tasks),
    ("task_log", "GET", f"{TASK}/logs/{{try_number:int}}", v1_handlers.task_log),
    ("set_note", "PATCH", f"{TASK}/{{map_index:int}}/setNote", v1_changes.set_note),
    ("set_note", "PATCH", f"{TASK}/setNote", v1_changes.set_note),
    ("get_task", "GET", f"{TASK}/{{map_index:int}}", v1_handlers.get_task),
    ("get_task", "GET", TASK, v1_handlers.get_task),
    ("patch_task", "PATCH", f"{TASK}/{{map_index:int}}", v1_changes.patch_task),
    ("patch_task", "PATCH", TASK, v1_changes.patch_task),
)
CLEAR = f"{API}/dags/{{dag_id}}/clearTaskInstances"
RERUN = f"{RUN}/clear"
LOGGED = {
    "trigger": "post_dag_run",
    "clear": "post_clear_task_instances",
    "rerun": "clear_dag_run",
    "patch_dag": "patch_dag",
    "patch_task": "patch_task_instance",
    "patch_pool": "patch_pool",
}
"""Routes whose calls Airflow 2 logs before it acts, dry runs too; a dagrun's id stays in the body if it is there."""


def user_of(accounts: Accounts, request: Request, *, changes: bool) -> str:
    """The user of basic credentials, or of a token that the platform around it lets pass. Raises Denied.

    Whom it does not know passes for the public, which may do nothing: 403, never 401.
    """
    header = request.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer":
        return accounts.user_of(header, changes=changes)
    try:
        name, _, password = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Denied(403, "") from None
    if kind.lower() != "basic" or accounts.users.get(name, ("", ""))[0] != password:
        raise Denied(403, "")
    if changes and accounts.users[name][1] == VIEWER:
        raise Denied(403, "")
    return name


def problem(status: int, detail: object) -> Response:
    """RFC 7807, as Airflow 2 fills it in: without a detail the title is all there is, and says it sometimes."""
    said = str(detail)
    if status == 404 and said.startswith(TITLED):
        return JSONResponse({"detail": None, "status": status, "title": said, "type": "about:blank"}, status)
    title = "DAGRun not found" if "DAGRun" in said else TITLES.get(status, "Error")
    return JSONResponse({"detail": detail or None, "status": status, "title": title, "type": "about:blank"}, status)


async def no_route(request: Request, _: Exception) -> Response:
    """What answers outside of the routes: the API in its way, the web server around it with a page."""
    if request.url.path.startswith(API):
        body = {"detail": NO_ROUTE, "status": 404, "title": "Not Found", "type": "about:blank"}
        return JSONResponse(body, 404)
    return HTMLResponse("<html><title>Airflow 404</title></html>", 404)
