"""Which commands a command line needs, and loading them: one command starts without what the others import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def needed(commands: Mapping[str, str], arguments: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """The command that the first argument names, or all where it names none: for help, completion and a typing error.

    commands: by name 'module:function', the module being one of this package.
    """
    chosen = arguments[:1] if arguments and arguments[0] in commands else list(commands)
    return {name: _loaded(commands[name]) for name in chosen}


def _loaded(place: str) -> Callable[..., Any]:
    module, _, function = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"remediator.cli.{module}"), function)
    return found
