"""Notes on steps: those that can never be done, and those that do again what was done just before."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.rules.changes import CHANGES
from remediator.rules.contradictions import impossible
from remediator.rules.notes import Note
from remediator.rules.scene import step_field
from remediator.rules.selectors import END, STAGES, members_of
from remediator.rules.spec import Rule, Step
from remediator.rules.types import never_carried


def in_steps(rule: Rule) -> Iterator[Note]:
    """Notes on every list of steps of the rule."""
    for stage in STAGES:
        steps: tuple[Step, ...] = getattr(rule, stage)
        for number, step in enumerate(steps, 1):
            never = impossible(step.condition, step_field)
            if never is not None:
                place, why = never
                yield Note("never-done", f"{stage} {number} if {place}", why, "conditions that can hold together")
        yield from _repeated(stage, steps)
    yield from _without_target(rule)
    if rule.otherwise and all(step.action not in CHANGES for step in rule.do):
        found = "otherwise in a rule that changes nothing"
        yield Note("never-otherwise", "otherwise", found, "steps in do: otherwise is for changes that did not help")


def _repeated(stage: str, steps: tuple[Step, ...]) -> Iterator[Note]:
    told: set[tuple[str, str, str]] = set()
    for number, step in enumerate(steps, 1):
        key = (step.action, step.to, step.text)
        if step.action in CHANGES:
            told.clear()  # what follows is told after the change, which is news
        elif key in told and not step.wait and not step.condition:
            to = f" to {step.to}" if step.to else ""
            found = f"{step.action}{to}, as in a step before"
            yield Note("told-twice", f"{stage} {number}", found, "one of them, or a wait, an if or a text of its own")
        elif not step.condition:
            told.add(key)


def _without_target(rule: Rule) -> Iterator[Note]:
    """Changes that take what they are about from an event that does not say it."""
    on = tuple(kind for member, one in members_of(rule) if member != END for kind in one.on)
    for number, step in enumerate(rule.do, 1):
        keys = CHANGES[step.action].keys if step.action in CHANGES and not rule.compound else {}
        for name, key in keys.items():
            if key.stands_for and name not in step.params and never_carried(on, key.stands_for):
                found = f"no {name}, and events of {', '.join(on)} do not carry {key.stands_for}"
                yield Note("not-carried", f"do {number}", found, f"{name}, as the step cannot be done without it")
