"""A draft rule for failures that no rule knew, and its test: text that loads, lints clean and passes.

Pure. Owns how a signature's template becomes a pattern. A draft only observes; what to do is a person's decision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from remediator.model.time import Instant, format_instant
from remediator.rules.globs import compile_pattern, is_glob, utf8
from remediator.rules.operators import MAX_PATTERN
from remediator.rules.signature import MAX_TEMPLATE, mask
from remediator.rules.unmatched import Failure, Group

MAX_TYPE = 200
MAX_EXAMPLE = 2_000
"""Longest message in a test, in characters."""
MAX_WORDS = 5
_MASK = re.compile(r"<(quoted|time|ip|path|id|n)>")
_OPEN: dict[str, str] = {
    "n": r"[0-9][0-9.,]{0,30}",
    "id": r"[0-9A-Za-z-]{1,80}",
    "time": r"[0-9][0-9T:.,+ -]{2,40}Z?",
    "ip": r"[0-9A-Fa-f:.]{2,45}",
    "path": r"\S{1,300}",
    "quoted": r".{2,300}",
}
"""What a masked part may be; bounded, so that the pattern stays as narrow as the failures that it was made from."""
_BLANK, _BLANK_ABROAD = r"^\s*$", r"^[\s\pZ\pC]*$"
"""Messages without a character; the second for whitespace and control characters of Unicode."""
_EDGE = r"[\s'\"`]{0,20}"
_USER = r"(?:[^\s@/]{1,100}@)?"
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_SLUG = re.compile(r"[a-z0-9]+")


class Draft(msgspec.Struct, frozen=True):
    """A rule file and its test. name: of the rule and, with '.toml' and '.test.toml', of the files."""

    name: str
    rule: str
    test: str


class UndraftableError(ValueError):
    """There is nothing that a rule could be made from; the text says why."""


def draft(group: Group, route: str = "default") -> Draft:
    """The draft for one group. route: whom its page names. Raises UndraftableError."""
    example = group.example
    kind, message = _short_type(example), (example.error.message or "")[:MAX_EXAMPLE]
    pattern = pattern_of(message)
    if not kind and not pattern:
        raise UndraftableError(
            "the error says nothing that a rule could ask for: "
            f"neither a type of at most {MAX_TYPE} characters nor a message"
        )
    name = _name(group)
    blank = _BLANK if _finds(_BLANK, utf8(message)) else _BLANK_ABROAD
    where = _where(kind, pattern, blank)
    return Draft(name, _rule(group, name, where, pattern, route), _test(group, name, kind, message))


def _short_type(example: Failure) -> str:
    kind = example.error.type or ""
    return kind if len(kind) <= MAX_TYPE else ""


# -- the pattern --------------------------------------------------------------------------------------------------


def pattern_of(message: str) -> str:
    """The narrowest pattern of the message's template that finds the message itself; '' if there is none."""
    if not message.strip():
        return ""
    text = utf8(message)
    for pattern in _candidates(mask(message)):
        if len(pattern) <= MAX_PATTERN and _finds(pattern, text):
            return pattern
    return ""


