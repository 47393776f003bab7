"""`remediator config check`: everything that is wrong with a configuration file, before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, say, say_json
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.rules.faults import Faults


def config_app() -> typer.Typer:
    """The commands about the configuration file."""
    app = typer.Typer(help="The configuration file.", no_args_is_help=True)
    app.callback()(lambda: None)
    app.command()(check)
    return app


def check(
    file: Annotated[Path, typer.Argument(help="The configuration file.")],
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Do not look whether secrets are there (for CI).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration file. Exit code 0: fine. 1: it has faults, all of which are printed."""
    try:
        config = load_config(file, resolve_secrets=not without_secrets)
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None
    if as_json:
        say_json({"ok": True, "faults": []})
    else:
        say(f"{file}: fine: {summary(config)}")


def print_faults(faults: Faults, *, as_json: bool) -> None:
    """One line for each fault."""
    if as_json:
        say_json({"ok": False, "faults": [msgspec.structs.asdict(fault) for fault in faults.faults]})
    else:
        say(str(faults))


def summary(config: Config) -> str:
    """'1 feed, 2 deployments (1 may be changed), …'"""
    changeable = sum(one.ceiling.value != "observe" for one in config.deployments)
    return (
        f"{len(config.feeds)} feeds, {len(config.deployments)} deployments ({changeable} may be changed), "
        f"{len(config.receivers)} receivers, {len(config.policy().routes)} routes"
    )
