"""Circles in what names what: sets of clauses that use each other, compounds of compounds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_circles(graph: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Circles of names, none sharing a name with another; empty exactly if there is none. Other names are ignored."""
    done: set[str] = set()
    circles: list[tuple[str, ...]] = []
    for start in graph:
        path: dict[str, None] = {}
        pending = [(start, 0)]
        while pending:
            name, at = pending.pop()
            if at == 0:
                if name in done or name not in graph:
                    continue
                if name in path:
                    names = list(path)
                    circles.append(tuple(names[names.index(name) :]))
                    continue
                path[name] = None
            if at < len(graph[name]):
                pending += [(name, at + 1), (graph[name][at], 0)]
            else:
                del path[name]
                done.add(name)
    return _apart(circles)


def _apart(circles: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    seen: set[str] = set()
    apart = []
    for circle in circles:
        if seen.isdisjoint(circle):
            apart.append(circle)
            seen.update(circle)
    return apart
