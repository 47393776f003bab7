"""Rules taken apart for the index: every selector of every rule, ranked, with compiled clauses; conditions of steps.

A specification that does not compile is told with all its faults at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from remediator.model.event import Event
from remediator.model.globs import covers
from remediator.rules.clauses import Clause, Clauses, Report, compile_where
from remediator.rules.conditions import Condition
from remediator.rules.faults import Fault, Faults
from remediator.rules.globs import is_glob
from remediator.rules.periods import Hours, hours_of, in_periods
from remediator.rules.scene import STEP_FIELDS, step_field
from remediator.rules.spec import Period, Rule, RuleSetSpec, Selector, Step
from remediator.rules.template import Template, UnfitTemplateError, compile_template
from remediator.rules.texts import texts_of_params

MAIN, SHARE, END = "on", "of", "end"
"""Members: the rule's own selector, what a ratio is a share of, what ends it; steps of a sequence are '1', '2', …"""
STAGES = ("do", "otherwise", "on_resolve")


class Compiled(msgspec.Struct, frozen=True):
    """One selector of a rule, compiled; rank 0 comes first. responds: the main selector of a rule without state."""

    rank: int
    rule: Rule
    member: str
    on: tuple[str, ...]
    clauses: Clauses
    responds: bool


class CompiledRules(msgspec.Struct, frozen=True):
    """All that is compiled of a rule set: selectors by rank, and by rule id and place the rest."""

    selectors: list[Compiled]
    conditions: dict[tuple[str, str, int], Clauses]
    templates: dict[str, Template]
    quiet: dict[str, tuple[Hours, ...]]


def members_of(rule: Rule) -> Iterator[tuple[str, Selector]]:
    """Every selector of a rule under its member's name."""
    if rule.on:
        yield MAIN, Selector(rule.on, rule.where)
    if rule.window is not None and rule.window.of is not None:
        yield SHARE, rule.window.of
    if rule.sequence is not None:
        yield from ((str(number), step) for number, step in enumerate(rule.sequence.steps, 1))
    if rule.ended_by is not None:
        yield END, rule.ended_by


def compile_rules(spec: RuleSetSpec) -> CompiledRules:
    """Everything compiled, selectors in the order of priority, then id, then members. Raises Faults."""
    done = CompiledRules([], {}, {}, {})
    faults: list[Fault] = []
    for rule in sorted(spec.rules, key=lambda rule: (-rule.priority, rule.id)):
        _Rule(rule, faults).compile(done)
    if faults:
        raise Faults(faults)
    return done


class _Rule:
    def __init__(self, rule: Rule, faults: list[Fault]) -> None:
        self._rule = rule
        self._faults = faults

    def compile(self, done: CompiledRules) -> None:
        rule, active = self._rule, self._active()
        for member, selector in members_of(rule):
            clauses = self._where(selector.where, "where" if member == MAIN else f"{member} where")
            timed = clauses if member == END else (*clauses, *active)
            responds = member == MAIN and not rule.is_detector
            done.selectors.append(Compiled(len(done.selectors), rule, member, selector.on, timed, responds))
        if rule.quiet:
            done.quiet[rule.id] = self._hours("quiet", rule.quiet)
        self._texts(done.templates)
        for stage in STAGES:
            for index, step in enumerate(_steps(rule, stage)):
                if step.condition:
                    done.conditions[rule.id, stage, index] = self._step(step, f"{stage} {index + 1} if")

    def _where(self, where: Mapping[str, Any], name: str) -> Clauses:
        return compile_where(where, self._report(name))

    def _step(self, step: Step, name: str) -> Clauses:
        return compile_where(step.condition, self._report(name), step_field, STEP_FIELDS)

    def _report(self, name: str) -> Report:
        def report(path: tuple[str | int, ...], found: str, allowed: str, hint: str) -> None:
            self._fault(f"{name} {'.'.join(map(str, path))}", found, allowed, hint)

        return report

    def _active(self) -> Clauses:
        """The rule's active periods as a clause on the event's time."""
        periods = self._rule.active
        if not periods:
            return ()
        hours = self._hours("active", periods)
        raw = msgspec.to_builtins(periods)
        return (Clause("active", "active", raw, _time_of, Condition(lambda at, _: in_periods(hours, at))),)

    def _hours(self, name: str, periods: tuple[Period, ...]) -> tuple[Hours, ...]:
        try:
            return tuple(map(hours_of, periods))
        except ValueError as error:
            self._fault(name, ", ".join(period.timezone for period in periods), str(error))
            return ()

    def _texts(self, templates: dict[str, Template]) -> None:
        for text in texts_of(self._rule):
            if text not in templates:
                try:
                    templates[text] = compile_template(text)
                except UnfitTemplateError as unfit:
                    self._fault("text", unfit.found, unfit.allowed, unfit.hint)

    def _fault(self, place: str, found: str, allowed: str, hint: str = "") -> None:
        rule = self._rule
        self._faults.append(Fault(rule.file, rule.line, f'rule "{rule.id}" {place}', found, allowed, hint))


def _time_of(event: Event) -> int:
    return event.time


def _steps(rule: Rule, stage: str) -> tuple[Step, ...]:
    return {"do": rule.do, "otherwise": rule.otherwise, "on_resolve": rule.on_resolve}[stage]


def texts_of(rule: Rule) -> list[str]:
    """Every template of a rule: its title, what is said and changed by its steps, the scopes of its conditions."""
    steps = [step for stage in STAGES for step in _steps(rule, stage)]
    params = (text for step in steps for _, text in texts_of_params(step.params))
    scopes = (during.scope for during in (*rule.during, *rule.not_during))
    return [text for text in (rule.title, *(step.text for step in steps), *params, *scopes) if text]


def is_on(on: tuple[str, ...], event_type: str) -> bool:
    """Whether a selector listens to events of this type."""
    return any(one == event_type or (is_glob(one) and covers(one, event_type)) for one in on)
