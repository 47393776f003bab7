"""`remediator explain`: why something was done, or not done, told so that it can be read at three in the morning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import fail, safe, say, say_json
from remediator.runtime.story_text import text_lines

View = dict[str, Any]
PATHS = {"incident": "incidents", "action": "actions"}


def explain(
    incident: Annotated[str, typer.Option("--incident", "-i", help="An incident's id, or the beginning of it.")] = "",
    action: Annotated[str, typer.Option("--action", "-a", help="An action's id, or the beginning of it.")] = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the story of one incident, or of one action: what was seen, decided and done, and what proved it."""
    given = [(name, value) for name, value in (("incident", incident), ("action", action)) if value]
    if len(given) != 1:
        fail("give either --incident ID or --action ID; `remediator incidents` lists them, a story names its actions")
    name, value = given[0]
    found = find_daemon(config, url).look_up(f"/api/v1/{PATHS[name]}/{quote(value, safe='')}/explain", "story")
    if as_json:
        say_json(found)
        return
    for line in story_lines(found):
        say(line)


def story_lines(found: View) -> Iterator[str]:
    """The story as a person reads it, with nothing in it that a terminal would obey."""
    return (safe(line) for line in text_lines(found["story"]))
