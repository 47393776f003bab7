"""`remediator rules`: rules before they are live. Puts the commands together."""

from __future__ import annotations

import typer

from remediator.cli.rules_explain import explain
from remediator.cli.rules_graph import graph
from remediator.cli.rules_lint import lint
from remediator.cli.rules_new import new
from remediator.cli.rules_schema import schema
from remediator.cli.rules_test import run_rule_tests


def rules_app() -> typer.Typer:
    """The commands about rules."""
    app = typer.Typer(help="Rules: check, test and draw them.", no_args_is_help=True)
    app.command()(lint)
    app.command("test")(run_rule_tests)
    app.command()(schema)
    app.command()(graph)
    app.command()(explain)
    app.command()(new)
    return app
