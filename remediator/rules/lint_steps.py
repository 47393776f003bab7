"""Notes on steps: those that are never done, and those that do again what was done just before."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.rules.contradictions import impossible
from remediator.rules.notes import Note
from remediator.rules.scene import step_field
from remediator.rules.selectors import STAGES
from remediator.rules.spec import Rule, Step
from remediator.rules.steps import RETRY


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
    if rule.otherwise and all(step.action != RETRY for step in rule.do):
        found = "otherwise in a rule that changes nothing"
        yield Note("never-otherwise", "otherwise", found, "steps in do: otherwise is for changes that did not help")


def _repeated(stage: str, steps: tuple[Step, ...]) -> Iterator[Note]:
    told: set[tuple[str, str, str]] = set()
    for number, step in enumerate(steps, 1):
        key = (step.action, step.to, step.text)
        if step.action == RETRY:
            told.clear()  # what follows is told after the change, which is news
        elif key in told and not step.wait and not step.condition:
            to = f" to {step.to}" if step.to else ""
            found = f"{step.action}{to}, as in a step before"
            yield Note("told-twice", f"{stage} {number}", found, "one of them, or a wait, an if or a text of its own")
        elif not step.condition:
            told.add(key)
