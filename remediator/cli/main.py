"""The `remediator` command: puts the commands together. Entry point `main`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from remediator.cli.loading import needed

COMMANDS = {
    "run": "run:run",
    "status": "status:status",
    "freeze": "freeze:freeze",
    "explain": "explain:explain",
    "incidents": "incidents:incidents",
    "unmatched": "unmatched:unmatched",
    "report": "report:report",
    "doctor": "doctor:doctor",
    "replay": "replay:replay",
    "backtest": "backtest:backtest",
    "backup": "restore:backup",
    "restore": "restore:restore",
    "version": "version:version",
    "demo": "demo:demo",
}
GROUPS = {
    "approvals": "approvals:approvals_app",
    "audit": "audit:audit_app",
    "notify": "notify:notify_app",
    "config": "config:config_app",
    "rules": "rules:rules_app",
}
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """The application: with the one command that these arguments name, or with all."""
    app = typer.Typer(
        name="remediator",
        help="Keeps data pipelines alive: watches, decides, acts, proves, and pages.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(lambda: None)  # one command alone remains a command with a name
    for name, made in needed({**COMMANDS, **GROUPS}, arguments).items():
        if name in GROUPS:
            app.add_typer(made(arguments[1:]) if name == "rules" else made(), name=name)
        else:
            app.command(name, context_settings=PASS_ON if name == "demo" else None)(made)
    return app


def main() -> None:
    """Run the command that the arguments name. Exit codes: 0 fine, 1 findings, 2 could not be done."""
    build(sys.argv[1:])()
