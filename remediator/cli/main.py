"""The `remediator` command: puts the commands together. Entry point `main`."""

from __future__ import annotations

import typer

from remediator.cli.approvals import approvals_app
from remediator.cli.audit import audit_app
from remediator.cli.backtest import backtest
from remediator.cli.config import config_app
from remediator.cli.demo import demo
from remediator.cli.doctor import doctor
from remediator.cli.explain import explain
from remediator.cli.freeze import freeze
from remediator.cli.incidents import incidents
from remediator.cli.notify import notify_app
from remediator.cli.replay import replay
from remediator.cli.report import report
from remediator.cli.restore import backup, restore
from remediator.cli.rules import rules_app
from remediator.cli.run import run
from remediator.cli.status import status
from remediator.cli.unmatched import unmatched
from remediator.cli.version import version

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def build() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="remediator",
        help="Keeps data pipelines alive: watches, decides, acts, proves, and pages.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    watching = (run, status, freeze, explain, incidents, unmatched, report)
    for command in (*watching, doctor, replay, backtest, backup, restore, version):
        app.command()(command)
    app.command(context_settings=PASS_ON)(demo)
    app.add_typer(approvals_app(), name="approvals")
    app.add_typer(audit_app(), name="audit")
    app.add_typer(notify_app(), name="notify")
    app.add_typer(config_app(), name="config")
    app.add_typer(rules_app(), name="rules")
    return app


def main() -> None:
    """Run the command that the arguments name. Exit codes: 0 fine, 1 findings, 2 could not be done."""
    build()()
