"""`remediator approvals list|approve|reject`: changes that wait for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import columns, safe, say, say_json
from remediator.cli.people import AsOption, actor
from remediator.model.time import SECOND, format_duration

HEAD = ("ID", "EXPIRES", "DEPLOYMENT", "RULE", "INCIDENT", "WHAT")
TEXT_LIMIT = 120
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, or the beginning of it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is journalled.")]


def approvals_app() -> typer.Typer:
    """The commands about proposals."""
    app = typer.Typer(help="Changes that wait for a person: list and answer them.", no_args_is_help=True)
    app.command("list")(list_proposals)
    app.command()(approve)
    app.command()(reject)
    return app


def list_proposals(url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what waits for an answer, what expires first first."""
    found = find_daemon(config, url).get("/api/v1/proposals")["proposals"]
    if as_json:
        say_json(found)
        return
    for line in proposal_lines(found):
        say(line)


def approve(
    proposal: IdArgument,
    reason: ReasonOption = "",
    name: AsOption = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a change happen. Exit code 1: no such proposal, expired, or answered otherwise."""
    _answer("approve", proposal, reason, name, url, config, as_json=as_json)


def reject(
    proposal: IdArgument,
    reason: ReasonOption = "",
    name: AsOption = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forbid a change; the rule goes on with what comes after it. Exit code 1: as for approve."""
    _answer("reject", proposal, reason, name, url, config, as_json=as_json)


def _answer(
    command: str, proposal: str, reason: str, name: str, url: UrlOption, config: ConfigOption, *, as_json: bool
) -> None:
    path = f"/api/v1/proposals/{quote(proposal, safe='')}/{command}"
    given = find_daemon(config, url).press(path, {"actor": actor(name), "reason": reason})
    if as_json:
        say_json(given)
        return
    done = "approved" if command == "approve" else "rejected"
    before = f" already, at {safe(given['at'])[:19]}Z" if given["repeated"] else ""
    say(f"{done}{before} by {safe(given['actor'])}: proposal {safe(given['proposal'])}")


def proposal_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """The table, and what to do with it."""
    if not found:
        yield "nothing waits for an answer"
        return
    yield from columns([HEAD, *map(_row, found)])
    yield ""
    yield "remediator approvals approve ID, or reject ID --reason '…'; explain --incident ID says why it is asked"


def _row(view: dict[str, Any]) -> tuple[str, ...]:
    what = safe(f"{view['action']} of {view['text']}")
    return (
        safe(view["id"]),
        f"in {format_duration(int(view['expires_in_s']) * SECOND)}",
        safe(view["deployment"]),
        safe(view["rule"]),
        safe(view["incident"])[:12],
        what if len(what) <= TEXT_LIMIT else what[: TEXT_LIMIT - 1] + "…",
    )
