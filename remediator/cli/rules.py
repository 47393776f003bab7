"""`remediator rules`: rules before they are live. Puts the commands together."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from remediator.cli.loading import needed

COMMANDS = {
    "lint": "rules_lint:lint",
    "test": "rules_test:run_rule_tests",
    "schema": "rules_schema:schema",
    "graph": "rules_graph:graph",
    "explain": "rules_explain:explain",
    "new": "rules_new:new",
}


def rules_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The commands about rules: the one that these arguments name, or all."""
    app = typer.Typer(help="Rules: check, test and draw them.", no_args_is_help=True)
    app.callback()(lambda: None)  # one command alone remains a command with a name
    for name, command in needed(COMMANDS, arguments).items():
        app.command(name)(command)
    return app
