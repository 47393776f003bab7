"""A change that waits in the outbox when another rule set forbids it is taken back."""

from __future__ import annotations

import msgspec
import pytest

from remediator.model.action import Action, Pause
from remediator.model.inputs import Performed
from remediator.model.outcome import Delivered, Refused
from remediator.model.policy import Allow, DeploymentPolicy, Mode, Policy
from remediator.model.time import MINUTE
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import PAGE, POLICY, RETRY

RULE = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(PAGE,))


PAUSE = Step("airflow.pause", undo_after=5 * MINUTE)


class Away(Timeline):
    """The deployment takes no changes for now: they wait in the outbox."""

    def _answer(self, action: Action) -> None:
        if action.kind != "airflow.retry":
            super()._answer(action)


class AwayLater(Timeline):
    """It takes the pause of a DAG; what takes that back waits in the outbox."""

    def _answer(self, action: Action) -> None:
        if not is_undo(action):
            super()._answer(action)


def is_undo(action: Action) -> bool:
    return isinstance(action.params, Pause) and not action.params.paused


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


PAUSING = msgspec.structs.replace(RULE, do=(PAUSE,), otherwise=())
TAKES_NOTHING_BACK = {
    "the ceiling is lowered": lowered(Mode.OBSERVE),
    "the deployment is removed": msgspec.structs.replace(POLICY, deployments={}),
}


def undo_on_its_way() -> tuple[AwayLater, Action]:
    line = AwayLater(RuleSetSpec((PAUSING,), POLICY)).answer_with("airflow.pause", Delivered(before="unpaused"))
    line.fails("load").at("6m")
    (undo,) = (one for one in line.actions if is_undo(one))
    return line, undo


@pytest.mark.parametrize("name", TAKES_NOTHING_BACK)
def test_an_undo_that_is_forbidden_meanwhile_is_not_done_and_is_told(name: str) -> None:
    line, undo = undo_on_its_way()
    line.activate(RuleSetSpec((PAUSING,), TAKES_NOTHING_BACK[name]))
    (cancel,) = (one for changes in line.changes for one in changes.cancels)
    assert cancel == (undo.id, "deployment 'prod' allows no changes any more: it stays as it is")
    line.give(Performed(undo.id, undo.key, undo.kind, Refused(cancel[1]))).at("10m")
    (told,) = (one for one in line.incidents.values() if one.rule == "self.undo_failed")
    assert cancel[1] in str(told)
    assert [one.id for one in line.actions if is_undo(one)] == [undo.id]
    assert not line.core.ledger.undoing


@pytest.mark.parametrize("ceiling", [Mode.ACT, Mode.APPROVE])
def test_an_undo_that_is_still_permitted_stays(ceiling: Mode) -> None:
    line, undo = undo_on_its_way()
    line.activate(RuleSetSpec((PAUSING,), lowered(ceiling))).activate(RuleSetSpec((), lowered(ceiling)))
    assert not [one for changes in line.changes for one in changes.cancels]
    line.give(Performed(undo.id, undo.key, undo.kind, Delivered(before="paused"))).at("10m")
    assert not line.core.ledger.undoing
    line.activate(RuleSetSpec((), lowered(Mode.OBSERVE)))
    assert not [one for changes in line.changes for one in changes.cancels]
