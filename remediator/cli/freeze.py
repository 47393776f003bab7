"""`remediator freeze on|off`: stop every change of a pipeline, or allow them again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import say, say_json
from remediator.cli.people import AsOption, actor


class Switch(StrEnum):
    ON = "on"
    OFF = "off"


def freeze(
    switch: Annotated[Switch, typer.Argument(help="on: no change is made any more. off: everything is decided anew.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is journalled.")] = "",
    name: AsOption = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop, or allow again, every change of a pipeline. People are told either way."""
    body = {"on": switch is Switch.ON, "reason": reason, "actor": actor(name)}
    answer = find_daemon(config, url).post("/api/v1/freeze", "frozen", body)
    if as_json:
        say_json(answer)
    else:
        say("frozen: nothing is changed until 'remediator freeze off'" if answer.get("frozen") else "not frozen")
