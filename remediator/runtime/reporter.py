"""Answers the question for a scheduled report: reads the store, and puts it into one bounded text.

Changes nothing and decides nothing: when there is one, and who is told, the core has decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from remediator.model.action import Action, Report
from remediator.model.inputs import Answer, Reported
from remediator.model.policy import Policy
from remediator.model.shares import percent
from remediator.model.time import Instant
from remediator.runtime.surface_accounts import AccountsSurface
from remediator.store.port import Store

MOST_LINES = 8
"""Of each part; the rest is counted."""
MOST_TEXT = 2_600
"""What one section of a message takes, with some room for what is escaped."""
LINE = 160

View = dict[str, Any]


class Reporter:
    """The Questioner of 'report'."""

    def __init__(self, store: Store, clock: Callable[[], Instant], policy: Callable[[], Policy]) -> None:
        self._accounts = AccountsSurface(store, clock, policy, lambda: None)

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One report for each. Raises StoreError; whoever claims it next asks again."""
        answers: list[Answer] = []
        for action in actions:
            assert isinstance(action.params, Report)  # noqa: S101  (the dispatcher picks by kind)
            view = await self._accounts.report(max(0, now - action.params.since))
            answers.append(Reported(action.id, summary_of(view), text_of(view)))
        return answers


def summary_of(view: View) -> str:
    """'since 2026-11-22 20:00 UTC: 12 incidents, 9 healed, …'"""
    counts, since = view["counts"], str(view["since"])[:16].replace("T", " ")
    return (
        f"since {since} UTC: {counts['opened']} incidents opened, {counts['healed']} healed, {counts['open']} open; "
        f"{counts['held']} held, {counts['refused']} refused, {counts['unclassified']} unclassified; "
        f"{counts['unknown']} changes unknown; {counts['pages']} pages, {counts['changes']} changes"
    )


def text_of(view: View) -> str:
    """What follows the summary, bounded: whole lines, and how to read the rest."""
    lines: list[str] = []
    left = MOST_TEXT
    for line in _lines(view):
        left -= len(line) + 1
        if left < 0:
            break
        lines.append(line)
    return "\n".join([*lines, "`remediator report` tells all of it"])


def _lines(view: View) -> Iterator[str]:
    pages = [f"{name or 'no route'}: {count}" for name, count in sorted(view["pages"].items())]
    yield from _part("Rules (precision: helped of what ended)", [_rule(one) for one in view["rules"]])
    yield from _part("By error and deployment, since ever", [_rate(one) for one in view["rates"]])
    yield from _part("Healed", [_healed(one) for one in view["healed"]])
    yield from _part("Held", [_reason(one) for one in view["held"]])
    yield from _part("Refused", [_reason(one) for one in view["refused"]])
    yield from _part("Unknown, for a person to find out", [f"{one['title']}: {one['text']}" for one in view["unknown"]])
    yield from _part("Unclassified, no rule knows them", [f"{one['count']} × {one['template']}"
                                                         for one in view["unclassified"]])  # fmt: skip
    yield from _part("Pages", pages)
    yield from _part("Rules that observe, and how it ended without them", [_observed(one) for one in view["observing"]])


def _part(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield f"{title}:"
    yield from (f"- {' '.join(line.split())[:LINE]}" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"- and {len(lines) - MOST_LINES} more"


def _rule(one: View) -> str:
    ever = one["ever"]
    return (
        f"{one['rule']}: {one['changes']} changes, precision {percent(one['precision'])} "
        f"({one['helped']} of {one['helped'] + one['in_vain']}), ever {percent(ever['precision'])}"
    )


def _rate(one: View) -> str:
    where = f"{one['rule']} against {one['signature'] or 'an unknown error'} in {one['deployment'] or 'no deployment'}"
    return f"{where}: helped {one['helped']} of {one['helped'] + one['in_vain']}"


def _healed(one: View) -> str:
    where = "/".join(str(one[name]) for name in ("deployment", "dag_id", "task_id") if one[name])
    return f"{where} by {one['rule']}"


def _reason(one: View) -> str:
    return f"{one['reason']}: {one['times']} times, {one['incidents']} incidents"


def _observed(one: View) -> str:
    return (
        f"{one['rule']} would have answered {one['times']} times in {one['incidents']} incidents: "
        f"{percent(one['ended_well'])} of what ended was cured by running it again, {one['paged']} were paged"
    )
