"""The part of the schema about `where` and `if`: fields, operators, and how tables combine."""

from __future__ import annotations

from typing import Any

from remediator.rules.fields import ATTRIBUTES, FIELDS
from remediator.rules.operators import MAX_LIST, MAX_PATTERN
from remediator.rules.scene import STEP_FIELDS

Schema = dict[str, Any]
_SCALAR: Schema = {"anyOf": [{"type": "string", "maxLength": MAX_PATTERN}, {"type": "number"}, {"type": "boolean"}]}
_MANY: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_LIST, "items": {"$ref": "#/$defs/scalar"}}
_PARAMETER: Schema = {"$ref": "#/$defs/parameter"}


def where_schemas(most_branches: int) -> Schema:
    """Definitions: `where` and `if`, a condition, its operators and what these take."""
    return {
        "where": _where("where", FIELDS, most_branches),
        "if": {**_where("if", STEP_FIELDS, most_branches), "minProperties": 1},
        "scalar": _SCALAR,
        "condition": {
            "description": "A value, a glob, a list of any of which one must fit, or a table of operators.",
            "anyOf": [{"$ref": "#/$defs/scalar"}, _MANY, {"$ref": "#/$defs/operators"}],
        },
        "operators": {"type": "object", "properties": _operators(), "additionalProperties": False, "minProperties": 1},
        "other_field": {
            "description": "Another field of the same event.",
            "type": "object",
            "properties": {
                "field": {"description": "Its name.", "type": "string"},
                "times": {"description": "Its value times this.", "anyOf": [{"type": "number"}, _PARAMETER]},
            },
            "required": ["field"],
            "additionalProperties": False,
        },
    }


def _where(name: str, fields: tuple[str, ...], most: int) -> Schema:
    inner = {"$ref": f"#/$defs/{name}"}
    tables = {"type": "array", "minItems": 1, "maxItems": most, "items": {**inner, "minProperties": 1}}
    names = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}
    return {
        "description": "Conditions by field; all must hold.",
        "type": "object",
        "properties": {
            **{field: {"$ref": "#/$defs/condition"} for field in fields},
            "any": {"description": "One of these tables must hold.", **tables},
            "all": {"description": "Each of these tables must hold.", **tables},
            "not": {"description": "This table must not hold.", **inner, "minProperties": 1},
            "use": {"description": "Sets of [define], which must hold too.", **names},
        },
        "patternProperties": {f"^{ATTRIBUTES[:-1]}\\..": {"$ref": "#/$defs/condition"}},
        "additionalProperties": False,
    }


def _operators() -> Schema:
    bound: Schema = {"anyOf": [{"type": "number"}, {"type": "string"}, {"$ref": "#/$defs/other_field"}]}
    text: Schema = {"type": "string", "maxLength": MAX_PATTERN}
    return {
        "equals": {
            "description": "This value exactly.",
            "anyOf": [{"$ref": "#/$defs/scalar"}, {"$ref": "#/$defs/other_field"}],
        },
        "in": {"description": "One of these values exactly.", "anyOf": [_MANY, _PARAMETER]},
        "glob": {"description": "A text that the glob covers.", **text},
        "matches": {"description": "A text in which the RE2 pattern is found.", **text},
        "gt": {"description": "Greater: than a number, a duration, an instant or another field.", **bound},
        "gte": {"description": "Greater or equal.", **bound},
        "lt": {"description": "Less.", **bound},
        "lte": {"description": "Less or equal.", **bound},
        "exists": {"description": "Whether the field is there.", "anyOf": [{"type": "boolean"}, _PARAMETER]},
        "not": {"description": "A condition that must not hold.", "$ref": "#/$defs/condition"},
        "between": {
            "description": "Local time from the first to before the second, over midnight if need be.",
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "string"},
        },
        "days": {
            "description": "Weekdays on which that begins, such as 'mon-fri'.",
            "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 7, "items": {"type": "string"}}],
        },
        "timezone": {"description": "Of between and days; UTC unless said.", "type": "string"},
    }
