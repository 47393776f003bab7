"""The part of the schema about steps: one definition for each kind of change, from the table that the loader reads."""

from __future__ import annotations

from collections.abc import Callable

from remediator.rules import steps
from remediator.rules.change_keys import NAME_PATTERN
from remediator.rules.changes import CHANGES, MAX_ATTEMPTS, Change, Key
from remediator.rules.schema_parts import Schema, described, integer, number, table, text, words
from remediator.rules.texts import MAX_TEXT

_LENGTH: Schema = {"$ref": "#/$defs/duration"}
_WAIT: Schema = {"wait": _LENGTH}
_IF: Schema = {"if": {"description": "The step is left out unless this holds.", "$ref": "#/$defs/if"}}
_TEXT: Schema = {"text": text("What people read: a template.", MAX_TEXT)}
_TO: Schema = {"to": text("A route of the configuration.")}
_SHARED: Schema = {
    "max_attempts": integer("How often.", 1, MAX_ATTEMPTS),
    "backoff": {"$ref": "#/$defs/backoff"},
    "verify": described(_LENGTH, "How long proof is waited for."),
    "undo_after": described(_LENGTH, "When it is changed back; never unless said."),
}


def response_keys() -> Schema:
    """`do`, `otherwise` and `on_resolve`."""
    return {
        "do": _steps("What to do, in order.", *CHANGES, "tell", "log"),
        "otherwise": _steps("For changes that were refused or did not help.", "tell", "log"),
        "on_resolve": _steps("When the incident is over.", "notify_resolved", "log_resolved"),
    }


def step_definitions() -> Schema:
    """Definitions: each change under its own name, what tells, and the backoff."""
    return {
        **{action: _change(action, change) for action, change in CHANGES.items()},
        "tell": _step("Tells people.", ["page", "notify"], _WAIT | _IF | _TO | _TEXT, "to"),
        "log": _step("Writes to the daemon's log.", ["log"], _WAIT | _IF | _TEXT),
        "notify_resolved": _step("Tells people.", ["notify"], _IF | _TO | _TEXT, "to"),
        "log_resolved": _step("Writes to the daemon's log.", ["log"], _IF | _TEXT),
        "backoff": _backoff(),
    }


def _change(action: str, change: Change) -> Schema:
    own = {name: _KINDS[key.kind](key) for name, key in change.keys.items()}
    shared = {name: _SHARED[name] for name in change.shared}
    required = [name for name, key in change.keys.items() if key.required]
    return _step(change.says, [action], _WAIT | _IF | own | shared, *required)


def _step(description: str, actions: list[str], keys: Schema, *required: str) -> Schema:
    return table(description, {"action": {"enum": actions}, **keys}, "action", *required)


def _text(key: Key) -> Schema:
    return described({"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, key.says)


_KINDS: dict[str, Callable[[Key], Schema]] = {
    "text": _text,
    "instant": _text,
    "name": lambda key: text(key.says, pattern=f"^{NAME_PATTERN}$"),
    "word": lambda key: words(key.says, key.words),
    "number": lambda key: integer(key.says, key.low, key.high),
    "values": lambda key: described({"type": "object"}, key.says),
}


def _backoff() -> Schema:
    keys = {
        "initial": _LENGTH,
        "factor": number("By which each wait is longer.", 1, 10),
        "max": _LENGTH,
        "jitter": number("A share.", 0, 1),
    }
    return table("Before attempt n: initial * factor^(n-1), at most max, spread by jitter.", keys)


def _steps(description: str, *kinds: str) -> Schema:
    items = {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds]}
    return described({"type": "array", "minItems": 1, "maxItems": steps.MAX_STEPS, "items": items}, description)
