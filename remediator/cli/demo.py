"""`remediator demo`: a fleet that fails, healed before your eyes."""

from __future__ import annotations

import typer


def demo(ctx: typer.Context) -> None:
    """Show remediator at work on a simulated fleet, everything on this machine. Arguments: remediator demo --help."""
    from remediator.demo.main import run  # only here: the demo's broker is an extra

    raise typer.Exit(run(ctx.args))
