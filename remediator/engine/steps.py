"""Steps: which rule a case follows and which of its steps is next. Decides nothing; reads rules and cases only."""

from __future__ import annotations

from remediator.engine.context import Context
from remediator.engine.state import Case, task_key
from remediator.model.action import CHANGE_STEPS
from remediator.model.ids import stable_id
from remediator.model.policy import Mode
from remediator.rules.spec import Rule, Step

UNCLASSIFIED = "unclassified"
RETRY = "airflow.retry"
BACKFILL = "airflow.backfill"
PROOF = "proof"
"""Under which name a case's waits keep until when one is awaited of a change that no look proves."""
BEGINNING = "beginning"
"""Under which name they keep until when a cleared task instance has time to begin."""
DO = "do"
OTHERWISE = "otherwise"


def rule_of(context: Context, rule_id: str) -> Rule:
    """The rule as it is now; a rule that was removed leaves its cases to `unclassified`."""
    found = context.rules.rules.get(rule_id) if rule_id != UNCLASSIFIED else None
    return found if found is not None else unclassified_rule(context)


def unclassified_rule(context: Context) -> Rule:
    """The always-on last rule: a final failure that no rule knew is told to people."""
    step = Step(action="page", to=context.policy.unclassified_route)
    return Rule(id=UNCLASSIFIED, on=("task.failed_finally",), severity="critical", mode=Mode.ACT, do=(step,))


def next_step(context: Context, case: Case) -> Step | None:
    """The step that the case stands at; None past the end of its stage."""
    rule = rule_of(context, case.rule)
    steps = rule.do if case.stage == DO else rule.otherwise
    return steps[case.index] if case.index < len(steps) else None


def step_name(case: Case) -> str:
    """The step that the case stands at, as 'do/1'."""
    return f"{case.stage}/{case.index}"


def approval_of(context: Context, case: Case) -> str:
    """What a yes is for: this very step of this rule. Another step in its place is asked for anew."""
    return stable_id("approval", case.rule, step_name(case), next_step(context, case))


def counted_as(case: Case) -> str:
    """What attempts and budgets of a task are counted for: the task, or the incident of a firing that has none."""
    return case.event.task_id or f"incident {case.incident}"


def task_of(case: Case) -> str:
    """The key of the case's task instance in its dagrun."""
    return task_key(counted_as(case), case.event.map_index)


def counter_of(context: Context, case: Case) -> str:
    """Under which name the attempts of the case's step are counted: the rule's, and for its further changes theirs."""
    rule = rule_of(context, case.rule)
    earlier = sum(step.action in CHANGE_STEPS for step in rule.do[: case.index])
    return f"{case.rule}#{case.index}" if case.stage == DO and earlier else case.rule
