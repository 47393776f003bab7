"""What a yes to a proposal would issue: the very action that the engine issues then, read from saved states."""

from __future__ import annotations

import msgspec
import pytest

from remediator.engine.explain import live_of
from remediator.engine.explain_proposal import ASKED_ANEW, OTHERS, OVER, Foreseen, foresee
from remediator.engine.saved import encode_state
from remediator.model.action import CHANGES_TARGET, Action, Pool, Retry
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY
from remediator.model.incident import Proposal
from remediator.model.inputs import Pressed
from remediator.model.policy import Mode
from remediator.rules.index import RuleSet
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import POLICY
from tests.scenario.test_breakers import opened, question

RETRY = Step("airflow.retry", backoff=Backoff(0, jitter=0))
POOL = Step("airflow.pool", params={"pool": "loads", "slots": 8})


def rules(step: Step, **fields: object) -> RuleSetSpec:
    given: dict[str, object] = {"on": ("task.failed_finally",), "mode": Mode.APPROVE, "do": (step,), "line": 7}
    return RuleSetSpec((Rule("r", file="a.toml", **(given | fields)),), POLICY)  # type: ignore[arg-type]


def asked(step: Step, *tasks: str) -> tuple[Timeline, Proposal]:
    line = Timeline(rules(step))
    for task in tasks or ("load",):
        line.fails(task)
    line.at("20s")
    (proposal,) = (one for incident in line.incidents.values() for one in incident.proposals)
    return line, proposal


def seen(line: Timeline, proposal: Proposal, spec: RuleSetSpec | None = None) -> Foreseen:
    core = line.core
    states = {WORLD_KEY: core.world, LEDGER_KEY: core.ledger, CONDITIONS_KEY: core.conditions}
    states |= {key: state for key, state in core.states.items() if state is not None}
    live = live_of({key: encode_state(state) for key, state in states.items()})
    return foresee(line.rule_set(core.world.rule_set) if spec is None else RuleSet(spec), live, proposal)


def issued(line: Timeline, proposal: Proposal) -> Action:
    line.give(Pressed("ann", "approve", subject=proposal.id, key=proposal.key))
    (action,) = (one for changes in line.changes for one in changes.actions if one.kind in CHANGES_TARGET)
    return action


@pytest.mark.parametrize("step", [RETRY, POOL], ids=["retry", "pool"])
def test_a_yes_issues_what_was_foreseen(step: Step) -> None:
    line, proposal = asked(step)
    found = seen(line, proposal)
    assert (found.rule, found.file, found.line, found.mode, found.step) == ("r", "a.toml", 7, "approve", "do 1")
    assert (found.waiting, found.held_back, found.why_not) == (1, (), "")
    assert found.action == issued(line, proposal)
    assert isinstance(found.action.params, Retry if step is RETRY else Pool)


def test_looking_changes_nothing() -> None:
    line, proposal = asked(RETRY)
    before = {key: encode_state(state) for key, state in line.core.states.items() if state is not None}
    assert seen(line, proposal) == seen(line, proposal)
    assert {key: encode_state(state) for key, state in line.core.states.items() if state is not None} == before


def test_what_would_hold_it_back_is_named() -> None:
    line, proposal = asked(RETRY)
    line.give(Pressed("ann", "freeze"))
    assert [(one.name, one.verdict) for one in seen(line, proposal).held_back] == [("freeze", "wait")]


def test_another_step_by_now_is_asked_anew_and_an_answered_question_is_over() -> None:
    line, proposal = asked(RETRY)
    changed = seen(line, proposal, rules(msgspec.structs.replace(RETRY, max_attempts=9)))
    assert (changed.action, changed.why_not) == (None, ASKED_ANEW)
    line.give(Pressed("ann", "reject", subject=proposal.id, key=proposal.key))
    assert seen(line, proposal) == Foreseen(why_not=OVER)
    assert seen(line, msgspec.structs.replace(proposal, key=WORLD_KEY)) == Foreseen(why_not=OVER)


def test_a_change_that_cannot_be_made_says_why() -> None:
    line, proposal = asked(Step("airflow.pool", params={"pool": "{event.attributes.pool}", "slots": 8}))
    found = seen(line, proposal)
    assert found.action is None
    assert "is missing" in found.why_not


def test_a_breakers_question_names_its_rule_and_no_change() -> None:
    line = opened()
    found = seen(line, question(line))
    assert (found.rule, found.action, found.why_not) == ("r", None, OTHERS)
    assert found.waiting >= 5
