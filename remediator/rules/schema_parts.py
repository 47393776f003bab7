"""Parts of the JSON Schema of rule files: a table, a text, a number and so on, each of which may be a ${parameter}."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
HOLE: Schema = {"$ref": "#/$defs/parameter"}


def table(description: str, keys: Schema, *required: str, **more: Any) -> Schema:
    found: Schema = {"description": description, "type": "object", "properties": keys, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return {**found, **more}


def described(schema: Schema, description: str) -> Schema:
    return {"description": description, **schema}


def or_hole(schema: Schema) -> Schema:
    return {"anyOf": [schema, HOLE]}


def text(description: str, longest: int = 1_000, pattern: str = "") -> Schema:
    text: Schema = {"type": "string", "maxLength": longest}
    return described(or_hole({**text, "pattern": pattern}) if pattern else text, description)


def words(description: str, words: Any) -> Schema:
    return described(or_hole({"enum": [str(word) for word in words]}), description)


def integer(description: str, low: int, high: int | None = None) -> Schema:
    found: Schema = {"type": "integer", "minimum": low}
    return described(or_hole(found if high is None else {**found, "maximum": high}), description)


def number(description: str, low: float, high: float) -> Schema:
    return described(or_hole({"type": "number", "minimum": low, "maximum": high}), description)


def one_or_list(item: Schema, most: int) -> Schema:
    return {"anyOf": [item, {"type": "array", "minItems": 1, "maxItems": most, "items": item}, HOLE]}


def texts(description: str, most: int) -> Schema:
    return described(one_or_list({"type": "string"}, most), description)
