"""`remediator explain`: why something was done, or not done, told so that it can be read at three in the morning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.incidents import state_text
from remediator.cli.output import safe, say, say_json
from remediator.model.time import format_duration, parse_instant

View = dict[str, Any]
REASON_WIDTH = 18


def explain(
    incident: Annotated[str, typer.Option("--incident", "-i", help="Its id, or the beginning of it.")],
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the story of one incident: what was seen, decided, done, and what came of it."""
    story = find_daemon(config, url).get(f"/api/v1/incidents/{quote(incident, safe='')}/explain")
    if as_json:
        say_json(story)
        return
    for line in story_lines(story):
        say(line)


def story_lines(story: View) -> Iterator[str]:
    """The story as a person reads it."""
    yield from _head(story["incident"])
    yield ""
    yield from _timeline(story)


def _head(incident: View) -> Iterator[str]:
    yield safe(incident["title"])
    name = f"incident {safe(incident['id'])} episode {incident['episode']}"
    yield f"  {incident['severity']} · {state_text(incident)} · {name}"
    where = [("deployment", "deployment"), ("dag", "dag_id"), ("task", "task_id"), ("rule", "rule"), ("owner", "owner")]
    yield "  " + "   ".join(f"{name} {safe(incident[key])}" for name, key in where if incident.get(key))
    if incident.get("failures"):
        yield f"  failures {incident['failures']}; dagruns {safe(', '.join(incident.get('dagruns', [])))}"
    for name in ("error", "status", "resolution", "log_url"):
        if incident.get(name):
            yield f"  {name.removesuffix('_url')}: {safe(incident[name])}"
    if incident.get("impact"):
        yield f"  impact: {safe(', '.join(incident['impact']))}"


def _timeline(story: View) -> Iterator[str]:
    actions = {action["id"]: action for action in story["actions"]}
    decisions = story["decisions"]
    start = parse_instant(decisions[0]["at"]) if decisions else 0
    for number, decision in enumerate(decisions, start=1):
        yield _decision_line(number, decision, start)
        action = actions.pop(decision.get("action_id", ""), None)
        if action is not None:
            yield f"{'':27}→ {action_text(action)}"
    if not decisions:
        yield "nothing was decided, or it is past its retention"
    if actions:
        yield ""
        yield "further actions"
        yield from (f"  {clock(action['at'])}  {action_text(action)}" for action in actions.values())


def _decision_line(number: int, decision: View, start: int) -> str:
    since = parse_instant(decision["at"]) - start
    rule = f"  [rule {safe(decision['rule'])}]" if decision.get("rule") else ""
    later = f"  (+{elapsed(since)})" if since else ""
    reason = f"{safe(decision['reason']):<{REASON_WIDTH}}"
    return f"{number:>3}. {clock(decision['at'])}  {reason} {safe(decision['text'])}{rule}{later}"


def action_text(action: View) -> str:
    """'airflow.retry on prod: delivered after 2 tries, 1 task cleared'"""
    tries = f" after {action['tries']} failed tries" if action.get("tries") else ""
    detail = f", {safe(action['detail'])}" if action.get("detail") else ""
    target = f" on {safe(action['target'])}" if action.get("target") else ""
    return f"{safe(action['kind'])}{target}: {safe(action['state'])}{tries}{detail}  [{safe(action['id'])[:12]}]"


def clock(instant: str) -> str:
    """'2026-11-22 06:50:35Z'"""
    return instant[:19].replace("T", " ") + "Z"


def elapsed(length: int) -> str:
    """A length as a person needs it: to the tenth of a second below a minute, else to the second."""
    if length < 60_000_000:
        return f"{length / 1_000_000:.1f}s"
    return format_duration(length // 1_000_000 * 1_000_000)
