"""The process is killed at every step of every change: before, in and after each of its calls. The target counts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.demo.fleet.faults import Kind
from remediator.model.outcome import Delivered
from tests.unit.actions.airflow_changes import CASES, Case, Place, fresh, standing

MORE_CALLS_THAN_ANY = 20
KINDS = {"in flight and lost": Kind.DEAF, "acted on": Kind.HANG}


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with standing() as made:
        yield made


async def killed(place: Place, case: Case, kind: Kind, number: int) -> bool:
    """Kill it while this call is out, then do it again as its successor. False if it has fewer calls than that."""
    place.api.state, place.api.spoiled = fresh(), 0
    wanted = case.prepare(place.state)
    place.fails_with(kind, "*", skip=number)
    task = await place.begun(wanted, until=lambda: place.api.spoiled > 0)
    if place.api.spoiled == 0:
        assert isinstance(await task, Delivered)
        return False
    task.cancel()
    place.api.faults.clear()

    outcome = await place.perform(wanted, uncertain=True)

    assert isinstance(outcome, Delivered), outcome
    assert outcome.before == case.before
    effects = case.effects(place)
    assert effects, "the target saw nothing"
    assert set(effects.values()) == {1}, effects
    return True


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_killed_at_each_call(place: Place, case: Case, kind: Kind) -> None:
    for number in range(MORE_CALLS_THAN_ANY):
        if not await killed(place, case, kind, number):
            assert number > 1, "a token and a look at least come before the change"
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_killed_before_its_outcome_is_kept(place: Place, case: Case) -> None:
    wanted = case.prepare(place.state)
    first = await place.perform(wanted)
    again = await place.perform(wanted, uncertain=True)
    assert isinstance(first, Delivered), first
    assert isinstance(again, Delivered), again
    assert first.ref == again.ref
    assert first.before == again.before == case.before
    assert set(case.effects(place).values()) == {1}


@pytest.mark.parametrize("kind", [Kind.CLOSE, Kind.GARBAGE, Kind.STATUS_AFTER])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_an_answer_lost_on_the_way_is_looked_up(place: Place, case: Case, kind: Kind) -> None:
    """Of each call that changes something the answer is lost once."""
    wanted = case.prepare(place.state)
    for route in ("rerun", "trigger", "create_backfill", "cancel_backfill", "patch_dag", "patch_pool", "patch_task"):
        place.fails_with(kind, route, status=502)
    place.fails_with(
        kind, "clear", status=502, skip=1 if wanted.kind == "airflow.retry" and case is not CASES["retry"] else 0
    )
    outcome = await place.perform(wanted)
    for _ in range(6):
        if isinstance(outcome, Delivered):
            break
        outcome = await place.perform(wanted, uncertain=True)
    assert isinstance(outcome, Delivered), outcome
    assert place.api.spoiled > 0
    assert set(case.effects(place).values()) == {1}
