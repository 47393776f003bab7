"""A journal applied again, cut and reloaded wherever one likes. Knows no clock and no scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from remediator.engine.core import SHARED_KEYS, Changes, Core
from remediator.model.inputs import Entry
from remediator.model.time import Instant
from remediator.rules.index import RuleSet


def replay(
    spec_of: Callable[[str], RuleSet], journal: Sequence[Entry], cuts: Iterable[int], *, reload: bool = False
) -> list[Changes]:
    """Apply a journal cut before these indices; with `reload` by a fresh core for every part, as after a crash."""
    core, states, timers = Core(0, {}, spec_of), dict[str, bytes](), dict[str, tuple[tuple[str, Instant], ...]]()
    changes: list[Changes] = []
    edges = [0, *sorted(set(cuts)), len(journal)]
    for begin, end in pairwise(edges):
        if begin == end:
            continue
        if reload:
            core = Core(journal[begin].position - 1, timers, spec_of)
            core.load(SHARED_KEYS, states)
        each = core.apply(journal[begin:end], states)
        changes.append(each)
        for key, body in each.states.items():
            states.pop(key, None) if body is None else states.__setitem__(key, body)
        for key, found in each.timers.items():
            timers.pop(key, None) if not found else timers.__setitem__(key, found)
    return changes
