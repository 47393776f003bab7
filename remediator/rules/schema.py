"""The JSON Schema of rule files, for editors. The loader decides; this says as much of it as JSON Schema can.

Limits and words are the loader's own. What goes with what, names of other rules and texts are not checked here.
"""

from __future__ import annotations

from remediator.model.policy import BUDGET_TARGETS, Mode
from remediator.rules import detection, rule_table, selection
from remediator.rules.clauses import MAX_BRANCHES
from remediator.rules.expand import MAX_NAMES, MAX_ROWS, NO_DEFAULT
from remediator.rules.schema_parts import (
    HOLE,
    Schema,
    described,
    integer,
    number,
    one_or_list,
    or_hole,
    table,
    text,
    texts,
    words,
)
from remediator.rules.schema_steps import response_keys, step_definitions
from remediator.rules.schema_where import where_schemas
from remediator.rules.texts import MAX_TEXT

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WHERE = {"$ref": "#/$defs/where"}


def rule_file_schema() -> Schema:
    """The schema of one rule file."""
    return {
        "$schema": DIALECT,
        "title": "remediator rules",
        "description": "A file of rules: which events they are about and what to do about them.",
        "type": "object",
        "properties": {
            "rule": {"description": "One rule each.", "type": "array", "items": {"$ref": "#/$defs/rule"}},
            "defaults": {"$ref": "#/$defs/defaults"},
            "define": {
                "description": "Sets of clauses, which `use` in a where table names.",
                "type": "object",
                "maxProperties": selection.MAX_SETS,
                "additionalProperties": {**_WHERE, "minProperties": 1},
            },
        },
        "additionalProperties": False,
        "if": {"not": {"required": ["defaults"]}},
        "then": {"properties": {"rule": {"items": {"$ref": "#/$defs/whole_rule"}}}},
        "$defs": _definitions(),
    }


def _definitions() -> Schema:
    keys = {**_people_keys(), **_selection_keys(), **_detection_keys(), **_response_keys()}
    own = {key: value for key, value in keys.items() if key not in NO_DEFAULT}
    return {
        "parameter": {"description": "A text with ${name}: a parameter.", "type": "string", "pattern": r"\$\{[^{}]*\}"},
        "rule": table("A rule.", keys, "id"),
        "whole_rule": {
            "required": ["do"],
            "anyOf": [{"required": ["on"]}, {"required": ["sequence"]}, {"required": ["compound"]}],
        },
        "defaults": table("Values for keys that a rule of this file does not have itself.", own),
        "duration": {
            "description": "A length of time such as '30s' or '1h30m'.",
            "anyOf": [{"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"}, HOLE],
        },
        "selector": table("Which events.", {"on": _types(), "where": described(_WHERE, "Conditions.")}, "on"),
        "period": _period(),
        "condition_of_infrastructure": _during(),
        "budget": _budget(),
        **step_definitions(),
        **where_schemas(MAX_BRANCHES),
    }


def _people_keys() -> Schema:
    return {
        "id": text("Unique over all files.", pattern=f"^{rule_table.ID_PATTERN}$"),
        "parameters": {
            "description": "One rule for each row; its values stand for ${name} in the rule's texts.",
            **one_or_list({"type": "object", "minProperties": 1, "maxProperties": MAX_NAMES}, MAX_ROWS),
        },
        "summary": text("One line on what the rule is for.", rule_table.MAX_SUMMARY),
        "title": text("What the incident is called: a template.", MAX_TEXT),
        "documentation": text("What a person should know.", rule_table.MAX_DOCUMENTATION),
        "owner": text("Who is responsible for the rule.", rule_table.MAX_OWNER),
        "severity": words("How bad it is; warning unless said.", rule_table.SEVERITIES),
        "labels": {
            "description": "Texts of your own, by name.",
            "type": "object",
            "maxProperties": rule_table.MAX_LABELS,
            "additionalProperties": {"type": "string", "maxLength": rule_table.MAX_LABEL},
        },
        "runbook": text("A web address.", pattern="^$|^https?://"),
    }


def _selection_keys() -> Schema:
    return {
        "mode": words("observe records, approve asks a person, act does it; observe unless said.", list(Mode)),
        "priority": integer("The highest responds; 50 unless said.", 0, rule_table.MAX_PRIORITY),
        "on": _types(),
        "where": described(_WHERE, "Conditions on the event; all must hold."),
        "per": _fields("Fields whose values have a state of their own each; [] for one state of all."),
        "group": {**_fields("Fields that are the incident's identity; as per unless said."), "minItems": 1},
        "active": _periods("Only events of these times count."),
        "quiet": _periods("Nobody is paged or notified at these times, but afterwards."),
        "during": _conditions("Conditions of infrastructure that must hold."),
        "not_during": _conditions("Conditions of infrastructure that must not hold."),
    }


