"""Texts of a rule that are templates, checked as they are read."""

from __future__ import annotations

from remediator.rules.template import UnfitTemplateError, compile_template
from remediator.rules.toml import Table

MAX_TEXT = 2_000


def read_template(table: Table, key: str, max_length: int = MAX_TEXT) -> str:
    """A template, as it is written. Faults for names and filters that there are not."""
    text = table.text(key, max_length=max_length)
    if not text:
        return text
    try:
        compile_template(text)
    except UnfitTemplateError as unfit:
        table.fault(key, unfit.found, unfit.allowed, unfit.hint)
    return text
