"""`remediator rules explain`: what rules make of an event, clause by clause; from a daemon also what hinders them.

Owns the text. What is said is the engine's, in this process or in the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from remediator.cli.daemon import Daemon, JsonOption, UrlOption, find_daemon
from remediator.cli.output import columns, fail, safe, say, say_json
from remediator.cli.recorded import Found, assign_by, decode_by, read_events, settings_of
from remediator.cli.rules_files import load_or_exit
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.engine.explain import explain as explain_by
from remediator.model.text import cut
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.toml import near

View = dict[str, Any]
MAX_EVENTS = 20
SHOWN = 160
"""Longest condition or value in text, in characters; --json has more of it."""

PathsArgument = Annotated[
    list[Path] | None, typer.Argument(help="Rule files and folders. Without them a running daemon is asked.")
]
EventOption = Annotated[
    str,
    typer.Option(
        "--event", "-e", help="A file with the event, '-' for standard input: a recorded record, what a producer sent, "
        "or an event by the names that rules use."
    ),
]  # fmt: skip
RuleOption = Annotated[list[str] | None, typer.Option("--rule", "-r", help="Only this rule; may be repeated.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The daemon's configuration: where it listens; with paths, its deployments."),
]


def explain(
    event: EventOption,
    paths: PathsArgument = None,
    rule: RuleOption = None,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what every condition of every rule says of an event, and which rule would respond.

    A running daemon also tells what stands in the way now: budgets, windows, quiet times, modes and ceilings.
    Exit code 1: the rules have faults. 2: it could not be done.
    """
    only = list(dict.fromkeys(rule or ()))
    settings = settings_of(config) if paths else _settings_if_sound(config)
    events = read_events(event, decode_by(settings))
    found = events[:MAX_EVENTS]
    if paths:
        rules, _ = load_or_exit(paths, config, as_json=as_json)
        views = _offline(rules, found, settings, only)
    else:
        views = _live(find_daemon(config, url), found, only)
    if as_json:
        say_json({"events": views, "left_off": len(events) - len(found)})
        return
    for line in explained_lines(views):
        say(line)
    if len(events) > len(found):
        say(f"\n{len(events) - len(found)} further events of {safe(event)} are not explained")


def _settings_if_sound(config: Path | None) -> Config | None:
    """The daemon's own configuration tells which codec reads which topic; where it listens is enough to ask it."""
    try:
        return None if config is None else load_config(config, resolve_secrets=False)
    except Faults:
        return None


def _offline(rules: RuleSet, events: list[Found], settings: Config | None, only: list[str]) -> list[View]:
    for rule_id in only:
        if rule_id not in rules.rules:
            hint = near(rule_id, rules.rules)
            fail(f"--rule: no rule {safe(rule_id)!r} there" + (f"; did you mean {hint!r}?" if hint else ""))
    assign = assign_by(settings)
    assigned = (msgspec.structs.replace(one.event, deployment=assign(one.event, one.topic)) for one in events)
    return [msgspec.to_builtins(view) for event in assigned for view in explain_by(rules, event, None, only)]


def _live(daemon: Daemon, events: list[Found], only: list[str]) -> list[View]:
    bodies = ({"event": msgspec.to_builtins(one.event), "topic": one.topic, "rules": only} for one in events)
    return [view for body in bodies for view in daemon.post("/api/v1/explain", "events", body)["events"]]


# -- text ---------------------------------------------------------------------------------------------------------


def explained_lines(views: list[View]) -> Iterator[str]:
    """The explanations as a person reads them."""
    for number, view in enumerate(views):
        if number:
            yield ""
        yield from _head(view)
        for rule in sorted(view["rules"], key=lambda rule: bool(rule["role"] == "no")):
            yield ""
            yield from _rule(rule)
        yield from _not_shown(view)


def _head(view: View) -> Iterator[str]:
    where = " / ".join(safe(view[key]) for key in ("deployment", "dag_id", "task_id") if view[key])
    if view["type"] != view["given"]:
        yield f"{safe(view['type'])}, which {safe(view['given'])} becomes when the scheduler says that it is final"
    else:
        yield f"{safe(view['type'])} at {safe(view['time'])}  {where}".rstrip()
    yield f"  → {safe(view['outcome'])}"
    yield from _table(view["checks"], "  ")


def _not_shown(view: View) -> Iterator[str]:
    if view["left_off"] or view["silent"]:
        yield ""
    if view["left_off"]:
        yield f"  {view['left_off']:,} further rules on this type are not shown: name one with --rule"
    if view["silent"]:
        yield f"  {view['silent']:,} rules are on other types"


def _rule(rule: View) -> Iterator[str]:
    place = f"  ({safe(rule['file'])}:{rule['line']})" if rule["file"] else ""
    yield f"  {safe(rule['rule'])}  {rule['role'].replace('_', ' ')}: {safe(rule['text'])}{place}"
    yield from columns(list(_clauses(rule["clauses"], "    ")))
    yield from _table(rule["state"], "    ")
    for step in rule["steps"]:
        to = f" to {safe(step['to'])}" if step["to"] else ""
        yield f"    {safe(step['step'])}: {safe(step['action'])}{to}: {step['verdict']}"
        yield from _table(step["checks"], "      ")
    if rule["incident"]:
        yield from _incident(rule["incident"])


def _clauses(clauses: list[View], indent: str) -> Iterator[tuple[str, ...]]:
    for clause in clauses:
        if clause["children"]:
            yield f"{indent}{clause['verdict']}", safe(clause["field"]), safe(clause["reason"])
            yield from _clauses(clause["children"], indent + "  ")
            continue
        met = "missing" if clause["value"] is None else f"met {_cut(safe(_value(clause['value'])))}"
        reason = f" ({safe(clause['reason'])})" if clause["verdict"] == "error" else ""
        yield f"{indent}{clause['verdict']}", safe(clause["field"]), f"{_cut(safe(clause['condition']))}  {met}{reason}"


def _cut(text: str) -> str:
    return cut(text, SHOWN)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace")


def _table(checks: list[View], indent: str) -> list[str]:
    return columns([(f"{indent}{one['verdict']}", safe(one["name"]), safe(one["text"])) for one in checks])


def _incident(incident: View) -> Iterator[str]:
    yield f"    incident {safe(incident['id'])[:12]} episode {incident['episode']}, failure {incident['failures']}"
    yield from (f"      told: {safe(told)}" for told in incident["told"])