def _detection_keys() -> Schema:
    length = {"$ref": "#/$defs/duration"}
    return {
        "window": _window(),
        "sequence": table(
            "Events that come one after the other.",
            {
                "within": described(length, "The last comes less than this after the first."),
                "steps": {
                    "description": "What comes first, what then.",
                    "type": "array",
                    "minItems": detection.FEWEST_STEPS,
                    "maxItems": detection.MOST_STEPS,
                    "items": {"$ref": "#/$defs/selector"},
                },
            },
            "within",
            "steps",
        ),
        "compound": table(
            "Firings of other rules.",
            {
                "within": described(length, "The last comes less than this after the first."),
                "rules": texts("The ids of the rules.", detection.MAX_MEMBERS),
                "need": {
                    "description": "How many of the rules must fire.",
                    "anyOf": [{"enum": list(detection.NEEDS)}, {"type": "integer", "minimum": 1}, HOLE],
                },
            },
            "within",
            "rules",
            "need",
        ),
        "hold_for": described(length, "Fires only if nothing ends it for this long."),
        "cool_down": described(length, "Deaf for this long after a firing."),
        "once_within": described(length, "Fires at most once in this time."),
        "ended_by": {"description": "Events that end what the rule says.", "$ref": "#/$defs/selector"},
    }


def _window() -> Schema:
    count = detection.MAX_COUNT
    return table(
        "Enough matches within a sliding length of event time.",
        {
            "length": {"$ref": "#/$defs/duration"},
            "at_least": integer("How many.", 1, count),
            "per_minute": number("How many a minute, over the length.", 0, detection.MAX_PER_MINUTE),
            "distinct": text("Different values of this field count instead of matches."),
            "of": {"description": "What the matches are a share of.", "$ref": "#/$defs/selector"},
            "ratio": described(or_hole({"type": "number", "exclusiveMinimum": 0, "maximum": 1}), "The share."),
            "min_sample": integer("Matches of `of` below which a ratio says nothing.", 1, count),
        },
        "length",
        dependentRequired={"of": ["ratio"], "ratio": ["of"], "min_sample": ["of"]},
        anyOf=[{"required": [key]} for key in ("at_least", "per_minute", "ratio")],
    )


def _response_keys() -> Schema:
    return {
        "budget": {
            "description": "Changes allowed; one for each target.",
            **one_or_list({"$ref": "#/$defs/budget"}, len(BUDGET_TARGETS)),
        },
        **response_keys(),
    }


def _period() -> Schema:
    clock = r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$"
    keys = {
        "days": texts("Weekdays such as 'mon', or ranges such as 'mon-fri'.", 7),
        "from": text("Local time such as '08:00'.", pattern=clock),
        "to": text("Local time; over midnight if it is not after `from`.", pattern=clock),
        "timezone": text("Such as 'Europe/Berlin'; UTC unless said."),
    }
    return table(
        "A time of the week.",
        keys,
        dependentRequired={"from": ["to"], "to": ["from"]},
        anyOf=[{"required": ["days"]}, {"required": ["from"]}],
    )


def _during() -> Schema:
    keys = {
        "condition": text("Such as 'node.not_ready'."),
        "scope": text("A template such as 'node/{event.attributes.node}'; any scope unless said."),
        "grace": described({"$ref": "#/$defs/duration"}, "Also so long after its end."),
    }
    return table("A condition of infrastructure.", keys, "condition")


def _budget() -> Schema:
    keys = {
        "per_hour": integer("Changes in a sliding hour.", 1),
        "per_day": integer("Changes in a sliding day.", 1),
        "target": words("What they are counted for; task unless said.", BUDGET_TARGETS),
    }
    return table("A limit of changes.", keys, anyOf=[{"required": ["per_hour"]}, {"required": ["per_day"]}])


# Pieces -------------------------------------------------------------------------------------------------------------


def _types() -> Schema:
    item = or_hole({"type": "string", "maxLength": selection.MAX_TYPE, "pattern": f"^{selection.TYPE_PATTERN}$"})
    return described(one_or_list(item, selection.MAX_ON), "Event types; globs such as 'check.*' too.")


def _fields(description: str) -> Schema:
    item: Schema = {"type": "string"}
    many: Schema = {"type": "array", "maxItems": selection.MAX_FIELDS, "items": item, "uniqueItems": True}
    return described({"anyOf": [item, many]}, description)


def _periods(description: str) -> Schema:
    return described(one_or_list({"$ref": "#/$defs/period"}, detection.MAX_PERIODS), description)


def _conditions(description: str) -> Schema:
    item = {"$ref": "#/$defs/condition_of_infrastructure"}
    return described(one_or_list(item, detection.MAX_CONDITIONS), description)
