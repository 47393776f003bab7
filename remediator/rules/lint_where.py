"""Notes on which events a rule is about: selectors that nothing can meet, patterns that everything meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.rules.contradictions import dead_branches, impossible, is_everything, patterns_of
from remediator.rules.fields import field_of
from remediator.rules.notes import Note
from remediator.rules.selectors import END, MAIN, SHARE, members_of
from remediator.rules.spec import Rule
from remediator.rules.toml import quote_key, show
from remediator.rules.types import TYPES, family, is_misspelt, near_type, never_carried

_PLACES = {MAIN: "", SHARE: "window of ", END: "ended_by "}


def in_selectors(rule: Rule) -> Iterator[Note]:
    """Notes on every selector of the rule."""
    for member, selector in members_of(rule):
        prefix = _PLACES.get(member, f"sequence step {member} ")
        yield from _on(selector.on, prefix)
        yield from _where(selector.where, f"{prefix}where ", "never-ends" if member == END else "never-matches")
        yield from _never_carried(selector.where, selector.on, f"{prefix}where ")


def _on(types: tuple[str, ...], prefix: str) -> Iterator[Note]:
    for one in types:
        if one in ("*", "?*", "*?"):
            yield Note("matches-everything", f"{prefix}on", f"{show(one)}, every event of every feed", "types by name")
        elif is_misspelt(one):
            known = f"types such as {example(one)}"
            yield Note("unknown-type", f"{prefix}on", f"{show(one)}, which no codec gives", known, near_type(one))


def example(on: str) -> str:
    """A type of the same family."""
    return min((one for one in TYPES if one.startswith(f"{family(on)}.")), default="task.failed")


def _where(where: Mapping[str, Any], prefix: str, code: str) -> Iterator[Note]:
    never = impossible(where, field_of)
    if never is not None:
        yield Note(code, f"{prefix}{never[0]}", never[1], "conditions that can hold together")
        return
    for place, why in dead_branches(where, field_of):
        yield Note("dead-branch", f"{prefix}{place}", f"{why}, so that this branch never holds", "branches that can")
    yield from _patterns(where, prefix)


def _patterns(where: Mapping[str, Any], prefix: str) -> Iterator[Note]:
    for name, raw in where.items():
        if name in ("any", "all", "not"):
            tables = [raw] if isinstance(raw, dict) else raw
            for number, table in enumerate(tables, 1):
                yield from _patterns(table, f"{prefix}{name} " if name == "not" else f"{prefix}{name} {number} ")
            continue
        for written, pattern in patterns_of(raw):
            if is_everything(pattern):
                found = f"{show(written)}, which every text meets"
                yield Note(
                    "matches-everything", f"{prefix}{quote_key(name)}", found, "a narrower pattern, or exists = true"
                )


def _never_carried(where: Mapping[str, Any], on: tuple[str, ...], prefix: str) -> Iterator[Note]:
    for field, raw in where.items():
        if field not in ("any", "all", "not") and never_carried(on, field) and not _is_absence(raw):
            found = f"{field}, which events of {', '.join(on)} do not carry"
            yield Note("not-carried", f"{prefix}{quote_key(field)}", found, "fields that they have")


def _is_absence(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get("exists") is False
