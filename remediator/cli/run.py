"""`remediator run`: the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.output import fail
from remediator.rules.faults import Faults
from remediator.store.port import StoreError


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("remediator.toml"),
) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT)."""
    from remediator.runtime.app import AddressError  # only here: other commands start without the broker's client
    from remediator.runtime.app import run as run_daemon

    try:
        run_daemon(config)
    except Faults as faults:
        fail(str(faults))
    except StoreError as error:
        fail(f"store: {error}")
    except AddressError as error:
        fail(f"{config}: {error}")
