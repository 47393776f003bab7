"""Texts of a rule that are templates, checked as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from remediator.rules.template import UnfitTemplateError, compile_template
from remediator.rules.toml import Table, quote_key

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


def texts_of_params(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of every text in the params of a step, place such as 'conf task'. The names in tables are none."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts_of_params(item, f"{place} {quote_key(name)}".lstrip())
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value, 1):
            yield from texts_of_params(item, f"{place} {number}")
