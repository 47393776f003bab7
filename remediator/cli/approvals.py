"""`remediator approvals list|show|approve|reject`: changes that wait for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import columns, safe, say, say_json
from remediator.cli.people import AsOption, actor
from remediator.model.text import cut
from remediator.model.time import SECOND, format_duration

View = dict[str, Any]
HEAD = ("ID", "EXPIRES", "DEPLOYMENT", "RULE", "INCIDENT", "TASKS", "WHAT")
TEXT_LIMIT = 120
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, or the beginning of it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is journalled.")]


def approvals_app() -> typer.Typer:
    """The commands about proposals."""
    app = typer.Typer(help="Changes that wait for a person: list, look into and answer them.", no_args_is_help=True)
    app.command("list")(list_proposals)
    app.command()(show)
    app.command()(approve)
    app.command()(reject)
    return app


def list_proposals(url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what waits for an answer, what expires first first."""
    found = find_daemon(config, url).get("/api/v1/proposals", "proposals")["proposals"]
    if as_json:
        say_json(found)
        return
    for line in proposal_lines(found):
        say(line)


def show(proposal: IdArgument, url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell what is asked, why, by which rule, and what a yes would do now. Exit code 1: as for approve."""
    found = find_daemon(config, url).look_up(f"/api/v1/proposals/{quote(proposal, safe='')}", "id")
    if as_json:
        say_json(found)
        return
    for line in shown_lines(found):
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
    given = find_daemon(config, url).press(path, "proposal", {"actor": actor(name), "reason": reason})
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
    yield "remediator approvals show ID says what it would do; approve ID, or reject ID --reason '…'"


def shown_lines(view: View) -> Iterator[str]:
    """One proposal as a person reads it before a yes, with nothing in it that a terminal would obey."""
    yield safe(f"{view['action']} of {view['text']}")
    yield ""
    for name, text in _shown(view):
        yield f"  {name:<10}  {safe(text)}"
    yield ""
    yield f"remediator approvals approve {safe(view['id'])}, or reject {safe(view['id'])} --reason '…'"
    yield f"remediator explain --incident {safe(view['incident'])} tells how it came to this"


def _shown(view: View) -> Iterator[tuple[str, str]]:
    yield "proposal", view["id"]
    left = format_duration(int(view["expires_in_s"]) * SECOND)
    yield "open until", f"{view['expires_at'][:19]}Z, in {left}; then it counts as a no"
    many = f"{view['failures']} failures" if view["failures"] != 1 else "1 failure"
    yield "incident", f"{view['incident']}: {view['title']} ({view['deployment']}, {view['severity']}, {many})"
    if view["error"]:
        yield "error", view["error"]
    yield "rule", rule_text(view)
    if view["waiting"] > 1:
        yield "waiting", f"{view['waiting']} failures wait for this answer"
    if view["previewed"]:
        yield "was told", view["previewed"]
    yield from _preview(view["preview"])
    for check in view["held_back"]:
        yield "then", f"{'put off' if check['verdict'] == 'wait' else 'refused'} by {check['name']}: {check['text']}"


def rule_text(view: View) -> str:
    """'reset (rules/a.toml:3), mode approve, step do 1: its summary'"""
    rule = view["asked_by"]
    place = f" ({rule['file']}:{rule['line']})" if rule["file"] else ""
    parts = (f", mode {rule['mode']}" * bool(rule["mode"]), f", step {view['step']}" * bool(view["step"]))
    summary = f": {rule['summary']}" if rule["summary"] else ""
    return f"{rule['rule'] or view['rule']}{place}{''.join(parts)}{summary}"


def _preview(found: View) -> Iterator[tuple[str, str]]:
    if found["error"]:
        yield "would do", f"NOT KNOWN, nobody could tell: {found['error']}"
        return
    yield "would do", found["text"]
    if found["affects"]:
        yield "touches", f"{found['affects']} task instances" if found["affects"] != 1 else "1 task instance"
    if found["refused"]:
        yield "but", f"it would be refused as things are now: {found['refused']}"


def _row(view: dict[str, Any]) -> tuple[str, ...]:
    what = safe(f"{view['action']} of {view['text']}")
    return (
        safe(view["id"]),
        f"in {format_duration(int(view['expires_in_s']) * SECOND)}",
        safe(view["deployment"]),
        safe(view["rule"]),
        safe(view["incident"])[:12],
        str(view["affects"] or ""),
        cut(what, TEXT_LIMIT),
    )
