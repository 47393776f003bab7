"""`remediator incidents`: what is open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import columns, safe, say, say_json
from remediator.model.text import cut

HEAD = ("ID", "EPISODE", "SEVERITY", "STATE", "DEPLOYMENT", "DAG / TASK", "FAILURES", "UPDATED", "TITLE")
TITLE_LIMIT = 60


def incidents(
    every: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List incidents, latest updated first."""
    params = {"all": "true" if every else "false", "limit": limit}
    found = find_daemon(config, url).get("/api/v1/incidents", "incidents", **params)["incidents"]
    if as_json:
        say_json(found)
    elif not found:
        say("no incidents" if every else "no open incidents")
    else:
        for line in columns([HEAD, *(incident_row(one) for one in found)]):
            say(line)


def incident_row(view: dict[str, Any]) -> tuple[str, ...]:
    """One incident as a line of the table."""
    where = "/".join(part for part in (view.get("dag_id"), view.get("task_id")) if part)
    title = safe(view["title"])
    return (
        safe(view["id"])[:12],
        str(view["episode"]),
        safe(view["severity"]),
        state_text(view),
        safe(view["deployment"]),
        safe(where)[:TITLE_LIMIT],
        str(view.get("failures", 0)),
        view["updated_at"][:19].replace("T", " "),
        cut(title, TITLE_LIMIT),
    )


def state_text(view: dict[str, Any]) -> str:
    """'firing', 'firing, remediating, paged', 'resolved', …"""
    words = [view["phase"]]
    if view["phase"] != "resolved" and view["handling"] != "none":
        words.append(view["handling"])
    if view.get("paged"):
        words.append("paged")
    return ", ".join(words)
