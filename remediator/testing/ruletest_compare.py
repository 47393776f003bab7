"""What a timeline wanted against what happened: matched up, and the difference in words.

Pure. Knows no core and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from remediator.model.incident import Incident
from remediator.model.reasons import Decision
from remediator.model.time import MILLISECOND, Duration, format_duration
from remediator.rules.testfile_wanted import RETRY, Contains, Wanted
from remediator.testing.ruletest_story import Happening, Told

MAX_STORY = 60
"""Lines of the story that a difference shows, the latest."""
MAX_DIFFERENCES = 40
MAX_SHOWN = 200
SHOWN_ALWAYS: dict[str, tuple[str, ...]] = {"fired": ("per.",), RETRY: ("tasks", "run_id"), "action": ("to", "text")}
"""Fields of what happened that are shown whether or not they were wanted."""


class Difference(msgspec.Struct, frozen=True):
    """One expectation that was not met. lines: 'wanted …' and 'happened …'; story: since the expectation before it."""

    at: Duration
    line: int
    lines: tuple[str, ...]
    story: tuple[str, ...]

    def __str__(self) -> str:
        indented = [f"    {line}" for line in self.lines]
        if self.story:
            indented += ["    the story:", *(f"      {line}" for line in self.story)]
        return "\n".join([f"  at {clock(self.at)} (line {self.line}):", *indented])


def compare(
    wanted: Sequence[Wanted], happened: Sequence[Happening], decisions: Iterable[Decision], still_open: list[Incident]
) -> list[str]:
    """The difference line by line; none if all that was wanted happened, and nothing else did."""
    left = list(happened)
    missing: list[tuple[Wanted, int]] = []
    states: list[str] = []
    for one in sorted(wanted, key=lambda one: -len(one.fields)):  # what says more about itself chooses first
        match one.what:
            case "open":
                states += _open(one, still_open)
            case "decided":
                states += _decided(one, decisions)
            case _:
                found = [each for each in left if fits(one, each)][: one.times]
                left = _without(left, found)
                if len(found) < (one.times or 0):
                    missing.append((one, len(found)))
    lines: list[str] = []
    for one, count in sorted(missing, key=lambda each: each[0].line):
        lines.append(f"wanted    {_wanted(one)}{_count(one.times or 1, count)}")
        alike = [each for each in left if (each.what, each.name) == (one.what, one.name)]
        left = _without(left, alike)
        lines += _together(alike, one.fields)
    lines += [*_together(left, {}), *states]
    surplus = len(lines) - MAX_DIFFERENCES
    return [*lines[:MAX_DIFFERENCES], f"… and {surplus} more"] if surplus > 0 else lines


def _without(happened: list[Happening], taken: list[Happening]) -> list[Happening]:
    return [one for one in happened if all(one is not other for other in taken)]


def fits(wanted: Wanted, happening: Happening) -> bool:
    """Is it what was wanted?"""
    if (wanted.what, wanted.name) != (happening.what, happening.name):
        return False
    return all(_is(value, happening.fields.get(field)) for field, value in wanted.fields.items())


def story_lines(told: Sequence[Told]) -> tuple[str, ...]:
    """The story with its times, the latest of it if it is long."""
    shown = [f"{clock(one.at):>8}  {_short(one.text)}" for one in told[-MAX_STORY:]]
    more = len(told) - len(shown)
    return (f"… {more} lines before", *shown) if more else tuple(shown)


def clock(at: Duration) -> str:
    """'1m30s'."""
    return format_duration(at // MILLISECOND * MILLISECOND)


def _is(wanted: str | Contains, found: str | None) -> bool:
    if found is None:
        return False
    return wanted.text in found if isinstance(wanted, Contains) else wanted == found


def _open(wanted: Wanted, still_open: list[Incident]) -> list[str]:
    if wanted.times == len(still_open):
        return []
    lines = [f"wanted    {wanted.times} open incidents, found {len(still_open)}"]
    return lines + [f"open      {_short(one.title)} [{one.rule}]" for one in still_open]


def _decided(wanted: Wanted, decisions: Iterable[Decision]) -> list[str]:
    alike = [one for one in decisions if one.reason.value == wanted.name]
    found = [one for one in alike if _is_decided(wanted, one)]
    if len(found) == wanted.times or (wanted.times is None and found):
        return []
    times = "at least once" if wanted.times is None else _times(wanted.times)
    line = f"wanted    {_wanted(wanted)} {times}; happened {_times(len(found))}"
    return [line, *(f"decided   {one.reason.value}: {_short(one.text)}" for one in alike if one not in found)]


def _is_decided(wanted: Wanted, decision: Decision) -> bool:
    found = {"rule": decision.rule, "text": decision.text}
    return all(_is(value, found.get(field)) for field, value in wanted.fields.items())


def _count(wanted: int, found: int) -> str:
    if wanted == 1:
        return ""
    return f", {_times(wanted)}" + (f"; happened {_times(found)}" if found else "")


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _together(happened: Sequence[Happening], asked: dict[str, str | Contains]) -> list[str]:
    """What happened and was not wanted, with what was asked for; the same thing several times on one line."""
    by_text: dict[str, list[Duration]] = {}
    for one in happened:
        by_text.setdefault(_text(one.what, one.name, _shown(one, asked)), []).append(one.at)
    return [
        f"happened  {text} at {clock(times[0])}" + (f", {_times(len(times))} in all" if len(times) > 1 else "")
        for text, times in by_text.items()
    ]


def _shown(one: Happening, asked: dict[str, str | Contains]) -> dict[str, str | Contains]:
    always = SHOWN_ALWAYS.get(one.name, SHOWN_ALWAYS.get(one.what, ()))
    return {
        field: value for field, value in one.fields.items() if field in asked or (value and field.startswith(always))
    }


def _wanted(one: Wanted) -> str:
    return _text(one.what, one.name, one.fields)


def _text(what: str, name: str, fields: dict[str, str | Contains]) -> str:
    rest = ", ".join(_field(field, value) for field, value in fields.items())
    verb = name if what == "action" else f"{what} {name}"
    return f"{verb} ({rest})" if rest else verb


def _field(name: str, value: str | Contains) -> str:
    if isinstance(value, Contains):
        return f'{name} contains "{_short(value.text)}"'
    return f'{name.removeprefix("per.")} "{_short(value)}"'


def _short(text: str) -> str:
    cut = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return cut if cut.isprintable() else "".join(one if one.isprintable() else " " for one in cut)
