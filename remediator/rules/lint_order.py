"""Notes on rules that never get their turn, because another one answers for all that they would answer for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from remediator.model.policy import Mode, Policy
from remediator.rules.conditions import Key, key_of
from remediator.rules.globs import is_glob
from remediator.rules.lint_names import is_allowed
from remediator.rules.notes import Note
from remediator.rules.selectors import covers, is_on
from remediator.rules.spec import Rule
from remediator.rules.steps import FINAL

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
Clue = tuple[str, bytes]
"""A field and its condition as written."""


def always_yield(rules: Sequence[Rule], policy: Policy | None) -> Iterator[tuple[Rule, Note]]:
    """Acting rules on final failures with one before them that matches whatever they match."""
    responders = [rule for rule in rules if _answers(rule)]
    stronger = [rule for rule in responders if _always_answers(rule) and (policy is None or is_allowed(rule, policy))]
    index = _Index(stronger)
    for rule in responders:
        if rule.on != (FINAL,):
            continue
        before = next((one for one in index.candidates(rule) if _is_before(one, rule) and _implies(rule, one)), None)
        if before is not None:
            found = f'rule "{before.id}" before it, which answers for all that this one matches'
            yield rule, Note("shadowed", "", found, "a higher priority, or conditions that the other has not")


def _answers(rule: Rule) -> bool:
    return rule.mode is not Mode.OBSERVE and not rule.is_detector and is_on(rule.on, FINAL)


def _always_answers(rule: Rule) -> bool:
    return not (rule.active or rule.during or rule.not_during)


def _is_before(one: Rule, other: Rule) -> bool:
    return one is not other and (-one.priority, one.id) < (-other.priority, other.id)


class _Index:
    """Rules by one of their conditions: only rules that have the same one, or none, can be implied."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_clue: dict[Clue, list[Rule]] = defaultdict(list)
        self._general: list[Rule] = []
        for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.id)):
            clue = next(iter(_literals(rule.where)), None)
            (self._general if clue is None else self._by_clue[clue]).append(rule)

    def candidates(self, rule: Rule) -> Iterator[Rule]:
        yield from self._general
        for clue in _literals(rule.where):
            yield from self._by_clue.get(clue, ())


def _literals(where: Mapping[str, Any]) -> list[Clue]:
    return [
        (field, _ENCODER.encode(raw))
        for field, raw in where.items()
        if not isinstance(raw, dict | list) and not (isinstance(raw, str) and is_glob(raw))
    ]


def _implies(rule: Rule, other: Rule) -> bool:
    """Whether what meets the rule's conditions surely meets the other's."""
    return all(
        field in rule.where
        and (rule.where[field] == raw or (field not in _COMBINED and _is_weaker(rule.where[field], raw)))
        for field, raw in other.where.items()
    )


_COMBINED = ("any", "all", "not")


def _is_weaker(strict: Any, weak: Any) -> bool:
    """Whether a value that meets the strict condition surely meets the weak one."""
    wanted = _values(strict)
    if weak == {"exists": True}:
        return not (isinstance(strict, dict) and (strict.get("exists") is False or "not" in strict))
    if wanted is None:
        return False
    accepted = _values(weak)
    if accepted is not None:
        return set(wanted) <= set(accepted)
    glob = weak.get("glob") if isinstance(weak, dict) and set(weak) == {"glob"} else weak
    return isinstance(glob, str) and is_glob(glob) and all(isinstance(one, str) and covers(glob, one) for one in wanted)


def _values(raw: Any) -> list[Key] | None:
    """The values that a condition accepts, if it names them."""
    if isinstance(raw, dict):
        if set(raw) not in ({"equals"}, {"in"}):
            return None
        raw = next(iter(raw.values()))
        found = raw if isinstance(raw, list) else [raw]
    else:
        found = raw if isinstance(raw, list) else [raw]
        if any(isinstance(one, str) and is_glob(one) for one in found):
            return None
    keys = [key_of(one) for one in found]
    return None if None in keys else [key for key in keys if key is not None]
