"""Who gives a command: the name that is recorded with it."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

AsOption = Annotated[
    str, typer.Option("--as", help="Your name, recorded as given; the name of the system's user unless given.")
]


def actor(given: str = "") -> str:
    """'anna (cli)'"""
    return f"{given.strip() or system_user()} (cli)"


def system_user() -> str:
    """Who runs this command, as the system says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
