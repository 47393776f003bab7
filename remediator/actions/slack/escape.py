"""Text from events, made safe and short for Slack. Pure.

Slack reads `<…>` as links and mentions, backticks as code, and may link plain @here and #channel.
"""

from __future__ import annotations

ZERO_WIDTH_SPACE = "\u200b"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BROKEN = {character: character + ZERO_WIDTH_SPACE for character in "@#`"}
_CODE = _ENTITIES | {"`": "ˋ", "@": "@" + ZERO_WIDTH_SPACE}
_TEXT = _ENTITIES | _BROKEN
_URL = _ENTITIES | {"|": "%7C", " ": "%20", "\n": "", "\r": ""}


def bounded(text: str, limit: int, table: dict[str, str]) -> str:
    """Each character replaced by its entry in `table`; never longer than `limit`, never cut inside an entity."""
    pieces: list[str] = []
    room = limit
    for index, character in enumerate(text):
        piece = table.get(character, character if character.isprintable() or character in "\n\t" else " ")
        if len(piece) > room - (index + 1 < len(text)):
            return "".join(pieces) + "…"
        pieces.append(piece)
        room -= len(piece)
    return "".join(pieces)


def as_text(text: str, limit: int) -> str:
    """For mrkdwn: no mention, no link and no code survives; asterisks and underscores stay, being harmless."""
    return bounded(text, limit, _TEXT)


def as_plain(text: str, limit: int) -> str:
    """For plain_text, on one line: entities and mentions only, since markup means nothing there."""
    return bounded(" ".join(text.split()), limit, _ENTITIES | {"@": _BROKEN["@"]})


def as_code(text: str, limit: int) -> str:
    """For the inside of `code` and of a code block: nothing can end it."""
    return bounded(text, limit, _CODE)


def as_link(url: str, label: str) -> str:
    """A link with our own label, or '' if `url` is not an http(s) address short enough to be one."""
    if not url.startswith(("https://", "http://")) or len(url) > 2_000:
        return ""
    return f"<{bounded(url, 2_500, _URL)}|{label}>"
