"""Rules as a graph: event types reach rules, rules reach compounds, actions and routes. Pure, in a stable order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from remediator.rules.selectors import END, members_of
from remediator.rules.spec import Rule, RuleSetSpec


class NodeKind(StrEnum):
    """What a node stands for."""

    TYPE = "type"
    RULE = "rule"
    DETECTOR = "detector"
    ACTION = "action"
    ROUTE = "route"


class GraphNode(msgspec.Struct, frozen=True, order=True):
    """One node; kind and name together are its identity."""

    kind: NodeKind
    name: str


class Edge(msgspec.Struct, frozen=True, order=True):
    """From a node to another; label: why, such as 'page' or 'step 2'."""

    tail: GraphNode
    head: GraphNode
    label: str = ""


def edges_of(spec: RuleSetSpec) -> list[Edge]:
    """All edges of the rules, sorted, each once."""
    nodes = {rule.id: _node(rule) for rule in spec.rules}
    return sorted({edge for rule in spec.rules for edge in _of_rule(rule, nodes)})


def _node(rule: Rule) -> GraphNode:
    return GraphNode(NodeKind.DETECTOR if rule.is_detector else NodeKind.RULE, rule.id)


def _of_rule(rule: Rule, nodes: dict[str, GraphNode]) -> Iterator[Edge]:
    here = nodes[rule.id]
    for member, selector in members_of(rule):
        label = {"on": "", "of": "of", END: "ends"}.get(member, f"step {member}")
        for one in selector.on:
            yield Edge(GraphNode(NodeKind.TYPE, one), here, label)
    for member in rule.compound.rules if rule.compound else ():
        yield Edge(nodes[member], here)
    for stage, steps in (("", rule.do), ("otherwise ", rule.otherwise), ("resolved ", rule.on_resolve)):
        for step in steps:
            if step.to:
                yield Edge(here, GraphNode(NodeKind.ROUTE, step.to), f"{stage}{step.action}")
            else:
                yield Edge(here, GraphNode(NodeKind.ACTION, step.action), stage.strip())


_MERMAID: dict[NodeKind, tuple[str, str]] = {
    NodeKind.TYPE: ("([", "])"),
    NodeKind.RULE: ("[", "]"),
    NodeKind.DETECTOR: ("[[", "]]"),
    NodeKind.ACTION: ("{{", "}}"),
    NodeKind.ROUTE: ("(", ")"),
}
_DOT: dict[NodeKind, str] = {
    NodeKind.TYPE: "oval",
    NodeKind.RULE: "box",
    NodeKind.DETECTOR: "box3d",
    NodeKind.ACTION: "hexagon",
    NodeKind.ROUTE: "cds",
}


def as_mermaid(edges: Sequence[Edge]) -> str:
    """The graph as a Mermaid flowchart."""
    names = _names(edges)
    lines = ["flowchart LR"]
    for node, name in names.items():
        opening, closing = _MERMAID[node.kind]
        lines.append(f'  {name}{opening}"{_entities(node.name)}"{closing}')
    for edge in edges:
        label = f'|"{_entities(edge.label)}"|' if edge.label else ""
        lines.append(f"  {names[edge.tail]} -->{label} {names[edge.head]}")
    return "\n".join(lines)


def as_dot(edges: Sequence[Edge]) -> str:
    """The graph in the language of Graphviz."""
    names = _names(edges)
    lines = ["digraph rules {", "  rankdir=LR;"]
    lines += [f'  {name} [label="{_escaped(node.name)}", shape={_DOT[node.kind]}];' for node, name in names.items()]
    for edge in edges:
        label = f' [label="{_escaped(edge.label)}"]' if edge.label else ""
        lines.append(f"  {names[edge.tail]} -> {names[edge.head]}{label};")
    return "\n".join([*lines, "}"])


def _names(edges: Sequence[Edge]) -> dict[GraphNode, str]:
    nodes = sorted({node for edge in edges for node in (edge.tail, edge.head)})
    return {node: f"n{number}" for number, node in enumerate(nodes)}


def _entities(text: str) -> str:
    return "".join(c if c.isalnum() or c in " ._-*?/:" else f"#{ord(c)};" for c in text)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
