"""Configuration files from nested mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def toml(settings: Mapping[str, Any]) -> str:
    """A nested mapping as TOML: everything below the first level as inline tables."""
    return "".join(f"{name} = {_inline(value)}\n" for name, value in settings.items())


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_inline(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def write_config(folder: Path, settings: Mapping[str, Any], name: str = "remediator.toml") -> Path:
    """Write a configuration file and say where it is."""
    path = folder / name
    path.write_text(toml(settings))
    return path
