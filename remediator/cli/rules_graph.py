"""`remediator rules graph`: which events reach which rules, and whom these tell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from remediator.cli.output import say
from remediator.cli.rules_files import Paths, load_or_exit
from remediator.rules.graph import as_dot, as_mermaid, edges_of


class Format(StrEnum):
    """Languages that graphs are drawn from."""

    MERMAID = "mermaid"
    DOT = "dot"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Mermaid for markdown, dot for Graphviz.")]


def graph(paths: Paths, form: FormatOption = Format.MERMAID) -> None:
    """Print rules as a graph: event types, rules, compounds, routes. Exit code 1: the rules have faults."""
    rule_set, _ = load_or_exit(paths, None, as_json=False)
    edges = edges_of(rule_set.spec)
    say(as_dot(edges) if form is Format.DOT else as_mermaid(edges))
