"""`remediator version`."""

from __future__ import annotations

import platform

from remediator import __version__
from remediator.cli.daemon import JsonOption
from remediator.cli.output import say, say_json


def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        say_json({"remediator": __version__, "python": platform.python_version()})
    else:
        say(f"remediator {__version__} (Python {platform.python_version()})")
