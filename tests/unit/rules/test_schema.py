"""The JSON Schema: valid itself, true to the loader's keys, and agreed with by good and bad files."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from remediator.model.policy import Policy
from remediator.rules.changes import CHANGES
from remediator.rules.expand import NO_DEFAULT
from remediator.rules.load import read_rules, rule_files
from remediator.rules.operators import OPERATORS
from remediator.rules.rule_table import KEYS
from remediator.rules.schema import rule_file_schema
from remediator.rules.toml import parse_document

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "rules"
SCHEMA = rule_file_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
BEYOND_A_SCHEMA = {
    "active-day", "active-timezone", "backoff-order", "bad-glob", "bad-pattern", "budget-target-twice",
    "compound-circle", "compound-need", "compound-unknown-rule", "compound-with-where", "deep-not", "defaults-route",
    "define-circle", "define-parameter", "duration-on-text", "during-scope", "group-name-twice", "group-without-dag",
    "hold-for-short", "id-reserved", "instant-bad", "look-around",
    "mark-with-hold", "not-during-grace", "number-needed",
    "other-field-unknown", "parameters-fault-in-a-row", "parameters-id-of-a-row", "parameters-in-key",
    "parameters-list-in-text", "parameters-names-differ", "parameters-none", "parameters-same-id", "parameters-table",
    "parameters-unknown", "parameters-unused", "pause-undo", "per-missing", "per-unknown-field", "per-without-state",
    "pool-same", "reprocess-instant", "reprocess-name", "reprocess-order", "request-body-filter", "rerun-not-final",
    "retry-not-final", "retry-with-window", "same-id", "sequence-with-on", "text-unknown-filter",
    "timezone-alone", "title-lone-brace", "title-unknown-name", "trigger-conf-date", "trigger-conf-deep",
    "trigger-conf-name", "trigger-dag-name", "unknown-route", "use-unknown", "wait-short", "where-too-deep",
    "window-and-sequence", "window-distinct-field", "window-rate", "window-too-long", "window-two-counts",
}  # fmt: skip
"""Faults of meaning: names that do not exist, keys that do not go together, lengths, texts in other languages."""


def parsed(file: Path) -> Any:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def parses(file: Path) -> bool:
    try:
        return bool(parsed(file))
    except ValueError:
        return False


BAD = [file for file in sorted((GOLDEN / "bad").glob("*.toml")) if parses(file)]


def test_what_is_beyond_a_schema_is_there() -> None:
    assert {file.stem for file in BAD} > BEYOND_A_SCHEMA


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", rule_files([ROOT / "rules", GOLDEN / "good"]), ids=lambda file: file.stem)
def test_what_loads_is_valid(file: Path) -> None:
    assert not [error.message for error in VALIDATOR.iter_errors(parsed(file))]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_faults_of_structure_are_not_valid(file: Path) -> None:
    assert VALIDATOR.is_valid(parsed(file)) is (file.stem in BEYOND_A_SCHEMA)


TABLES: dict[str, str] = {
    "rule": "zzz = 1",
    "window": "window = { zzz = 1 }",
    "sequence": "sequence = { zzz = 1 }",
    "compound": "compound = { zzz = 1 }",
    "ended_by": "ended_by = { zzz = 1 }",
    "active": "active = { zzz = 1 }",
    "during": "during = { zzz = 1 }",
    "budget": "budget = { zzz = 1 }",
    "backoff": 'do = [{ action = "airflow.retry", backoff = { zzz = 1 } }]',
    **{kind: f'do = [{{ action = "{kind}", zzz = 1 }}]' for kind in CHANGES},
    "tell": 'otherwise = [{ action = "page", to = "x", zzz = 1 }]',
    "log": 'do = [{ action = "log", zzz = 1 }]',
    "notify_resolved": 'on_resolve = [{ action = "notify", to = "x", zzz = 1 }]',
    "log_resolved": 'on_resolve = [{ action = "log", zzz = 1 }]',
}
"""A table of the loader with a key that nobody knows; the fault lists those that are."""
DEFINITIONS = {"ended_by": "selector", "active": "period", "during": "condition_of_infrastructure"}


def keys_of_loader(text: str) -> set[str]:
    document = parse_document(f'[[rule]]\nid = "a"\n{text}\n', "f.toml")
    read_rules(document, Policy(), "f.toml")
    (allowed,) = {fault.allowed for fault in document.faults if fault.found == "unknown key zzz"}
    return set(allowed.split(", "))


def keys_of_schema(table: str) -> set[str]:
    definitions = SCHEMA["$defs"]
    if table in ("window", "sequence", "compound"):
        return set(definitions["rule"]["properties"][table]["properties"])
    return set(definitions[DEFINITIONS.get(table, table)]["properties"])


@pytest.mark.parametrize("table", TABLES)
def test_keys_of_a_table_are_those_that_the_loader_knows(table: str) -> None:
    assert keys_of_schema(table) == keys_of_loader(TABLES[table])


def test_keys_of_a_file_and_of_defaults() -> None:
    document = parse_document("zzz = 1", "f.toml")
    read_rules(document, Policy(), "f.toml")
    assert document.faults[0].allowed == ", ".join(sorted(SCHEMA["properties"]))
    assert set(SCHEMA["$defs"]["rule"]["properties"]) == set(KEYS)
    assert set(SCHEMA["$defs"]["defaults"]["properties"]) == set(KEYS) - set(NO_DEFAULT)
    assert set(SCHEMA["$defs"]["operators"]["properties"]) == set(OPERATORS)


def undescribed(schema: Any, path: str = "") -> list[str]:
    if not isinstance(schema, dict):
        return []
    found = [
        f"{path}/{name}"
        for name, one in schema.get("properties", {}).items()
        if not (one.get("description") or "$ref" in one or "enum" in one)
    ]
    for key, one in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        found += undescribed(one, f"{path}/{key}")
    return found


def test_every_key_is_described() -> None:
    assert undescribed(SCHEMA) == []


def test_the_schema_is_as_recorded() -> None:
    """UPDATE_GOLDEN=1 rewrites it: editors' copies change with it."""
    golden = GOLDEN / "schema.json"
    text = json.dumps(SCHEMA, ensure_ascii=False, indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
