"""The rule set, compiled: which rules match an event, at a cost that follows the candidates, not the rules.

Pure and deterministic; what it caches per event type changes no answer. The index itself is in tree.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from remediator.model.event import Event
from remediator.rules.clauses import Clause, ClauseVerdict, compile_where, explain_clause, verdict_of
from remediator.rules.faults import Fault, Faults
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob, utf8
from remediator.rules.operators import Trouble
from remediator.rules.spec import Rule, RuleSetSpec, encode_rule_set
from remediator.rules.tree import Compiled, Node, build

HASH_BYTES = 16
MAX_TYPES = 4_096
MAX_GROUPS = 256


class Matched(msgspec.Struct, frozen=True):
    """rules: highest priority first, then by id. errors: (rule id, reason) of rules that could not answer."""

    rules: tuple[Rule, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


NOTHING = Matched()


class RuleSet:
    """All rules loaded together. Raises Faults for a specification that does not compile.

    hash: hex digest of its content. event_types: the exact types that rules are `on`; `wants` also knows globs.
    """

    def __init__(self, spec: RuleSetSpec) -> None:
        self.spec = spec
        self.policy = spec.policy
        self.hash = blake2b(encode_rule_set(spec), digest_size=HASH_BYTES).hexdigest()
        self.rules: dict[str, Rule] = {rule.id: rule for rule in spec.rules}
        self._compiled = compile_rules(spec)
        self._globs = _globs_of(self._compiled)
        self._exact = _ranks_by_exact_type(self._compiled)
        self.event_types: frozenset[str] = frozenset(self._exact)
        self._groups: dict[frozenset[int], Node | None] = {}
        self._by_type: dict[str, Node | None] = {}
        for event_type in sorted(self.event_types)[:MAX_TYPES]:  # now, so that no event waits for it
            self._group(event_type)

    def wants(self, event_type: str) -> bool:
        """Whether any rule is `on` this type: the matcher can skip the others."""
        return self._group(event_type) is not None

    def match(self, event: Event) -> Matched:
        """The rules that match, and those that could not answer. Never raises."""
        node = self._group(event.type)
        if node is None:
            return NOTHING
        found: dict[int, bool | Trouble] = {}
        node.collect(event, found)
        return _matched(self._compiled, found) if found else NOTHING

    def explain(self, event: Event, rule_id: str) -> list[ClauseVerdict]:
        """What each clause of one rule makes of the event, its `on` first. Raises KeyError for an unknown rule."""
        compiled = next((one for one in self._compiled if one.rule.id == rule_id), None)
        if compiled is None:
            raise KeyError(rule_id)
        fits = is_on(compiled.rule, event.type)
        reason = "the rule is on this type" if fits else "the rule is on other types"
        first = ClauseVerdict("on", list(compiled.rule.on), event.type, "yes" if fits else "no", reason)
        return [first, *(explain_clause(clause, event) for clause in compiled.clauses)]

    def _group(self, event_type: str) -> Node | None:
        if event_type in self._by_type:
            return self._by_type[event_type]
        ranks = set(self._exact.get(event_type, ()))
        text = utf8(event_type)
        for pattern, on_glob in self._globs:
            if pattern.search(text) is not None:
                ranks |= on_glob
        if len(self._by_type) >= MAX_TYPES:
            self._by_type.clear()
        self._by_type[event_type] = group = self._group_of(frozenset(ranks))
        return group

    def _group_of(self, ranks: frozenset[int]) -> Node | None:
        if ranks not in self._groups:
            if len(self._groups) >= MAX_GROUPS:
                self._groups.clear()
            self._groups[ranks] = build([self._compiled[rank] for rank in sorted(ranks)]) if ranks else None
        return self._groups[ranks]


def compile_rules(spec: RuleSetSpec) -> list[Compiled]:
    """Rules with compiled clauses, ranked by priority, then id. Raises Faults."""
    faults: list[Fault] = []
    compiled: list[Compiled] = []
    for rank, rule in enumerate(sorted(spec.rules, key=lambda rule: (-rule.priority, rule.id))):
        compiled.append(Compiled(rank, rule, _clauses_of(rule, faults)))
    if faults:
        raise Faults(faults)
    return compiled


def _clauses_of(rule: Rule, faults: list[Fault]) -> tuple[Clause, ...]:
    def report(path: tuple[str | int, ...], found: str, allowed: str, hint: str) -> None:
        place = f'rule "{rule.id}" where {".".join(map(str, path))}'
        faults.append(Fault(rule.file, rule.line, place, found, allowed, hint))

    return compile_where(rule.where, report)


def naive_match(spec: RuleSetSpec, event: Event) -> Matched:
    """Every rule tried on the event: what `RuleSet.match` must equal."""
    compiled = compile_rules(spec)
    found: dict[int, bool | Trouble] = {}
    for one in compiled:
        verdict = verdict_of(one.clauses, event)
        if is_on(one.rule, event.type) and verdict is not False:
            found[one.rank] = verdict
    return _matched(compiled, found)


def is_on(rule: Rule, event_type: str) -> bool:
    """Whether a rule listens to events of this type."""
    return any(on == event_type or (is_glob(on) and _covers(on, event_type)) for on in rule.on)


def _covers(glob: str, event_type: str) -> bool:
    return compile_pattern(glob_pattern(glob)).search(utf8(event_type)) is not None


def _globs_of(compiled: list[Compiled]) -> list[tuple[Any, frozenset[int]]]:
    by_glob: dict[str, set[int]] = {}
    for one in compiled:
        for on in filter(is_glob, one.rule.on):
            by_glob.setdefault(on, set()).add(one.rank)
    return [(compile_pattern(glob_pattern(glob)), frozenset(ranks)) for glob, ranks in by_glob.items()]


def _ranks_by_exact_type(compiled: list[Compiled]) -> dict[str, list[int]]:
    by_type: dict[str, list[int]] = {}
    for one in compiled:
        for on in one.rule.on:
            if not is_glob(on):
                by_type.setdefault(on, []).append(one.rank)
    return by_type


def _matched(compiled: list[Compiled], found: dict[int, bool | Trouble]) -> Matched:
    ranks = sorted(found)
    return Matched(
        tuple(compiled[rank].rule for rank in ranks if found[rank] is True),
        tuple(
            (compiled[rank].rule.id, verdict.reason) for rank in ranks if isinstance(verdict := found[rank], Trouble)
        ),
    )