def _candidates(template: str) -> Iterator[str]:
    """From narrow to wide: the whole line, the same inside quotes, its beginning, then only what does not vary."""
    is_whole = len(template) < MAX_TEMPLATE - 1
    for space in (" ", r"\s{1,20}"):
        parts = _parts(template, space)
        for edge in ("", _EDGE) if is_whole and parts else ():
            yield f"(?m)^{edge}{''.join(parts)}{edge}$"
    plain, loose = _parts(template, " "), _parts(template, r"\s{1,20}")
    size = len(plain)
    while size > 0:
        yield f"(?m)^{''.join(plain[:size])}"
        yield f"(?m)^{_EDGE}{''.join(loose[:size])}"
        size -= max(1, size // 10)
    literals = [_literal(text, r"\s{1,20}") for text in _MASK.split(template)[::2] if len(text.strip()) > 2]
    if literals:
        yield r".{0,300}".join(literals)
        yield max(literals, key=len)
    yield r"\S"


def _parts(template: str, space: str) -> list[str]:
    """Words and masked parts as patterns, in order."""
    found: list[str] = []
    for number, text in enumerate(_MASK.split(template)):
        if number % 2:
            found.append(_OPEN[text])
        else:
            found += [_literal(word, space) for word in re.split(r"(\s+)", text) if word]
    return found


def _literal(text: str, space: str) -> str:
    """The text itself. Before a host may be what was left out of a URL."""
    escaped = _SPECIAL.sub(r"\\\g<0>", text)
    return re.sub(r"\s+", lambda _: space, escaped).replace("://", f"://{_USER}")


def _finds(pattern: str, text: bytes) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except ValueError:
        return False


# -- files --------------------------------------------------------------------------------------------------------


def _name(group: Group) -> str:
    words = [word for word in _SLUG.findall(_MASK.sub(" ", group.template).lower()) if len(word) > 1]
    return "-".join([*(word[:20] for word in words[:MAX_WORDS]), group.id[:6] or "silent"])


def _where(kind: str, pattern: str, blank: str) -> str:
    clauses = []
    if kind:
        clauses.append(
            f'"error.type" = {{ equals = {_toml(kind)} }}' if is_glob(kind) else f'"error.type" = {_toml(kind)}'
        )
    if pattern:
        clauses.append(f'"error.message" = {{ matches = {_toml(pattern)} }}')
    else:  # else every error of the type would be meant, whatever it says
        silent = f'{{ "error.message" = {{ matches = {_toml(blank)} }} }}'
        clauses.append(f'any = [{{ "error.message" = {{ exists = false }} }}, {silent}]')
    return f"{{ {', '.join(clauses)} }}"


def _rule(group: Group, name: str, where: str, pattern: str, route: str) -> str:
    dags = ", ".join(group.dags[:5]) + (f" and {len(group.dags) + group.more_dags - 5} more" * (len(group.dags) > 5))
    notes = [
        f"A draft for the error signature {group.id}: {_shown(group.template)}",
        f"Seen {group.count:,} times from {_at(group.first)} to {_at(group.last)}, in {_shown(dags)}.",
        "It only observes. Three decisions are left before it may act:",
        " 1. Does it go away by itself? Then put action = \"airflow.retry\" before the page, with max_attempts,",
        "    backoff and verify; and move the page to [[rule.otherwise]].",
        " 2. Who has to know? `to` names a route of the configuration.",
        " 3. How far does it reach? deployment, dag_id or tags in `where` make it narrower.",
        "Then remediator backtest shows what it would have done, and mode = \"act\" puts it to work.",
        *([_on_pattern(pattern)] if pattern else []),
    ]  # fmt: skip
    return "\n".join([
        *(f"# {note}" for note in notes),
        "",
        "[[rule]]",
        f"id = {_toml(name)}",
        f"summary = {_toml(_shown(group.template))}",
        'severity = "warning"',
        'mode = "observe"',
        'on = "task.failed_finally"',
        f"where = {where}",
        "",
        "[[rule.do]]",
        'action = "page"',
        f"to = {_toml(route)}",
        "",
    ])  # fmt: skip


def _at(instant: Instant) -> str:
    try:
        return format_instant(instant)[:19] + "Z"
    except OverflowError:
        return "an unknown time"


def _on_pattern(pattern: str) -> str:
    if pattern == r"\S":
        return "The message has nothing in common but that there is one: the type alone decides."
    return "In the pattern numbers, ids, times, addresses, paths and quoted texts may be any; the rest is as it was."


def _test(group: Group, name: str, kind: str, message: str) -> str:
    example = group.example
    error = ", ".join(f"{key} = {_toml(text)}" for key, text in (("type", kind), ("message", message)) if text)
    fields = [("deployment", example.deployment), ("dag_id", example.dag_id), ("task_id", example.task_id)]
    return "\n".join([
        f"# The latest failure with the error signature {group.id}.",
        "",
        "[[case]]",
        f"name = {_toml(_shown(group.template) or name)}",
        f"expect = {_toml(name)}",
        "",
        "[case.event]",
        'type = "task.failed_finally"',
        *(f"{key} = {_toml(text)}" for key, text in fields if text),
        f"error = {{ {error} }}",
        "",
    ])  # fmt: skip


def _shown(text: str) -> str:
    """On one line of a comment or a summary."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= 160 else line[:159] + "…"


def _toml(text: str) -> str:
    """The text as TOML: literal if it can be, which leaves patterns readable."""
    text = utf8(text).decode("utf-8")
    is_plain = "\\" in text and all(character.isprintable() for character in text)
    if is_plain and "'" not in text:
        return f"'{text}'"
    if is_plain and "'''" not in text and not text.startswith("'") and not text.endswith("'"):
        return f"'''{text}'''"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
