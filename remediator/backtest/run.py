"""A backtest from a survey to its outcome: one drive per rule set over the same spool.

Owns how memory is collected meanwhile. Decides nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from remediator.backtest.answers import Answers, Assume
from remediator.backtest.drive import Drive
from remediator.backtest.policy import for_backtest, open_deployments
from remediator.backtest.report import Outcome, Tally
from remediator.backtest.survey import Survey
from remediator.model.policy import Mode
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec

Progress = Callable[[int], None]
"""Takes how many records with events were decided on since the last call."""


OBJECTS_BETWEEN_COLLECTIONS = 200_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Events come and go by the million and hold no circles: looking for some takes a third of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def decide(
    spec: RuleSetSpec,
    survey: Survey,
    *,
    is_open: bool = True,
    as_if_act: bool = False,
    assume: Assume = Assume.HELPED,
    progress: Progress = lambda count: None,
) -> Outcome:
    """What the rules do over the surveyed record. is_open: deployments are the namespaces found, not the policy's."""
    policy = open_deployments(spec.policy, survey.hosts, survey.airflows) if is_open else spec.policy
    rules = RuleSet(for_backtest(spec, policy, as_if_act=as_if_act))
    tally = Tally([rule.id for rule in rules.spec.rules if rule.mode is Mode.OBSERVE])
    drive = Drive(rules, Answers(survey.history, assume), tally.take)
    with rare_collections():
        drive.begin(survey.counts.begin)
        for block in survey.spool.walk():
            drive.take(block)
            progress(len(block))
        drive.end(survey.counts.end)
    return tally.outcome
