"""Checks of one deployment: is its API there, whose clock is right, and may our user do what is asked of it?"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec

from remediator.actions.airflow import routes
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered, Fault
from remediator.actions.airflow.routes import Clearing
from remediator.actions.airflow.rows import decoded, instant_of_date
from remediator.cli.doctor_check import Check, fail, ok, warn
from remediator.config.settings import Deployment
from remediator.model.policy import Mode
from remediator.model.time import SECOND, Duration, Instant, format_duration
from remediator.runtime.wiring import make_client

NO_SUCH_RUN = "remediator-doctor-asks-for-no-such-dagrun"
SKEW_NOTED: Duration = 5 * SECOND
SKEW_TOO_MUCH: Duration = 60 * SECOND
CREDENTIALS = "check username and password, or token, of [deployment.api]"


class _Version(msgspec.Struct):
    version: str = ""


class _Dag(msgspec.Struct):
    dag_id: str


class _Dags(msgspec.Struct):
    dags: tuple[_Dag, ...] = ()
    total_entries: int = 0


async def check_deployment(deployment: Deployment) -> list[Check]:
    """All checks of one deployment; none after the first that makes the rest vain."""
    name = f"deployment {deployment.name}"
    if deployment.api is None:
        todo = "give it an [deployment.api], or leave it: failures are then told as unverified"
        return [warn(name, "has no API: nothing can be asked or changed there", todo)]
    client = make_client(deployment)
    try:
        return await _checks(name, client, deployment.ceiling)
    finally:
        await client.close()


async def _checks(name: str, client: AirflowClient, ceiling: Mode) -> list[Check]:
    try:
        answer = await client.session.read("GET", routes.VERSION)
        version = decoded(answer.body, _Version).version
    except Fault as fault:
        return [fail(name, *silent_text(fault))]
    checks = [ok(name, f"answers as Airflow {version or 'of unknown version'} at {client.settings.base_url}"),
              skew_check(name, instant_of_date(answer.date), time.time_ns() // 1_000)]  # fmt: skip
    try:
        page = await client.session.read("GET", f"{routes.API}/dags", params=[("limit", "1")])
        dags = decoded(page.body, _Dags)
    except Fault as fault:
        return [*checks, fail(f"{name}: reading", f"DAGs cannot be read: {fault}", role_text(fault, "Viewer"))]
    checks.append(ok(f"{name}: reading", f"DAGs can be read: there are {dags.total_entries}"))
    if not dags.dags:
        return [*checks, warn(f"{name}: acting", "no DAG is visible: clearing could not be tried",
                              "give the user a role that sees the DAGs")]  # fmt: skip
    dag_id = dags.dags[0].dag_id
    return [
        *checks,
        await _may(f"{name}: task instances", lambda: _look(client, dag_id), "Viewer", Mode.ACT),
        await _may(f"{name}: clearing", lambda: _dry_run(client, dag_id), "Op", ceiling),
    ]


def silent_text(fault: Fault) -> tuple[str, str]:
    """What is said of a first call that failed, and what to do."""
    if isinstance(fault, Answered) and fault.status in (401, 403):
        return f"its API refuses the credentials: {fault}", CREDENTIALS
    return (
        f"its API does not answer: {fault}",
        "check the url of [deployment.api], the way there, and that it is an Airflow",
    )


async def _look(client: AirflowClient, dag_id: str) -> None:
    await client.unfinished([dag_id], [NO_SUCH_RUN], 1)


async def _dry_run(client: AirflowClient, dag_id: str) -> None:
    """A dry run for a dagrun that does not exist: the scheduler asks for the right first, and changes nothing."""
    await client.would_clear(Clearing(dag_id, NO_SUCH_RUN, None))


async def _may(name: str, ask: Callable[[], Awaitable[None]], role: str, ceiling: Mode) -> Check:
    try:
        await ask()
    except Answered as fault:
        if fault.status == 404:  # about the dagrun: the right was there
            return ok(name, "is allowed")
        if ceiling is Mode.OBSERVE:
            return ok(name, f"is not allowed ({fault.status}), and with the ceiling 'observe' not needed")
        return fail(name, f"is not allowed: {fault}", role_text(fault, role))
    except Fault as fault:
        return fail(name, f"no answer: {fault}", "try again; then see the deployment's own log")
    return ok(name, "is allowed")


def role_text(fault: Fault, role: str) -> str:
    """What to do about a refusal. Airflow answers 403 to bad tokens, too."""
    if isinstance(fault, Answered) and fault.status == 401:
        return CREDENTIALS
    if isinstance(fault, Answered) and fault.status == 403:
        return f"give the user the role {role} or more, or {CREDENTIALS}"
    return "see the deployment's own log"


def skew_check(name: str, server: Instant | None, now: Instant) -> Check:
    """The server's clock has whole seconds, rounded down."""
    name = f"{name}: clock"
    if server is None:
        return warn(name, "the server does not tell its time", "let the proxy before it pass on the Date header")
    skew = max(0, abs(now - server) - SECOND)
    if skew < SKEW_NOTED:
        return ok(name, "agrees with ours")
    text = f"differs from ours by {format_duration(skew // SECOND * SECOND)}"
    todo = "set both clocks by NTP: deadlines and what is late are judged by them"
    return (fail if skew >= SKEW_TOO_MUCH else warn)(name, text, todo)
