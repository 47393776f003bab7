"""The graph of rules, as recorded in both languages; UPDATE_GOLDEN=1 rewrites it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from remediator.rules.graph import Edge, GraphNode, NodeKind, as_dot, as_mermaid, edges_of
from remediator.rules.load import load_rules

GOOD = Path(__file__).parents[2] / "golden" / "rules" / "good"


@pytest.mark.parametrize(("draw", "suffix"), [(as_mermaid, ".mermaid"), (as_dot, ".dot")])
def test_graph_is_as_recorded(draw: Callable[[Sequence[Edge]], str], suffix: str) -> None:
    text = draw(edges_of(load_rules([GOOD / "detectors.toml"], None))) + "\n"
    golden = GOOD / f"detectors{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_members_reach_their_compound_and_rules_their_routes() -> None:
    edges = edges_of(load_rules([GOOD / "detectors.toml"], None))
    rate, whole = GraphNode(NodeKind.DETECTOR, "rate"), GraphNode(NodeKind.DETECTOR, "all-of-it")
    assert Edge(rate, whole) in edges
    assert (
        Edge(GraphNode(NodeKind.DETECTOR, "many-failures"), GraphNode(NodeKind.ROUTE, "data-oncall"), "page") in edges
    )
    assert Edge(GraphNode(NodeKind.TYPE, "node.ready"), GraphNode(NodeKind.DETECTOR, "node-lost"), "ends") in edges


def test_names_cannot_break_out_of_the_drawing() -> None:
    edges = [Edge(GraphNode(NodeKind.TYPE, 'a"]\n-->[*'), GraphNode(NodeKind.ROUTE, 'b";\\'), 'c"|')]
    assert as_mermaid(edges).splitlines()[2] == '  n1(["a#34;#93;#10;--#62;#91;*"])'
    assert 'label="b\\";\\\\"' in as_dot(edges)
    assert len(as_dot(edges).splitlines()) == 6
