"""`remediator notify test --to ROUTE`: does a message arrive? Through the real executors, to every destination."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from remediator.actions.port import Executor
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, columns, fail, safe, say, say_json
from remediator.cli.people import system_user
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.model.action import Action, LogLine, Message, Page, Params
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.outcome import Delivered, Outcome, RetryAfter
from remediator.model.policy import Destination
from remediator.model.time import MINUTE, Instant
from remediator.rules.faults import Faults

MARK = "TEST"
CALL_MAX_S = 90.0


class Told(msgspec.Struct, frozen=True):
    """What became of one destination's test. state: delivered, refused, unknown, or later ('try again')."""

    kind: str
    place: str
    state: str
    detail: str

    @property
    def arrived(self) -> bool:
        return self.state == "delivered"


def notify_app() -> typer.Typer:
    """The commands about telling people."""
    app = typer.Typer(help="Telling people: try it before it matters.", no_args_is_help=True)
    app.callback()(lambda: None)
    app.command("test")(try_out)
    return app


def try_out(
    route: Annotated[str, typer.Option("--to", help="The route, as rules name it.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("remediator.toml"),
    as_json: JsonOption = False,
) -> None:
    """Send a marked test to every destination of a route; a pager's alert is resolved again at once.

    Exit code 0: all of them have it. 1: one has not. 2: there is no such route, or the configuration has faults.
    """
    try:
        settings = load_config(config)
    except Faults as faults:
        fail(str(faults))
    routes = settings.policy().routes
    if route not in routes:
        fail(f"no route is named {safe(route)!r}; there are: {', '.join(map(safe, sorted(routes))) or 'none'}")
    found = asyncio.run(try_route(settings, route))
    if as_json:
        say_json({"route": route, "ok": all(one.arrived for one in found), "destinations": msgspec.to_builtins(found)})
    else:
        for line in told_lines(route, found):
            say(line)
    if not found or not all(one.arrived for one in found):
        raise typer.Exit(FINDINGS)


def told_lines(route: str, found: list[Told]) -> list[str]:
    """The table, or that there is nobody to tell."""
    if not found:
        return [f"route {safe(route)!r} has no destination: nobody is told"]
    return columns([("KIND", "WHERE", "RESULT", "DETAIL"), *map(_row, found)])


def _row(one: Told) -> tuple[str, ...]:
    return safe(one.kind), safe(one.place), safe(one.state), safe(one.detail)


async def try_route(config: Config, route: str) -> list[Told]:
    """One test for each destination of the route, side by side."""
    from remediator.runtime.wiring import make_outside  # only here: the other commands start without them

    outside = make_outside(config, lambda event, **fields: say(f"log: {safe(event)} {safe(fields.get('text', ''))}"))
    incident = marked_incident(config.daemon.name, route, time.time_ns() // 1_000)
    destinations = config.policy().routes[route].destinations
    try:
        return list(await asyncio.gather(*(_try(outside.executors.get(one.kind), one, incident)
                                           for one in destinations)))  # fmt: skip
    finally:
        await outside.close()


async def _try(executor: Executor | None, destination: Destination, incident: Incident) -> Told:
    place = " ".join(part for part in (destination.receiver, destination.channel) if part)
    if executor is None:
        return Told(destination.kind, place, "refused", f"nothing performs {destination.kind}")
    outcome: Outcome = Delivered()
    for params in params_of(destination, incident):
        outcome = await _perform(executor, _action(destination, incident, params))
        if not isinstance(outcome, Delivered):
            break
    return told_of(destination.kind, place, outcome)


async def _perform(executor: Executor, action: Action) -> Outcome:
    try:
        async with asyncio.timeout(CALL_MAX_S):
            return await executor.perform(action, uncertain=False)
    except TimeoutError:
        return RetryAfter(MINUTE, f"no answer within {CALL_MAX_S:.0f} s", uncertain=True)


def params_of(destination: Destination, incident: Incident) -> list[Params]:
    """What is sent there, one after the other."""
    if destination.kind == "slack.message":
        return [Message(incident=incident, channel=destination.channel)]
    if destination.kind == "pagerduty.page":
        key = f"{incident.id}-{incident.episode}"
        over = msgspec.structs.replace(incident, phase=Phase.RESOLVED, status="the test is over")
        return [Page(incident, "trigger", key), Page(over, "resolve", key)]
    return [LogLine(incident=incident, text=incident.title)]


def marked_incident(name: str, route: str, now: Instant) -> Incident:
    """An incident that says of itself that it is none."""
    who = system_user()
    return Incident(
        id=stable_id("notify test", route, now, secrets.token_hex(4)),
        episode=1,
        title=f"{MARK}: a test of route {route!r} by {name}; nothing has happened",
        severity="info",
        deployment="",
        phase=Phase.FIRING,
        handling=Handling.NONE,
        opened_at=now,
        updated_at=now,
        rule="notify-test",
        status=f"{MARK}: {who} tries whether messages arrive; nobody needs to do anything",
    )


def _action(destination: Destination, incident: Incident, params: Params) -> Action:
    verb = params.event_action if isinstance(params, Page) else "tell"
    return Action(
        id=stable_id(incident.id, destination.kind, destination.receiver, destination.channel, verb),
        lane="notify-test",
        key="",
        target=destination.receiver,
        params=params,
        not_before=incident.opened_at,
        not_after=incident.opened_at + 30 * MINUTE,
        incident=incident.id,
    )


def told_of(kind: str, place: str, outcome: Outcome) -> Told:
    """An outcome as people read it."""
    if isinstance(outcome, Delivered):
        return Told(kind, place, "delivered", outcome.detail or outcome.ref)
    state = "try again" if isinstance(outcome, RetryAfter) else type(outcome).__name__.lower()
    return Told(kind, place, state, outcome.reason)
