"""Parts of the JSON Schema of rule files: a table, a text, a number and so on, each of which may be a ${parameter}."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]
HOLE: Schema = {"$ref": "#/$defs/parameter"}


def table(description: str, keys: Schema, *required: str, **more: Any) -> Schema:
    """A table of these keys and no others."""
    found: Schema = {"description": description, "type": "object", "properties": keys, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return {**found, **more}


def described(schema: Schema, description: str) -> Schema:
    """The schema with what it is for."""
    return {"description": description, **schema}


def or_hole(schema: Schema) -> Schema:
    """The schema, or a text with a parameter in it."""
    return {"anyOf": [schema, HOLE]}


def text(description: str, longest: int = 1_000, pattern: str = "") -> Schema:
    """A text."""
    found: Schema = {"type": "string", "maxLength": longest}
    return described(or_hole({**found, "pattern": pattern}) if pattern else found, description)


def words(description: str, allowed: Iterable[str]) -> Schema:
    """One of the words."""
    return described(or_hole({"enum": [str(word) for word in allowed]}), description)


def integer(description: str, low: int, high: int | None = None) -> Schema:
    """A whole number."""
    found: Schema = {"type": "integer", "minimum": low}
    return described(or_hole(found if high is None else {**found, "maximum": high}), description)


def number(description: str, low: float, high: float) -> Schema:
    """A number."""
    return described(or_hole({"type": "number", "minimum": low, "maximum": high}), description)


def one_or_list(item: Schema, most: int) -> Schema:
    """One, or a list of one to `most`."""
    return {"anyOf": [item, {"type": "array", "minItems": 1, "maxItems": most, "items": item}, HOLE]}


def texts(description: str, most: int) -> Schema:
    """A text or a list of them."""
    return described(one_or_list({"type": "string"}, most), description)
