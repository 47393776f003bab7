"""The note on a task instance: our proof that a clear happened, beside what a person wrote there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

NOTE_LIMIT = 1000
"""Airflow refuses longer notes (measured in characters)."""
WHY_LIMIT = 300
_MARK = "remediator:"


def is_ours(note: str | None, action_id: str) -> bool:
    """Was this note written by the clear of this action?"""
    return f"{_MARK}{action_id}" in (note or "")


def merged(existing: Iterable[str | None], action_id: str, why: str) -> str:
    """What people wrote, then our earlier lines, then this action's, within the limit.

    One call writes one note to all task instances that it clears, so the notes of its targets are joined.
    This action's line is always whole; our oldest lines give way first, then the end of the people's text.
    """
    lines = list(dict.fromkeys(line for note in existing if note for line in note.splitlines() if line.strip()))
    ours = [line for line in lines if line.startswith(_MARK)]
    people = "\n".join(line for line in lines if not line.startswith(_MARK))
    mine = f"{_MARK}{action_id} {' '.join(why.split())[:WHY_LIMIT]}".strip()
    while ours and len("\n".join((people, *ours, mine))) > NOTE_LIMIT:
        ours.pop(0)
    room = NOTE_LIMIT - len("\n".join((*ours, mine))) - 1
    return "\n".join(part for part in (_cut(people, room), *ours, mine) if part)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"
