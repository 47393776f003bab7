"""A story as lines of text and as JSON. Pure; escapes nothing: who prints it knows what its terminal obeys."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from remediator.model.time import format_instant, parse_instant
from remediator.runtime.story_parts import Story
from remediator.runtime.story_words import clock, length

WIDTH = 118
NAME_WIDTH = 12
SINCE_WIDTH = 9


def story_json(story: Story) -> dict[str, Any]:
    """The story with its times as texts. lines: {'at', 'since_s', 'reason', 'text', …}, folded ones with 'count'.

    record: {'feed', 'topic', 'partition', 'offset'} of what began it, or None.
    """
    found: dict[str, Any] = msgspec.to_builtins(story)
    found["facts"] = [{"name": name, "text": text} for name, text in story.facts]
    found["began"] = format_instant(story.began)
    found["record"] = None if story.record is None else msgspec.structs.asdict(story.record)
    for given, line in zip(found["lines"], story.lines, strict=True):
        given["at"] = format_instant(line.at)
        given["until"] = format_instant(line.until)
        given["since_s"] = (line.at - story.began) / 1_000_000
    return found


def text_lines(story: dict[str, Any]) -> Iterator[str]:
    """What story_json gave, as a person reads it: three lines first, then what is known, then the timeline."""
    head = story["head"]
    yield f"WRONG  {_flat(head['wrong'])}"
    yield f"DONE   {_flat(head['done'])}"
    yield f"LEFT   {_flat(head['left'])}"
    yield ""
    for fact in story["facts"]:
        yield from _wrapped(f"  {fact['name']:<{NAME_WIDTH}} ", fact["text"])
    yield ""
    yield from _timeline(story)
    for text in story["after"]:
        yield from _wrapped("  ", text)
    if story["log"]:
        yield ""
        yield "  the end of the log:"
        yield from (f"  | {line}" for line in story["log"])


def _timeline(story: dict[str, Any]) -> Iterator[str]:
    if story["lines"]:
        yield f"  {clock(parse_instant(story['began']))}"
    for line in story["lines"]:
        since = length(round(line["since_s"] * 1_000_000))
        since = since if since.startswith("-") else f"+{since}"
        rule = f"  [rule {line['rule']}]" if line.get("rule") and repr(line["rule"]) not in line["text"] else ""
        yield from _wrapped(f"  {since:>{SINCE_WIDTH}}  ", f"{line['text']}{rule}")
        for one in line.get("more", ()):
            yield from _wrapped(f"  {'':>{SINCE_WIDTH}}  → ", one)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _wrapped(begin: str, text: str) -> list[str]:
    """The text on lines of a readable length, those after the first as far in as its beginning."""
    return textwrap.wrap(_flat(text), WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin),
                         break_long_words=False, break_on_hyphens=False) or [begin.rstrip()]  # fmt: skip
