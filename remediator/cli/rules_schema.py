"""`remediator rules schema`: what editors need to check and complete rule files."""

from __future__ import annotations

from remediator.cli.output import say_json
from remediator.rules.schema import rule_file_schema


def schema() -> None:
    """Print the JSON Schema (2020-12) of rule files, for editors and other tools."""
    say_json(rule_file_schema())
