"""What `remediator backtest` prints: tables for people, one object for programs, bars while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from remediator.backtest.compare import Change, Difference
from remediator.backtest.report import ACTIONS, FIRINGS, Outcome
from remediator.backtest.survey import Counts
from remediator.cli.output import columns, safe
from remediator.model.time import format_duration, format_instant

SHOWN = 20
SHOWN_CHANGES = 100
KEPT_CHANGES = 10_000
TITLE_CHARS = 80


class Limit(msgspec.Struct, frozen=True):
    """What was allowed, and what was found."""

    name: str
    allowed: int
    found: int


class Result(msgspec.Struct, frozen=True):
    """All that a backtest says. assumed: what became of retries; there: whether more records were left unread."""

    counts: Counts
    outcome: Outcome
    assumed: str
    left_unread: bool
    exceeded: Sequence[Limit]
    compared_with: str = ""
    difference: Difference | None = None


class Bars:
    """Progress on standard error, if that is a terminal and nobody asked for silence."""

    def __init__(self, *, silent: bool) -> None:
        self._console = Console(stderr=True)
        self._silent = silent or not self._console.is_terminal

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Progress]:
        """One bar; `advance` its first task or set its `completed`."""
        shape = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*shape, console=self._console, disable=self._silent, transient=True) as progress:
            progress.add_task(text, total=max(total, 1))
            yield progress


# -- for programs -------------------------------------------------------------------------------------------------


def as_json(result: Result) -> dict[str, Any]:
    """The object that `--json` prints."""
    counts, outcome = result.counts, result.outcome
    stopped = outcome.stopped()
    return {
        "records": counts.records,
        "events": counts.events,
        "dead_letters": counts.dead_letters,
        "firings": outcome.count(*FIRINGS),
        "actions": outcome.count(*ACTIONS),
        "pages": outcome.count("paged"),
        "stopped": stopped.total(),
        "stopped_by": dict(stopped.most_common()),
        "begin": format_instant(counts.begin),
        "end": format_instant(counts.end),
        "assumed": result.assumed,
        "left_unread": result.left_unread,
        "skipped": counts.skipped,
        "disordered": counts.disordered,
        "unmapped": counts.unmapped,
        "letters": [msgspec.structs.asdict(letter) for letter in counts.letters],
        "incidents": {"opened": outcome.opened, "open": outcome.still_open},
        "rules": [_rule(outcome, rule) for rule in outcome.rules()],
        "unclassified": [{"error": error, "failures": n} for error, n in outcome.unclassified.most_common()],
        "self_alerts": dict(outcome.alerts),
        "exceeded": [msgspec.structs.asdict(limit) for limit in result.exceeded],
        "against": None if result.difference is None else _difference(result),
    }


def _rule(outcome: Outcome, rule: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "firings": outcome.count("fired", "unclassified", rule=rule),
        "would_have_fired": outcome.count("would have fired", rule=rule),
        "retries": outcome.count("retried", rule=rule),
        "helped": outcome.count("helped", rule=rule),
        "pages": outcome.count("paged", rule=rule),
        "notifications": outcome.count("notified", rule=rule),
        "errors": outcome.count("error", rule=rule),
        "stopped_by": dict(outcome.stopped(rule).most_common()),
    }


def _difference(result: Result) -> dict[str, Any]:
    assert result.difference is not None  # noqa: S101  (asked for by the caller)
    named = {"new": result.difference.new, "gone": result.difference.gone, "changed": result.difference.changed}
    totals = {effect: {"before": before, "after": after} for effect, before, after in result.difference.totals}
    kept = {name: [msgspec.structs.asdict(one) for one in found[:KEPT_CHANGES]] for name, found in named.items()}
    return {
        "with": result.compared_with,
        "totals": totals,
        **kept,
        "counts": {name: len(found) for name, found in named.items()},
    }


# -- for people ---------------------------------------------------------------------------------------------------


def human(result: Result) -> Iterator[str]:
    """The lines for a terminal."""
    yield from _head(result)
    yield from _table(result.outcome)
    yield from _unclassified(result.outcome)
    yield from _letters(result.counts)
    if result.difference is not None:
        yield from _changes(result.compared_with, result.difference)
    for limit in result.exceeded:
        yield f"exceeded: {limit.found:,} {limit.name}, at most {limit.allowed:,} are allowed"


def _head(result: Result) -> Iterator[str]:
    counts, outcome = result.counts, result.outcome
    span = format_duration((counts.end - counts.begin) // 1_000_000 * 1_000_000)
    yield (f"{counts.records:,} records, {counts.events:,} events, {counts.dead_letters:,} dead letters; "
           f"{format_instant(counts.begin)[:19]}Z and {span} on")  # fmt: skip
    if result.left_unread:
        yield "there are more records than --max-records allowed to be read"
    if counts.disordered:
        back = format_duration(counts.furthest_back // 1_000_000 * 1_000_000)
        yield f"{counts.disordered:,} records are older than others before them, by up to {back}: order them by time"
    if counts.unmapped:
        names = ", ".join(f"{safe(name) or '(none)'} ({n:,})" for name, n in list(counts.unmapped.items())[:SHOWN])
        yield f"no deployment, or more than one, claims these namespaces (events): {names}"
    yield (f"{outcome.count(*FIRINGS):,} firings, {outcome.count(*ACTIONS):,} actions, {outcome.count('paged'):,} "
           f"pages, {outcome.stopped().total():,} stopped by brakes; {outcome.opened:,} incidents, "
           f"{outcome.still_open:,} still open")  # fmt: skip
    if outcome.count("retried"):
        yield f"assumed of the {outcome.count('retried'):,} retries: {result.assumed}"


def _table(outcome: Outcome) -> Iterator[str]:
    head = ("rule", "fired", "would have", "retried", "helped", "paged", "notified", "stopped by")
    effects = ("would have fired", "retried", "helped", "paged", "notified")
    rows = [head]
    for rule in outcome.rules():
        fired = outcome.count("fired", "unclassified", rule=rule)
        numbers = (fired, *(outcome.count(effect, rule=rule) for effect in effects))
        brakes = ", ".join(f"{name} {n}" for name, n in outcome.stopped(rule).most_common())
        errors = outcome.count("error", rule=rule)
        brakes += f"{', ' if brakes else ''}error in the rule {errors}" if errors else ""
        rows.append((safe(rule), *(f"{n:,}" if n else "." for n in numbers), brakes))  # type: ignore[arg-type]
    if len(rows) > 1:
        yield ""
        yield from columns(rows)


def _unclassified(outcome: Outcome) -> Iterator[str]:
    if outcome.unclassified:
        yield ""
        yield f"failures that no acting rule knew: {outcome.unclassified.total():,}"
        yield from columns([(f"{n:>7,}", safe(error)) for error, n in outcome.unclassified.most_common(SHOWN)])
        yield from _more(len(outcome.unclassified), SHOWN, "errors")
    for title, n in outcome.alerts.most_common(SHOWN):
        yield f"the daemon would have told about itself: {safe(title)} ({n:,})"


def _letters(counts: Counts) -> Iterator[str]:
    if counts.letters:
        yield ""
        yield "dead letters:"
        yield from (f"  {safe(letter.place)}: {safe(letter.reason)}" for letter in counts.letters)
        yield from _more(counts.dead_letters, len(counts.letters), "dead letters")


def _changes(compared_with: str, found: Difference) -> Iterator[str]:
    yield ""
    if not found:
        yield f"against {safe(compared_with)}: no difference"
        return
    yield (f"against {safe(compared_with)}: {len(found.new):,} new, {len(found.gone):,} gone, "
           f"{len(found.changed):,} changed")  # fmt: skip
    if found.totals:
        yield "  " + ", ".join(f"{effect} {before:,} -> {after:,}" for effect, before, after in found.totals)
    rows = [
        (
            mark,
            safe(one.rule),
            safe(one.effect),
            f"{one.before:,} -> {one.after:,}",
            safe(one.title)[:TITLE_CHARS] or "-",
        )
        for mark, changes in (("+", found.new), ("-", found.gone), ("~", found.changed))
        for one in _first(changes)
    ]
    yield from columns(rows)
    yield from _more(max(map(len, (found.new, found.gone, found.changed))), SHOWN_CHANGES, "of a kind; --json has them")


def _first(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    return changes[:SHOWN_CHANGES]


def _more(there: int, shown: int, what: str) -> Iterator[str]:
    if there > shown:
        yield f"  and {there - shown:,} more {what}"
