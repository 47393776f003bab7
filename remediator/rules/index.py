"""The rule set, compiled: which rules match an event, at a cost that follows the candidates, not the rules.

Pure and deterministic; what it caches per event type changes no answer. The index itself is in tree.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from remediator.model.event import Event
from remediator.rules.clauses import ClauseVerdict, explain_clause, named_patterns, verdict_of
from remediator.rules.conditions import Trouble, Verdict
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob, utf8
from remediator.rules.periods import Hours
from remediator.rules.scene import Scene
from remediator.rules.selectors import MAIN, Compiled, compile_rules, is_on
from remediator.rules.shape import shape
from remediator.rules.spec import Rule, RuleSetSpec, encode_rule_set
from remediator.rules.template import Template, compile_template
from remediator.rules.tree import Found, Node, build

HASH_BYTES = 16
MAX_TYPES = 4_096
MAX_GROUPS = 256
MAX_NAMED = 200
"""Longest text that a named group finds, in characters."""


class Matched(msgspec.Struct, frozen=True):
    """What an event means to the rules, highest priority first, then by id, then by member.

    rules: those without state whose main selector matches.
    members: all other selectors that match, each with its rule: 'on' (of a detector), 'of' (what a ratio is a share
        of), '1', '2', … (steps of a sequence), 'end' (what ends a rule's firing).
    errors: (rule id, reason) of selectors that could not answer.
    """

    rules: tuple[Rule, ...] = ()
    members: tuple[tuple[Rule, str], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


NOTHING = Matched()


class RuleSet:
    """All rules loaded together. Raises Faults for a specification that does not compile.

    hash: hex digest of its content. budget_targets: what any rule has a budget for. event_types: the exact types that
    selectors are `on`; `wants` also knows globs.
    """

    def __init__(self, spec: RuleSetSpec) -> None:
        self.spec = spec
        self.policy = spec.policy
        self.hash = blake2b(encode_rule_set(spec), digest_size=HASH_BYTES).hexdigest()
        self.rules: dict[str, Rule] = {rule.id: rule for rule in spec.rules}
        self.budget_targets: frozenset[str] = frozenset(one.target for rule in spec.rules for one in rule.budget)
        self._compiled = compile_rules(spec)
        self._selectors = self._compiled.selectors
        self._of_rule = _by_rule(self._selectors)
        self._compounds = _compounds(spec)
        self._condition_names = _condition_names(spec)
        self._patterns: dict[str, Any] = {}
        self._shapes: dict[str, str] = {}
        self._globs = _globs_of(self._selectors)
        self._exact = _ranks_by_exact_type(self._selectors)
        self.event_types: frozenset[str] = frozenset(self._exact)
        self._groups: dict[frozenset[int], Node | None] = {}
        self._by_type: dict[str, Node | None] = {}
        for event_type in sorted(self.event_types)[:MAX_TYPES]:  # now, so that no event waits for it
            self._group(event_type)

    def wants(self, event_type: str) -> bool:
        """Whether any selector listens to this type: the matcher can skip the others."""
        return self._group(event_type) is not None

    def wants_condition(self, name: str) -> bool:
        """Whether any `during` or `not_during` names this condition."""
        exact, globs = self._condition_names
        return name in exact or any(glob.search(utf8(name)) is not None for glob in globs)

    def match(self, event: Event) -> Matched:
        """The rules and members that match, and what could not answer. Never raises."""
        node = self._group(event.type)
        if node is None:
            return NOTHING
        found: Found = {}
        node.collect(event, found)
        return _matched(self._selectors, found) if found else NOTHING

    def compounds_of(self, rule_id: str) -> tuple[Rule, ...]:
        """The rules whose compound lists this one, in the order of the specification."""
        return self._compounds.get(rule_id, ())

    def quiet(self, rule_id: str) -> tuple[Hours, ...]:
        """The rule's quiet periods with their zones, as in_periods and end_of_periods take them."""
        return self._compiled.quiet.get(rule_id, ())

    def groups(self, rule: Rule, event: Event) -> dict[str, str]:
        """Texts found by named groups: of the main selector, of a detector those of each selector that matches."""
        found: dict[str, str] = {}
        for one in self._of_rule.get(rule.id, ()):
            if one.responds or (rule.is_detector and _matches(one, event)):
                for get, pattern in named_patterns(one.clauses):
                    for name, text in self._named(pattern, get(event)).items():
                        found.setdefault(name, text)
        return found

    def render(self, text: str, scene: Scene) -> str:
        """The text with its places filled in. Raises UnfitTemplateError for a text that is none of the rule set's."""
        return self._template(text).render(scene)

    def render_strict(self, text: str, scene: Scene) -> str | None:
        """As render, None if a field is missing: for texts that name something, such as the scope of a condition."""
        return self._template(text).render_strict(scene)

    def shape(self, rule: Rule) -> str:
        """The hash of what the rule's state depends on; as shape.shape, which it remembers."""
        if self.rules.get(rule.id) is not rule:
            return shape(rule)
        if rule.id not in self._shapes:
            self._shapes[rule.id] = shape(rule)
        return self._shapes[rule.id]

    def step_verdict(self, rule_id: str, stage: str, index: int, scene: Scene) -> Verdict:
        """What the condition of a step says; yes if it has none. stage: 'do', 'otherwise' or 'on_resolve'."""
        return verdict_of(self._compiled.conditions.get((rule_id, stage, index), ()), scene)

    def explain(self, event: Event, rule_id: str) -> list[ClauseVerdict]:
        """What each clause of each selector of one rule makes of the event, its `on` first.

        Fields of selectors other than the main one begin with the member: '1.on', '1.dag_id', 'end.on'. Raises
        KeyError for an unknown rule.
        """
        if rule_id not in self.rules:
            raise KeyError(rule_id)
        return [verdict for one in self._of_rule.get(rule_id, ()) for verdict in _explained(one, event)]

    def _template(self, text: str) -> Template:
        return self._compiled.templates.get(text) or compile_template(text)

    def _named(self, pattern: str, value: Any) -> dict[str, str]:
        if pattern not in self._patterns:  # now: most rules name nothing that anybody reads
            self._patterns[pattern] = compile_pattern(pattern)
        for element in value if isinstance(value, tuple | list) else (value,):
            hit = self._patterns[pattern].search(utf8(element)) if isinstance(element, str) else None
            if hit is not None:
                texts = {name: text for name, text in hit.groupdict().items() if text is not None}
                return {name: text.decode("utf-8", "replace")[:MAX_NAMED] for name, text in texts.items()}
        return {}

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
            self._groups[ranks] = build([self._selectors[rank] for rank in sorted(ranks)]) if ranks else None
        return self._groups[ranks]


def naive_match(spec: RuleSetSpec, event: Event) -> Matched:
    """Every selector tried on the event: what `RuleSet.match` must equal."""
    selectors = compile_rules(spec).selectors
    found: Found = {}
    for one in selectors:
        verdict = verdict_of(one.clauses, event)
        if is_on(one.on, event.type) and verdict is not False:
            found[one.rank] = verdict
    return _matched(selectors, found)


def _matches(one: Compiled, event: Event) -> bool:
    return is_on(one.on, event.type) and verdict_of(one.clauses, event) is True


def _explained(one: Compiled, event: Event) -> list[ClauseVerdict]:
    fits = is_on(one.on, event.type)
    reason = "the rule is on this type" if fits else "the rule is on other types"
    first = ClauseVerdict("on", list(one.on), event.type, "yes" if fits else "no", reason)
    verdicts = [first, *(explain_clause(clause, event) for clause in one.clauses)]
    return verdicts if one.member == MAIN else [_placed(verdict, one.member) for verdict in verdicts]


def _placed(verdict: ClauseVerdict, member: str) -> ClauseVerdict:
    children = tuple(_placed(child, member) for child in verdict.children)
    return msgspec.structs.replace(verdict, field=f"{member}.{verdict.field}", children=children)


def _by_rule(selectors: list[Compiled]) -> dict[str, list[Compiled]]:
    by_rule: dict[str, list[Compiled]] = {}
    for one in selectors:
        by_rule.setdefault(one.rule.id, []).append(one)
    return by_rule


def _compounds(spec: RuleSetSpec) -> dict[str, tuple[Rule, ...]]:
    lists: dict[str, tuple[Rule, ...]] = {}
    for rule in spec.rules:
        for part in dict.fromkeys(rule.compound.rules) if rule.compound is not None else ():
            lists[part] = (*lists.get(part, ()), rule)
    return lists


def _condition_names(spec: RuleSetSpec) -> tuple[frozenset[str], list[Any]]:
    names = {during.condition for rule in spec.rules for during in (*rule.during, *rule.not_during)}
    globs = [compile_pattern(glob_pattern(name)) for name in sorted(filter(is_glob, names))]
    return frozenset(name for name in names if not is_glob(name)), globs


def _globs_of(selectors: list[Compiled]) -> list[tuple[Any, frozenset[int]]]:
    by_glob: dict[str, set[int]] = {}
    for one in selectors:
        for on in filter(is_glob, one.on):
            by_glob.setdefault(on, set()).add(one.rank)
    return [(compile_pattern(glob_pattern(glob)), frozenset(ranks)) for glob, ranks in by_glob.items()]


def _ranks_by_exact_type(selectors: list[Compiled]) -> dict[str, list[int]]:
    by_type: dict[str, list[int]] = {}
    for one in selectors:
        for on in one.on:
            if not is_glob(on):
                by_type.setdefault(on, []).append(one.rank)
    return by_type


def _matched(selectors: list[Compiled], found: Found) -> Matched:
    rules: list[Rule] = []
    members: list[tuple[Rule, str]] = []
    errors: list[tuple[str, str]] = []
    for rank in sorted(found):
        one, verdict = selectors[rank], found[rank]
        if isinstance(verdict, Trouble):
            place = "" if one.member == MAIN else f"{one.member}: "
            errors.append((one.rule.id, place + verdict.reason))
        elif one.responds:
            rules.append(one.rule)
        else:
            members.append((one.rule, one.member))
    return Matched(tuple(rules), tuple(members), tuple(errors))
