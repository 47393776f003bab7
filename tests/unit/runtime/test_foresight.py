"""What a yes would do, asked of a target that answers, one that never does, and where nobody can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from remediator.actions.port import Executor, Preview
from remediator.engine.saved import encode_state
from remediator.model.action import Action, Guarantee
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY
from remediator.model.incident import Proposal
from remediator.model.outcome import Outcome, Refused
from remediator.model.policy import Mode
from remediator.model.time import HOUR, MILLISECOND
from remediator.rules.spec import Rule, RuleSetSpec, Step, encode_rule_set
from remediator.runtime.foresight import Foresight
from remediator.runtime.surface_rules import Explainer
from remediator.store.memory import MemoryStore
from remediator.store.port import StepCommit
from remediator.testing.timeline import START, Timeline
from tests.scenario.test_brakes import POLICY

SPEC = RuleSetSpec(
    (Rule("r", on=("task.failed_finally",), mode=Mode.APPROVE, do=(Step("airflow.retry"),)),), POLICY
)  # fmt: skip


class Told:
    """An executor of an endpoint that answers at once, or never."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked: list[Action] = []

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        return Refused("nobody performs here")

    async def preview(self, action: Action) -> Preview:
        self.asked.append(action)
        if not self.answers:
            await asyncio.Event().wait()
        return Preview("clears 2 task instances", 2, "too many")


class Asked:
    """A store in which one proposal waits."""

    def __init__(self, store: MemoryStore, proposal: Proposal) -> None:
        self.proposal = proposal
        self.explainer = Explainer(store, lambda event, topic: ("", ()))

    async def preview(self, executors: Mapping[str, Executor]) -> Any:
        return (await Foresight(self.explainer, executors, 20 * MILLISECOND).view(self.proposal))["preview"]


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    line = Timeline(SPEC).fails("load").at("20s")
    (proposal,) = (one for incident in line.incidents.values() for one in incident.proposals)
    store = MemoryStore(clock=lambda: START)
    await store.open()
    core = line.core
    states = {WORLD_KEY: core.world, LEDGER_KEY: core.ledger, CONDITIONS_KEY: core.conditions}
    states |= {key: state for key, state in core.states.items() if state is not None}
    await store.put_rule_set(core.world.rule_set, encode_rule_set(SPEC))
    position = await store.append([entry.input for entry in line.journal], line.now)
    lease = await store.acquire_lease("me", HOUR)
    assert lease is not None
    saved = {key: encode_state(one) for key, one in states.items()}
    await store.commit_step(lease, StepCommit(position, line.now, saved))
    yield Asked(store, proposal)
    await store.close()


async def test_the_targets_answer_is_shown(asked: Asked) -> None:
    told = Told(answers=True)
    found = await asked.preview({"airflow.retry": told})
    assert found == {"text": "clears 2 task instances", "affects": 2, "refused": "too many", "error": ""}
    (action,) = told.asked
    assert (action.kind, action.target) == ("airflow.retry", "prod")


async def test_a_target_that_never_answers_is_given_up(asked: Asked) -> None:
    found = await asked.preview({"airflow.retry": Told(answers=False)})
    assert (found["text"], found["error"]) == ("", "prod did not answer within 20ms")


async def test_where_nobody_performs_it_nobody_can_be_asked(asked: Asked) -> None:
    assert (await asked.preview({}))["error"] == "nothing here performs airflow.retry"
