"""The demo's screen: the story on the left, numbers and people on the right, what to try at the bottom.

Owns layout and colours. Reads what it is given; text from outside is never taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from remediator.demo.files import CHANNEL, FEED, PER_HOUR
from remediator.demo.fleet.running import Running
from remediator.demo.plant import Plant
from remediator.demo.story import Line, Mood, shortened
from remediator.demo.summary import actions, clears_by
from remediator.engine import feeds
from remediator.engine.state import WorldState
from remediator.model.reasons import Reason
from remediator.model.shares import percent, share
from remediator.model.time import SECOND, Instant, format_instant
from remediator.store.port import Counts

COLOURS: dict[Mood, str] = {
    Mood.WORKING: "yellow",
    Mood.HELPED: "green",
    Mood.PERSON: "red",
    Mood.OVER: "cyan",
    Mood.QUIET: "bright_black",
}
STORY_WIDTH = 3
SIDE_WIDTH = 2
QUIET_SHOWN = 2
MESSAGES_SHOWN = 6
MESSAGE_WIDTH = 90


@dataclass(frozen=True, slots=True)
class View:
    """One moment: the plant, what its store says, and the time."""

    plant: Plant
    counts: Counts
    world: WorldState
    now: Instant
    kept: str = ""
    """The folder that stays; '': none does."""


def screen(view: View, height: int) -> Layout:
    """The whole screen, for a terminal of `height` rows."""
    whole = Layout()
    whole.split_column(Layout(name="main"), Layout(_help(view), size=6, name="help"))
    whole["main"].split_row(
        Layout(_story(view.plant.story.lines, height - 8), ratio=STORY_WIDTH, name="story"),
        Layout(name="side", ratio=SIDE_WIDTH),
    )
    whole["side"].split_column(
        Layout(Panel(_fleet(view.plant.fleet.values(), view), title="fleet"), size=8),
        Layout(Panel(_numbers(view), title="remediator"), size=14),
        Layout(Panel(_people(view), title="what people were told")),
    )
    return whole


def _story(lines: Iterable[Line], rows: int) -> Panel:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    for line in _newest(list(lines), rows):
        text = Text(f"{line.place} ", style="bold")
        text.append(line.text, style=COLOURS[line.mood])
        grid.add_row(clock(line.at), text)
    title = Text.assemble(
        "decisions: ", ("working on it", "yellow"), " · ", ("helped", "green"), " · ", ("a person's", "red"), " · ",
        ("over", "cyan"), " · ", ("Airflow's own", "bright_black"),
    )  # fmt: skip
    return Panel(grid, title=title)


def _newest(lines: list[Line], rows: int) -> list[Line]:
    """The last lines, latest first; what is Airflow's own leaves the room to problems."""
    told = [line for line in lines if line.mood is not Mood.QUIET]
    quiet = [line for line in lines if line.mood is Mood.QUIET]
    shown = [*told[-max(1, rows - QUIET_SHOWN) :], *quiet[-QUIET_SHOWN:]]
    return sorted(shown, key=lambda line: line.at, reverse=True)


def clock(at: Instant) -> str:
    """HH:MM:SS, UTC."""
    return format_instant(at)[11:19]


def _fleet(fleet: Iterable[Running], view: View) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0))
    for name in ("deployment", "runs", "active", "failed", "final", "cleared", "people"):
        table.add_column(name, justify="left" if name == "deployment" else "right", no_wrap=True)
    for one in fleet:
        states = [run.state for run in one.api.state.runs.values()]
        ours, theirs = clears_by(one.api.state)
        cells = (len(states), states.count("running"), states.count("failed"), view.plant.tally.failed[one.name], ours)
        table.add_row(one.name, *(str(cell) for cell in (*cells, theirs)))
    return table


def _numbers(view: View) -> RenderableType:
    tally, now = view.plant.tally, view.now
    helped, not_helped = tally.reasons[Reason.HELPED], tally.reasons[Reason.DID_NOT_HELP]
    rate = percent(share(helped, not_helped))
    seconds = max(1, (now - view.plant.started_at) / SECOND)
    frozen = Text("FROZEN: nothing is changed", style="bold red") if view.counts.frozen else Text("not frozen")
    grid = Table.grid(padding=(0, 2))
    rows: list[tuple[str, RenderableType]] = [
        ("read", f"{tally.records} records ({tally.records / seconds:.0f}/s), "
                 f"{tally.dead_letters} dead letters"),
        ("feed", _feed(view)),
        ("incidents", f"{view.counts.incidents_open} open, {len(tally.resolved)} resolved"),
        ("retries", Text.assemble((f"{helped} helped", "green"), ", ", (f"{not_helped} did not", "red"), f" ({rate})")),
        ("budget", f"{tally.reasons[Reason.BUDGET_SPENT]} refusals (cap: {PER_HOUR} an hour per task)"),
        ("freeze", frozen),
    ]  # fmt: skip
    for name, value in rows:
        grid.add_row(Text(name, style="bright_black"), value)
    for kind, outcomes in actions(tally, view.counts).items():
        told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
        grid.add_row(Text(kind, style="bright_black"), told)
    return grid


def _feed(view: View) -> Text:
    policy, state = view.plant.config.policy(), view.world.feeds.get(FEED)
    mark = feeds.watermark(view.world.feeds, FEED, policy)
    if not mark:
        return Text("starting")
    behind = feeds.is_behind(view.world, FEED, policy)
    age = (view.now - mark) / SECOND
    blind = state is not None and state.blind
    word, colour = ("blind", "red") if blind else ("catching up", "yellow") if behind else ("complete", "green")
    return Text.assemble(
        (word, colour), f" up to {age:.0f} s ago, {view.plant.traffic.sent - view.plant.tally.records} waiting"
    )


def _people(view: View) -> RenderableType:
    receiver = view.plant.receiver
    counters = receiver.counters()
    head = Text(
        f"{counters['pagerduty_pages']} pages ({counters['pagerduty_open']} open), {counters['slack_posts']} Slack "
        f"messages, edited {counters['slack_edits']} times",
        style="bold",
    )
    pages = [
        _row(f"PagerDuty {'open' if one.open else 'resolved'}: {one.summary}", "red" if one.open else "cyan")
        for one in receiver.pagerduty.alerts[-MESSAGES_SHOWN:]
    ]
    posts = [
        _row(f"Slack #{CHANNEL}{f', edit {one.edits}' if one.edits else ''}: {one.text}", "")
        for one in receiver.slack.messages[-MESSAGES_SHOWN:]
    ]
    return Group(head, *reversed(pages), *reversed(posts))


def _row(text: str, style: str) -> Text:
    return Text(shortened(text, MESSAGE_WIDTH), style=style, no_wrap=True, overflow="ellipsis")


def _help(view: View) -> Panel:
    url = view.plant.daemon.http_url
    lines = (
        f"Simulated: 3 Airflows, Kafka, Slack and PagerDuty. Real: remediator. HTTP API and metrics: {url}  "
        f"(/api/v1/status, /metrics)",
        f"In another terminal:  remediator freeze on --url {url} --reason trying     (off: everything is decided anew)",
        f"                      remediator incidents --url {url}      remediator explain --incident <id> --url {url}",
        f"Ctrl-C ends it and leaves {f'what is in {view.kept}' if view.kept else 'nothing'} behind.",
    )
    return Panel(Text("\n".join(lines)), title="try it")
