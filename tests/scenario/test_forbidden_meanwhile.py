"""A change that waits in the outbox when another rule set forbids it is taken back."""

from __future__ import annotations

import msgspec
import pytest

from remediator.model.action import Action
from remediator.model.inputs import Performed
from remediator.model.outcome import Refused
from remediator.model.policy import Allow, DeploymentPolicy, Mode, Policy
from remediator.rules.spec import Rule, RuleSetSpec
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import PAGE, POLICY, RETRY

RULE = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(PAGE,))


class Away(Timeline):
    """The deployment takes no changes for now: they wait in the outbox."""

    def _answer(self, action: Action) -> None:
        if action.kind != "airflow.retry":
            super()._answer(action)


def lowered(mode: Mode) -> Policy:
    deployments = {**POLICY.deployments, "prod": DeploymentPolicy("prod", "feed", mode)}
    return msgspec.structs.replace(POLICY, deployments=deployments)


FORBIDDEN = {
    "the ceiling is lowered": RuleSetSpec((RULE,), lowered(Mode.OBSERVE)),
    "a person is to be asked": RuleSetSpec((RULE,), lowered(Mode.APPROVE)),
    "an allow is taken away": RuleSetSpec((RULE,), msgspec.structs.replace(POLICY, allow=(Allow(owners=("x",)),))),
    "the rule only observes": RuleSetSpec((msgspec.structs.replace(RULE, mode=Mode.OBSERVE),), POLICY),
    "the rule is gone": RuleSetSpec((), POLICY),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_meanwhile_is_not_done(name: str) -> None:
    line = Away(RuleSetSpec((RULE,), POLICY)).fails("load").at("10s")
    (retry,) = (one for one in line.actions if one.kind == "airflow.retry")
    line.activate(FORBIDDEN[name])
    ((cancelled, why),) = (one for changes in line.changes for one in changes.cancels)
    assert cancelled == retry.id
    line.give(Performed(retry.id, retry.key, retry.kind, Refused(why))).at("1m").expect_page()
    assert sum(one.kind == "airflow.retry" for one in line.actions) == 1


def test_what_is_still_permitted_stays() -> None:
    line = Away(RuleSetSpec((RULE,), POLICY)).fails("load").at("10s")
    line.activate(RuleSetSpec((RULE,), lowered(Mode.ACT)))
    line.activate(RuleSetSpec((msgspec.structs.replace(RULE, summary="the same"),), POLICY))
    assert not [one for changes in line.changes for one in changes.cancels]
