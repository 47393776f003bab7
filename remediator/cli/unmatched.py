"""`remediator unmatched`: final failures that no rule answered, by error signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from remediator.cli.daemon import JsonOption, UrlOption, find_daemon
from remediator.cli.output import FINDINGS, columns, fail, safe, say, say_json
from remediator.cli.recorded import assign_by, decode_by, settings_of, unmatched_in
from remediator.cli.rules_files import load_or_exit
from remediator.rules.unmatched import Group, group_of, group_view

HEAD = ("SIGNATURE", "COUNT", "LAST", "DAGS", "ERROR")
SHOWN_DAGS = 2

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="The daemon's configuration: where it listens; with --events, its deployments."
    ),
]
EventsOption = Annotated[
    Path | None, typer.Option("--events", help="Instead of a daemon: recorded records or events, one a line (.gz too).")
]
RulesOption = Annotated[
    list[Path] | None, typer.Option("--rules", help="With --events: the rules that may know the failures.")
]
SinceOption = Annotated[str, typer.Option("--since", help="How far back a daemon looks, such as 12h or 7d.")]


class Unmatched(msgspec.Struct, frozen=True):
    """Most frequent first. route: whom they are paged by; more: whether some were left off."""

    groups: list[Group]
    route: str = "default"
    more: bool = False


def unmatched(
    url: UrlOption = None,
    config: ConfigOption = None,
    events: EventsOption = None,
    rules: RulesOption = None,
    since: SinceOption = "7d",
    as_json: JsonOption = False,
) -> None:
    """List the failures that no acting rule knew, grouped by what their errors have in common.

    Exit code 0: there are none. 1: there are. 2: it could not be done.
    """
    found = find_unmatched(url, config, events, rules, since, as_json=as_json)
    if as_json:
        say_json({"unmatched": [group_view(group) for group in found.groups], "more": found.more})
    else:
        for line in unmatched_lines(found):
            say(line)
    if found.groups:
        raise typer.Exit(FINDINGS)


def find_unmatched(
    url: str | None,
    config: Path | None,
    events: Path | None,
    rules: list[Path] | None,
    since: str,
    *,
    as_json: bool,
) -> Unmatched:
    """From a recording or from a daemon. Ends the command if that cannot be done."""
    if events is not None or rules:
        return _recorded(config, events, rules, as_json=as_json)
    answer = find_daemon(config, url).get("/api/v1/unmatched", "unmatched", since=since)
    try:
        return Unmatched([group_of(view) for view in answer["unmatched"]], answer["route"], bool(answer["more"]))
    except (KeyError, TypeError, ValueError):
        fail("what answers there is not this version of remediator")


def _recorded(config: Path | None, events: Path | None, rules: list[Path] | None, *, as_json: bool) -> Unmatched:
    if events is None or not rules:
        fail("--events and --rules go together: a recording, and the rules that may know its failures")
    settings = settings_of(config)
    rule_set, policy = load_or_exit(rules, config, as_json=as_json)
    groups = unmatched_in(events, rule_set, decode_by(settings), assign_by(settings))
    route = policy.unclassified_route if policy is not None else "default"
    return Unmatched(groups.most_frequent_first(), route, groups.left_off > 0)


def unmatched_lines(found: Unmatched) -> Iterator[str]:
    """The table, and what to do with it."""
    if not found.groups:
        yield "no failure that no rule knew"
        return
    yield from columns([HEAD, *map(_row, found.groups)])
    if found.more:
        yield "there are more"
    yield ""
    yield "remediator rules new --from-signature ID drafts a rule for one of them"


def _row(group: Group) -> tuple[str, ...]:
    more = len(group.dags) - SHOWN_DAGS + group.more_dags
    dags = ", ".join(map(safe, group.dags[:SHOWN_DAGS])) + (f" and {more} more" if more > 0 else "")
    last: Any = group_view(group)["last"]
    observed = f"  [observed by {', '.join(map(safe, group.observed_by))}]" if group.observed_by else ""
    text = safe(group.template) or "(no error text)"
    return group.id or "-", f"{group.count:,}", last[:19].replace("T", " "), dags, text + observed
