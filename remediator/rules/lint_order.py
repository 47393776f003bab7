"""Notes on rules that never get their turn, because another one answers for all that they would answer for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from remediator.model.globs import covers
from remediator.model.policy import Mode, Policy
from remediator.rules.conditions import Key, key_of
from remediator.rules.globs import is_glob
from remediator.rules.lint_names import may_respond
from remediator.rules.notes import Note
from remediator.rules.selectors import is_on
from remediator.rules.spec import Rule
from remediator.rules.steps import FINAL

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_COMBINED = ("any", "all", "not")
Clue = tuple[str, str, Key | bytes]
"""How a condition is found, its field, and what of it."""


def always_yield(rules: Sequence[Rule], policy: Policy | None) -> Iterator[tuple[Rule, Note]]:
    """Acting rules on final failures with one before them that matches whatever they match."""
    responders = [rule for rule in rules if _answers(rule)]
    stronger = [rule for rule in responders if _always_answers(rule) and (policy is None or may_respond(rule, policy))]
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
    """Rules by one of their conditions, under every clue that a stricter condition gives to it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_clue: dict[Clue, list[Rule]] = defaultdict(list)
        for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.id)):
            for clue in _clues_to(rule.where):
                self._by_clue[clue].append(rule)

    def candidates(self, rule: Rule) -> Iterator[Rule]:
        """Rules whose keyed condition this one surely fulfils, perhaps; all that it implies are among them."""
        yield from self._by_clue.get(_ANY, ())
        for field, raw in rule.where.items():
            for clue in _clues_from(field, raw):
                yield from self._by_clue.get(clue, ())


_ANY: Clue = ("any", "", "")


def _clues_to(where: Mapping[str, Any]) -> list[Clue]:
    """What to look for to find the rule: of its condition that the fewest others imply."""
    keyed = [_clues_of(field, raw) for field, raw in where.items()]
    return min(keyed, key=lambda clues: (_RANKS[clues[-1][0]], len(clues)), default=[_ANY])


_RANKS = {"same": 0, "value": 1, "start": 2, "exists": 3}


def _clues_of(field: str, raw: Any) -> list[Clue]:
    same: Clue = ("same", field, _ENCODER.encode(raw))
    values = None if field in _COMBINED else _values(raw)
    if values is not None:
        return [same, *(("value", field, value) for value in values)]
    if raw == {"exists": True}:
        return [same, ("exists", field, "")]
    glob = _glob(raw)
    return [same] if glob is None else [same, ("start", field, re.split(r"[*?\[]", glob, maxsplit=1)[0])]


def _clues_from(field: str, raw: Any) -> Iterator[Clue]:
    yield "same", field, _ENCODER.encode(raw)
    yield "exists", field, ""
    values = None if field in _COMBINED else _values(raw)
    first = values[0] if values else None
    if first is not None:
        yield "value", field, first
    if isinstance(first, str):
        yield from (("start", field, first[:length]) for length in range(len(first) + 1))


def _glob(raw: Any) -> str | None:
    """The glob that the condition is, None for another condition."""
    if isinstance(raw, dict):
        return raw["glob"] if set(raw) == {"glob"} else None
    return raw if isinstance(raw, str) and is_glob(raw) else None


def _implies(rule: Rule, other: Rule) -> bool:
    """Whether what meets the rule's conditions surely meets the other's."""
    return all(
        field in rule.where
        and (rule.where[field] == raw or (field not in _COMBINED and _is_weaker(rule.where[field], raw)))
        for field, raw in other.where.items()
    )


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
    glob = _glob(weak)
    return glob is not None and all(isinstance(one, str) and covers(glob, one) for one in wanted)


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
