"""Every outcome of pauses and pools, against the stand-in over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.demo.fleet.faults import Kind
from remediator.model.action import (
    Pause,
    Pool,
)
from remediator.model.outcome import Delivered, Outcome, Refused, Unknown
from remediator.model.time import HOUR, MINUTE
from tests.unit.actions.airflow_changes import (
    NOW,
    Place,
    action,
    standing,
)

UNDO = Pause("job", False, "undone", NOW)


async def perform(place: Place, pause: Pause) -> Outcome:
    return await place.perform(action(pause), api_version=place.api.api)


def logged(api: str) -> str:
    return "patch_dag" if api == "v2" else "api.patch_dag"


@pytest.fixture(params=["v2", "v1"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with standing(request.param) as made:
        yield made


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with standing() as made:
        yield made


class TestPause:
    async def test_pauses_and_resumes(self, place: Place) -> None:
        assert await place.perform(action(Pause("job"))) == Delivered(ref="job", detail="paused", before="unpaused")
        assert place.state.paused == {"job"}
        assert await place.perform(action(Pause("job", paused=False))) == Delivered(
            ref="job", detail="unpaused", before="paused"
        )
        assert place.state.paused == set()

    @pytest.mark.parametrize("uncertain", [False, True])
    async def test_what_a_person_did_already_is_theirs(self, place: Place, uncertain: bool) -> None:
        place.state.paused.add("job")
        outcome = await place.perform(action(Pause("job")), uncertain=uncertain)
        assert outcome == Delivered(ref="job", detail="already paused", before="paused")
        assert place.state.calls["patch_dag"] == 0

    async def test_a_person_who_takes_it_back_is_respected(self, place: Place) -> None:
        wanted = action(Pause("job"))
        await place.perform(wanted)
        place.state.paused.clear()
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Unknown("an earlier call may have done it, and the DAG is unpaused")
        assert place.state.paused == set()

    async def test_what_others_asked_for_is_not_ours(self, place: Place) -> None:
        place.state.record(NOW, "patch_dag", "anna", "job", None, '{"is_paused": true, "method": "PATCH"}')
        place.state.record(NOW, "patch_dag", "admin", "job", None, '{"is_paused": false, "method": "PATCH"}')
        place.state.record(NOW, "patch_dag", "admin", "points", None, '{"is_paused": true, "method": "PATCH"}')
        place.state.record(NOW - HOUR, "patch_dag", "admin", "job", None, '{"is_paused": true, "method": "PATCH"}')
        outcome = await place.perform(action(Pause("job")), uncertain=True)
        assert outcome == Delivered(ref="job", detail="paused", before="unpaused")

    async def test_without_the_event_log_nobody_knows(self, place: Place) -> None:
        place.fails_with(Kind.STATUS, "event_log", status=403, detail="Forbidden", times=2)
        outcome = await place.perform(action(Pause("job")), uncertain=True)
        assert outcome == Unknown("an earlier call may have done it, and the DAG is unpaused")
        place.state.paused.add("job")
        outcome = await place.perform(action(Pause("job")), uncertain=True)
        assert outcome == Delivered(ref="job", detail="already paused", before="")

    async def test_an_unknown_dag_is_refused(self, place: Place) -> None:
        assert await place.perform(action(Pause("nope"))) == Refused("the scheduler does not know the DAG nope")

    async def test_an_undo_is_made_if_nobody_changed_it_since(self, either: Place) -> None:
        either.state.record(NOW, logged(either.api.api), "anna", "job", None, '{"is_paused": false}')
        await perform(either, Pause("job"))
        outcome = await perform(either, UNDO)
        assert outcome == Delivered(ref="job", detail="unpaused", before="paused")

    @pytest.mark.parametrize("owner", ["anna", "admin"])
    async def test_an_undo_leaves_what_a_person_paused_after_us(self, either: Place, owner: str) -> None:
        await perform(either, Pause("job"))
        name = "paused" if either.api.api == "v1" else "patch_dag"
        for paused in ("false", "true"):
            either.state.record(NOW + MINUTE, name, owner, "job", None, f'{{"is_paused": {paused}}}')
        outcome = await perform(either, UNDO)
        assert isinstance(outcome, Refused)
        assert outcome.theirs
        assert outcome.reason.startswith(f"{owner} paused or resumed the DAG after us")
        assert either.state.paused == {"job"}

    async def test_an_undo_that_nobody_can_check_is_not_made(self, place: Place) -> None:
        await place.perform(action(Pause("job")))
        place.fails_with(Kind.STATUS, "event_log", status=403)
        outcome = await place.perform(action(UNDO))
        assert outcome == Refused("nobody can know whether somebody changed it since: the DAG is left paused")
        place.state.log.clear()
        assert await place.perform(action(UNDO)) == Refused("the event log lacks our change: the DAG is left paused")
        assert place.state.paused == {"job"}

    async def test_previews(self, place: Place) -> None:
        texts = [(await place.preview(action(Pause("job", paused)))).text for paused in (True, False)]
        assert texts == [
            "pauses job: what runs goes on, nothing new is started",
            "changes nothing: job is unpaused",
        ]


class TestPool:
    async def test_gives_it_its_slots_and_tells_what_it_had(self, place: Place) -> None:
        outcome = await place.perform(action(Pool("crm pool", 8)))
        assert outcome == Delivered(ref="crm pool", detail="8 slots", before="4")
        pool = place.state.pools["crm pool"]
        assert (pool.slots, pool.include_deferred) == (8, True)

    async def test_the_default_pool_needs_less(self, place: Place) -> None:
        assert await place.perform(action(Pool("default_pool", 64))) == Delivered(
            ref="default_pool", detail="64 slots", before="128"
        )

    async def test_another_size_than_expected_is_left_alone(self, place: Place) -> None:
        assert await place.perform(action(Pool("crm pool", 8, only_if=5))) == Refused("the pool has 4 slots, not 5")
        assert place.state.pools["crm pool"].slots == 4

    async def test_nothing_to_do(self, place: Place) -> None:
        outcome = await place.perform(action(Pool("crm pool", 4, only_if=2)))
        assert outcome == Delivered(ref="crm pool", detail="already 4 slots", before="4")
        assert place.state.calls["patch_pool"] == 0

    async def test_a_person_who_takes_it_back_is_respected(self, place: Place) -> None:
        wanted = action(Pool("crm pool", 8))
        await place.perform(wanted)
        place.state.pools["crm pool"].slots = 6
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Unknown("an earlier call may have given it 8 slots, and it has 6")
        assert place.state.pools["crm pool"].slots == 6

    async def test_without_a_precondition_nobody_knows_any_more_what_it_had(self, place: Place) -> None:
        wanted = action(Pool("crm pool", 8))
        await place.perform(wanted)
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Delivered(ref="crm pool", detail="8 slots", before="")

    async def test_out_of_bounds_or_unknown_is_refused(self, place: Place) -> None:
        outcome = await place.perform(action(Pool("crm pool", -5)))
        assert outcome == Refused("HTTP 422: body.slots: Input should be greater than or equal to -1")
        assert await place.perform(action(Pool("nope", 1))) == Refused("the scheduler does not know the pool nope")

    async def test_preview(self, place: Place) -> None:
        preview = await place.preview(action(Pool("crm pool", 8)))
        assert preview.text == "gives the pool crm pool 8 slots instead of 4 (0 in use, 0 queued)"
        assert preview.refused == ""
        unlike = await place.preview(action(Pool("crm pool", 8, only_if=5)))
        assert (unlike.text, unlike.refused) == (preview.text, "the pool has 4 slots, not 5")
