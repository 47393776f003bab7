"""Every outcome of the changes beyond the plain retry, against the stand-in over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.note import NOTE_LIMIT
from remediator.demo.fleet.faults import Kind
from remediator.model.action import (
    CHANGES_TARGET,
    Backfill,
    CancelBackfill,
    Guarantee,
    Mark,
    Pause,
    Pool,
    Reprocess,
    Rerun,
    Trigger,
)
from remediator.model.outcome import Delivered, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import DAY, HOUR, MINUTE, SECOND
from tests.unit.actions.airflow_changes import (
    CASES,
    FIRST,
    ME,
    NOW,
    PERSON,
    RUN,
    Case,
    Place,
    action,
    dated,
    failed_job,
    open_backfill,
    retry,
    standing,
    target,
)

GUARANTEES = {
    "airflow.retry": Guarantee.PROVABLE,
    "airflow.rerun": Guarantee.PROVABLE,
    "airflow.trigger": Guarantee.KEYED,
    "airflow.reprocess": Guarantee.PROVABLE,
    "airflow.backfill": Guarantee.PROVABLE,
    "airflow.cancel_backfill": Guarantee.KEYED,
    "airflow.pause": Guarantee.PROVABLE,
    "airflow.pool": Guarantee.PROVABLE,
    "airflow.mark": Guarantee.PROVABLE,
}


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with standing() as made:
        yield made


def test_every_change_of_airflow_has_an_executor_with_a_guarantee() -> None:
    made = executors({})
    assert {kind: executor.guarantee for kind, executor in made.items()} == GUARANTEES
    assert set(made) == {kind for kind in CHANGES_TARGET if kind.startswith("airflow.")}


class TestEveryChange:
    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_an_unknown_deployment_is_refused(self, place: Place, case: Case) -> None:
        wanted = case.prepare(place.state)
        executor = executors({})[wanted.kind]
        said = "no API is configured for deployment 'prod'"
        assert await executor.perform(wanted, uncertain=False) == Refused(said)
        assert (await executor.preview(wanted)).error == said

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_wrong_credentials_are_refused_unless_it_may_have_happened(self, place: Place, case: Case) -> None:
        wanted, wrong = case.prepare(place.state), {"password": Secret("guess")}
        assert await place.perform(wanted, **wrong) == Refused("HTTP 401: Invalid credentials")
        later = await place.perform(wanted, uncertain=True, **wrong)
        assert isinstance(later, RetryAfter)
        assert later.uncertain

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_a_viewer_changes_nothing(self, place: Place, case: Case) -> None:
        place.api.accounts.users["bob"] = ("pw", "viewer")
        outcome = await place.perform(case.prepare(place.state), username="bob", password=Secret("pw"))
        assert outcome == Refused("HTTP 403: Forbidden")

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_a_look_that_is_too_old_is_not_acted_on(
        self, place: Place, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remediator.actions.airflow.verdict.LOOK_VALID", -1)
        wanted = case.prepare(place.state)
        before = len(place.state.log)
        outcome = await place.perform(wanted)
        assert isinstance(outcome, RetryAfter), outcome
        assert not outcome.uncertain
        assert len(place.state.log) == before

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    async def test_a_preview_tells_and_changes_nothing(self, place: Place, case: Case) -> None:
        wanted = case.prepare(place.state)
        before = len(place.state.log)
        preview = await place.preview(wanted)
        assert preview.text
        assert not preview.error
        assert len(place.state.log) == before
        assert isinstance(await place.perform(wanted), Delivered)


class TestRerun:
    async def test_clears_what_succeeded_too_and_keeps_conf_and_notes(self, place: Place) -> None:
        run = failed_job(place.state)
        run.conf, run.note = {"day": 1}, PERSON
        run.tasks["start", -1].note = "ours to keep"

        outcome = await place.perform(action(Rerun("job", RUN, "bad data")))

        assert outcome == Delivered(ref=ME, detail="the dagrun is queued again")
        assert {task.state for task in run.tasks.values()} == {None}
        assert run.note == f"{PERSON}\nremediator:{ME} bad data"
        assert (run.conf, run.tasks["start", -1].note) == ({"day": 1}, "ours to keep")

    async def test_a_long_note_of_a_person_gives_way_at_its_end(self, place: Place) -> None:
        run = failed_job(place.state)
        run.note = "x" * 990
        await place.perform(action(Rerun("job", RUN, "bad data")))
        assert run.note.startswith("x" * 900)
        assert run.note.endswith(f"…\nremediator:{ME} bad data")
        assert len(run.note) == NOTE_LIMIT

    async def test_more_than_it_may_touch_is_refused_with_the_number(self, place: Place) -> None:
        failed_job(place.state)
        outcome = await place.perform(action(Rerun("job", RUN, max_affected=4)))
        assert outcome == Refused("it would touch 5 task instances, more than the 4 allowed", affects=5)
        assert place.state.clears == 0

    async def test_as_many_as_it_may_is_not_too_many(self, place: Place) -> None:
        failed_job(place.state)
        assert isinstance(await place.perform(action(Rerun("job", RUN, max_affected=5))), Delivered)

    @pytest.mark.parametrize("now", ["queued", "running"])
    async def test_a_dagrun_that_is_on_its_way_is_left_alone(self, place: Place, now: str) -> None:
        failed_job(place.state).state = now
        wanted = action(Rerun("job", RUN))
        assert await place.perform(wanted) == Refused(f"the dagrun is {now}: somebody was faster")
        unsure = await place.perform(wanted, uncertain=True)
        assert unsure == Unknown(f"the dagrun is {now}: somebody was faster, perhaps an earlier call of ours")
        assert place.state.clears == 0

    async def test_a_note_that_a_person_wrote_over_is_not_taken_for_no_call(self, place: Place) -> None:
        run = failed_job(place.state)
        wanted = action(Rerun("job", RUN))
        await place.perform(wanted)
        run.note = PERSON
        place.state.set_run_state(run, "success", NOW + HOUR)
        outcome = await place.perform(wanted, uncertain=True)
        assert isinstance(outcome, Unknown)
        assert place.state.clears == 1

    async def test_an_unknown_dagrun_is_refused(self, place: Place) -> None:
        assert await place.perform(action(Rerun("job", "nope"))) == Refused("the scheduler does not know job nope")

    async def test_colliding_clears_are_tried_again(self, place: Place) -> None:
        failed_job(place.state)
        place.fails_with(Kind.STATUS, "rerun", status=409, detail="Unique constraint violation")
        outcome = await place.perform(action(Rerun("job", RUN)))
        assert outcome == RetryAfter(5 * SECOND, "clears collided: HTTP 409: Unique constraint violation")

    async def test_preview(self, place: Place) -> None:
        failed_job(place.state)
        preview = await place.preview(action(Rerun("job", RUN)))
        assert preview.affects == 5
        assert preview.text == (
            f"clears 5 task instances of job {RUN}: start (success), part.load (failed), part.clean (success), "
            "part.check (upstream_failed), end (upstream_failed)"
        )


class TestTrigger:
    async def test_creates_the_dagrun_with_its_conf(self, place: Place) -> None:
        wanted = action(Trigger("job", "remediator__1", {"day": 1}, logical_date=FIRST, why="late data"))
        assert await place.perform(wanted) == Delivered(ref="remediator__1", detail="created, queued")
        run = place.state.runs["job", "remediator__1"]
        assert (run.conf, run.logical_date, run.note) == ({"day": 1}, FIRST, f"remediator:{ME} late data")
        assert await place.perform(wanted) == Delivered(ref="remediator__1", detail="it is there already, queued")

    async def test_of_two_at_once_the_second_is_done_as_well(self, place: Place) -> None:
        wanted = action(Trigger("job", "remediator__1"))
        outcomes = await asyncio.gather(*(place.perform(wanted) for _ in range(4)))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert len(place.state.runs) == 1

    async def test_another_dagrun_of_the_same_date_is_not_taken_for_ours(self, place: Place) -> None:
        dated(place.state, "points", 0, "success")
        outcome = await place.perform(action(Trigger("points", "remediator__1", logical_date=FIRST)))
        assert outcome == Refused("the DAG has another dagrun with this logical date")

    async def test_a_paused_dag_says_that_it_waits(self, place: Place) -> None:
        place.state.paused.add("job")
        outcome = await place.perform(action(Trigger("job", "remediator__1")))
        assert outcome == Delivered(
            ref="remediator__1", detail="the DAG is paused, so it stays queued until somebody resumes it"
        )
        assert (await place.preview(action(Trigger("job", "remediator__2")))).text.endswith("until somebody resumes it")

    async def test_a_dag_that_is_broken_or_unknown_is_refused(self, place: Place) -> None:
        place.state.broken.add("job")
        assert await place.perform(action(Trigger("job", "r"))) == Refused("the DAG job has import errors")
        assert await place.perform(action(Trigger("nope", "r"))) == Refused("the scheduler does not know the DAG nope")
        assert place.state.calls["trigger"] == 0

    async def test_a_conf_that_does_not_fit_is_not_quoted(self, place: Place) -> None:
        text = "Invalid input for param password: 'hunter2' is not of type 'integer'\n\nOn instance:\n    'hunter2'"
        place.fails_with(Kind.STATUS, "trigger", status=400, detail=text)
        outcome = await place.perform(action(Trigger("job", "r", {"password": "hunter2"})))
        assert outcome == Refused("HTTP 400: the conf does not fit the DAG's param password")

    async def test_preview(self, place: Place) -> None:
        preview = await place.preview(action(Trigger("job", "r1", logical_date=FIRST)))
        assert (preview.text, preview.affects) == ("creates the dagrun r1 of job for 2027-01-04T00:00:00Z", 5)


class TestReprocess:
    async def test_clears_what_is_there_and_creates_what_is_missing(self, place: Place) -> None:
        ran = [dated(place.state, "points", 0, "success"), dated(place.state, "points", 2, "failed")]
        outside = [dated(place.state, "points", -1, "failed"), dated(place.state, "points", 3, "failed")]
        ran[0].note = PERSON

        outcome = await place.perform(action(Reprocess("points", FIRST, FIRST + 3 * DAY, "bad data")))

        assert outcome == Delivered(ref=ME, detail="dagruns: 2 cleared, 1 created")
        assert [run.state for run in ran] == ["queued", "queued"]
        assert [run.state for run in outside] == ["failed", "failed"]
        assert ran[0].note == f"{PERSON}\nremediator:{ME} bad data"
        made = place.state.runs["points", "remediator__2027-01-05T00:00:00Z"]
        assert (made.logical_date, made.interval) == (FIRST + DAY, (FIRST + DAY, FIRST + DAY))

    async def test_a_created_dagrun_gets_the_interval_that_begins_there(self, place: Place) -> None:
        """Left to itself Airflow gives a dagrun that is made by hand the interval before."""
        outcome = await place.perform(action(Reprocess("intervals", FIRST, FIRST + 2 * DAY)))
        assert outcome == Delivered(ref=ME, detail="dagruns: 2 created")
        assert [run.interval for run in place.state.runs.values()] == [
            (FIRST, FIRST + DAY),
            (FIRST + DAY, FIRST + 2 * DAY),
        ]

    async def test_what_is_in_flight_is_left_alone(self, place: Place) -> None:
        dated(place.state, "points", 0, "success").state = "running"
        dated(place.state, "points", 1, "success")
        wanted = action(Reprocess("points", FIRST, FIRST + 2 * DAY))
        assert await place.perform(wanted) == Delivered(ref=ME, detail="dagruns: 1 cleared, 1 in flight left alone")

    async def test_an_interval_that_is_not_over_is_not_missing(self, place: Place) -> None:
        wanted = action(Reprocess("intervals", NOW // DAY * DAY - DAY, NOW + DAY))
        assert await place.perform(wanted) == Delivered(ref=ME, detail="dagruns: 1 created")

    async def test_a_dag_without_a_schedule_misses_nothing(self, place: Place) -> None:
        place.state.add_dag(place.state.dags["job"])
        run = place.state.add_run("job", "by hand", NOW - DAY, run_type="manual", logical_date=FIRST)
        place.state.set_run_state(run, "success", NOW - DAY)
        wanted = action(Reprocess("job", FIRST, FIRST + 3 * DAY))
        assert await place.perform(wanted) == Delivered(ref=ME, detail="dagruns: 1 cleared")

    async def test_a_range_without_intervals_is_refused(self, place: Place) -> None:
        outcome = await place.perform(action(Reprocess("job", FIRST, FIRST + DAY)))
        assert outcome == Refused("no data interval begins in the range")

    async def test_more_than_a_hundred_dagruns_are_refused(self, place: Place) -> None:
        outcome = await place.perform(action(Reprocess("points", FIRST - 101 * DAY, FIRST)))
        assert outcome == Refused("it would touch 101 dagruns, more than the 100 that one action may")
        assert not place.state.runs

    async def test_more_task_instances_than_it_may_touch_are_refused(self, place: Place) -> None:
        dated(place.state, "points", 0, "success")
        wanted = action(Reprocess("points", FIRST, FIRST + 2 * DAY, max_affected=3))
        assert await place.perform(wanted) == Refused(
            "it would touch 4 task instances, more than the 3 allowed", affects=4
        )
        assert (place.state.clears, len(place.state.runs)) == (0, 1)

    async def test_a_refusal_in_the_middle_is_unknown_and_says_how_far_it_came(self, place: Place) -> None:
        for day in range(3):
            dated(place.state, "points", day, "success")
        place.fails_with(Kind.STATUS, "rerun", status=403, detail="Forbidden", skip=1)
        wanted = action(Reprocess("points", FIRST, FIRST + 3 * DAY))
        assert await place.perform(wanted) == Unknown("1 of 3 dagruns, then HTTP 403: Forbidden")
        assert place.state.clears == 1

    async def test_a_person_who_ran_one_again_is_not_run_over(self, place: Place) -> None:
        run, _ = dated(place.state, "points", 0, "success"), dated(place.state, "points", 1, "success")
        wanted = action(Reprocess("points", FIRST, FIRST + 2 * DAY))
        run.queued_at = NOW + MINUTE
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Delivered(ref=ME, detail="dagruns: 1 cleared, 1 moved on left alone")

    async def test_what_was_done_stays_done_when_it_has_run(self, place: Place) -> None:
        run = dated(place.state, "points", 0, "success")
        wanted = action(Reprocess("points", FIRST, FIRST + DAY))
        await place.perform(wanted)
        place.state.set_run_state(run, "failed", NOW + HOUR)
        assert await place.perform(wanted, uncertain=True) == Delivered(ref=ME, detail="1 dagrun done")
        assert place.state.clears == 1

    async def test_pages_are_read_to_the_end(self, place: Place) -> None:
        for day in range(7):
            dated(place.state, "points", day, "success")
        wanted = action(Reprocess("points", FIRST, FIRST + 7 * DAY))
        assert await place.perform(wanted, page_size=2) == Delivered(ref=ME, detail="dagruns: 7 cleared")

    async def test_preview(self, place: Place) -> None:
        dated(place.state, "points", 0, "success")
        preview = await place.preview(action(Reprocess("points", FIRST, FIRST + 2 * DAY)))
        assert preview.affects == 4
        assert preview.text == (
            "clears 1 dagrun (scheduled__0) and creates 1 dagrun (remediator__2027-01-05T00:00:00Z) of points"
        )


class TestBackfill:
    async def test_runs_again_what_failed_and_keeps_its_conf(self, place: Place) -> None:
        failed, fine = dated(place.state, "points", 0, "failed"), dated(place.state, "points", 1, "success")
        failed.conf = {"day": 1}
        outcome = await place.perform(action(Backfill("points", FIRST, FIRST + 2 * DAY)))
        assert outcome == Delivered(ref="1", detail="backfill 1 created")
        assert [run.state for run in (failed, fine)] == ["queued", "success"]
        assert failed.conf == {"day": 1}
        assert place.state.run("points", "backfill__2027-01-06T00:00:00+00:00") is not None

    async def test_another_open_one_is_named(self, place: Place) -> None:
        open_backfill(place.state)
        outcome = await place.perform(action(Backfill("points", FIRST, FIRST + DAY)))
        assert outcome == Refused("backfill 1 of the DAG is still open")
        assert place.state.calls["create_backfill"] == 0

    async def test_one_that_somebody_opened_meanwhile_is_named(self, place: Place) -> None:
        place.fails_with(Kind.LATENCY, "create_backfill", seconds=0.2)
        task = await place.begun(
            action(Backfill("points", FIRST, FIRST + DAY)), until=lambda: place.state.calls["create_backfill"] == 1
        )
        open_backfill(place.state)
        assert await task == Refused("backfill 1 of the DAG is still open")

    async def test_the_same_range_from_before_is_not_taken_for_ours(self, place: Place) -> None:
        old = open_backfill(place.state)
        old.completed_at, old.last = NOW - HOUR, FIRST + DAY
        wanted = action(Backfill("points", FIRST, FIRST + DAY))
        assert await place.perform(wanted, uncertain=True) == Delivered(ref="2", detail="backfill 2 created")

    async def test_ours_is_found_although_it_is_over(self, place: Place) -> None:
        wanted = action(Backfill("points", FIRST, FIRST + DAY))
        await place.perform(wanted)
        place.state.backfills[1].completed_at = NOW + HOUR
        assert await place.perform(wanted, uncertain=True) == Delivered(ref="1", detail="backfill 1 found by its range")

    @pytest.mark.parametrize(
        ("wanted", "said"),
        [
            (Backfill("job", FIRST, FIRST), "422: job has a non-periodic schedule that does not support backfills"),
            (Backfill("nope", FIRST, FIRST), "404: Could not find dag nope"),
            (Backfill("points", NOW + DAY, NOW + 2 * DAY), "422: Backfill cannot be executed for future dates."),
        ],
    )
    async def test_what_airflow_refuses(self, place: Place, wanted: Backfill, said: str) -> None:
        assert await place.perform(action(wanted)) == Refused(f"HTTP {said}")
        assert (await place.preview(action(wanted))).error == f"HTTP {said}"

    async def test_a_locked_database_is_tried_again(self, place: Place) -> None:
        place.fails_with(Kind.STATUS, "create_backfill", status=503, detail="Database is locked.")
        outcome = await place.perform(action(Backfill("points", FIRST, FIRST + DAY)))
        assert outcome == RetryAfter(15 * SECOND, "HTTP 503: Database is locked.", uncertain=True)

    async def test_preview(self, place: Place) -> None:
        dated(place.state, "points", 0, "failed")
        dated(place.state, "points", 1, "success")
        preview = await place.preview(action(Backfill("points", FIRST, FIRST + DAY)))
        assert preview.text == "backfills 1 dagrun of points: 2027-01-04T00:00:00.000000Z"


class TestCancelBackfill:
    async def test_cancels_what_is_queued(self, place: Place) -> None:
        known = open_backfill(place.state)
        assert await place.perform(action(CancelBackfill("points", 1))) == Delivered(ref="1", detail="cancelled")
        assert known.completed_at is not None
        assert [run.state for run in place.state.runs.values()] == ["running", "failed"]

    async def test_one_that_is_over_is_done(self, place: Place) -> None:
        open_backfill(place.state).completed_at = NOW
        assert await place.perform(action(CancelBackfill("points", 1))) == Delivered(ref="1", detail="already over")
        assert place.state.calls["cancel_backfill"] == 0

    async def test_one_that_ended_meanwhile_is_done(self, place: Place) -> None:
        open_backfill(place.state)
        place.fails_with(Kind.STATUS, "cancel_backfill", status=409, detail="Backfill is already completed.")
        assert await place.perform(action(CancelBackfill("points", 1))) == Delivered(ref="1", detail="already over")

    async def test_another_dags_or_none_is_refused(self, place: Place) -> None:
        open_backfill(place.state)
        other = await place.perform(action(CancelBackfill("intervals", 1)))
        assert other == Refused("backfill 1 is of the DAG points")
        assert await place.perform(action(CancelBackfill("points", 9))) == Refused(
            "the scheduler does not know backfill 9"
        )
        assert place.state.calls["cancel_backfill"] == 0


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
        assert outcome == Unknown("an earlier call asked for it, and the DAG is unpaused")
        assert place.state.paused == set()

    async def test_what_others_asked_for_is_not_ours(self, place: Place) -> None:
        place.state.record(NOW, "patch_dag", "anna", "job", None, '{"is_paused": true, "method": "PATCH"}')
        place.state.record(NOW, "patch_dag", "admin", "job", None, '{"is_paused": false, "method": "PATCH"}')
        place.state.record(NOW, "patch_dag", "admin", "points", None, '{"is_paused": true, "method": "PATCH"}')
        place.state.record(NOW - HOUR, "patch_dag", "admin", "job", None, '{"is_paused": true, "method": "PATCH"}')
        outcome = await place.perform(action(Pause("job")), uncertain=True)
        assert outcome == Delivered(ref="job", detail="paused", before="unpaused")

    async def test_an_unknown_dag_is_refused(self, place: Place) -> None:
        assert await place.perform(action(Pause("nope"))) == Refused("the scheduler does not know the DAG nope")

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
        assert outcome == Unknown("an earlier call asked for 8 slots, and the pool has 6")
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


class TestMark:
    @pytest.mark.parametrize(("state", "below"), [("success", None), ("skipped", None)])
    async def test_marks_the_attempt_and_lets_go_on_what_waited(
        self, place: Place, state: str, below: str | None
    ) -> None:
        run = failed_job(place.state)
        load = run.tasks["part.load", -1]
        load.note = PERSON

        outcome = await place.perform(action(Mark("job", RUN, target(load), state, "by hand")))

        assert outcome == Delivered(ref=ME, detail=f"marked {state}", before="failed")
        assert (load.state, load.note) == (state, f"{PERSON}\nremediator:{ME} by hand")
        assert (run.tasks["part.check", -1].state, run.state) == (below, "queued")

    async def test_another_attempt_is_left_alone(self, place: Place) -> None:
        run = failed_job(place.state)
        load = run.tasks["part.load", -1]
        wanted = action(Mark("job", RUN, target(load), "success"))
        load.id = "another"
        assert await place.perform(wanted) == Refused("attempt moved on: part.load is failed at try 1")
        assert isinstance(await place.perform(wanted, uncertain=True), Unknown)
        assert place.state.calls["patch_task"] == 0

    async def test_failed_is_what_it_is(self, place: Place) -> None:
        load = failed_job(place.state).tasks["part.load", -1]
        outcome = await place.perform(action(Mark("job", RUN, target(load), "failed")))
        assert outcome == Delivered(detail="already failed", before="failed")
        assert place.state.calls["patch_task"] == 0

    async def test_preview(self, place: Place) -> None:
        load = failed_job(place.state).tasks["part.load", -1]
        preview = await place.preview(action(Mark("job", RUN, target(load), "success")))
        assert preview.text == "marks part.load (failed) success; what failed for it downstream runs"
        load.state = "running"
        assert (await place.preview(action(Mark("job", RUN, target(load), "success")))).error == (
            "attempt moved on: part.load is running at try 1"
        )


class TestRetryScopes:
    async def test_a_group_runs_again_with_what_succeeded_in_it_and_below(self, place: Place) -> None:
        run = failed_job(place.state)
        outcome = await place.perform(retry(run, "group"))
        assert outcome == Delivered(ref=ME, detail="cleared 4 task instances")
        assert {name: task.state for (name, _), task in run.tasks.items()} == {
            "start": "success",
            "part.load": None,
            "part.clean": None,
            "part.check": None,
            "end": None,
        }

    async def test_a_group_with_a_running_task_is_waited_for(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["part.clean", -1].state = "running"
        outcome = await place.perform(retry(run, "group"))
        assert isinstance(outcome, RetryAfter)
        assert outcome.after == 10 * SECOND
        assert place.state.clears == 0

    async def test_a_task_in_no_group_is_its_own(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["start", -1].state = "failed"
        outcome = await place.perform(retry(run, "group", task_id="start"))
        assert outcome == Delivered(ref=ME, detail="cleared 4 task instances")
        assert run.tasks["part.clean", -1].state == "success"

    async def test_the_dagrun_is_all_that_failed_in_it(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["part.clean", -1].state = "failed"
        outcome = await place.perform(retry(run, "dagrun"))
        assert outcome == Delivered(ref=ME, detail="cleared 4 task instances")
        assert run.tasks["part.clean", -1].note == f"remediator:{ME} lost connection"
        assert run.tasks["start", -1].state == "success"

    async def test_notes_on_all_that_is_touched_are_kept(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["part.check", -1].note = PERSON
        await place.perform(retry(run, "dagrun"))
        assert run.tasks["part.check", -1].note == f"{PERSON}\nremediator:{ME} lost connection"

    @pytest.mark.parametrize(("scope", "affects"), [("task", 3), ("group", 4), ("dagrun", 3)])
    async def test_the_schedulers_own_dry_run_bounds_it(self, place: Place, scope: str, affects: int) -> None:
        run = failed_job(place.state)
        said = f"it would touch {affects} task instances, more than the {affects - 1} allowed"
        assert await place.perform(retry(run, scope, affects - 1)) == Refused(said, affects=affects)
        assert place.state.clears == 0
        assert isinstance(await place.perform(retry(run, scope, affects)), Delivered)

    async def test_a_dry_run_that_cannot_be_read_is_refused(self, place: Place) -> None:
        run = failed_job(place.state)
        outcome = await place.perform(retry(run, "dagrun", 2), max_response_bytes=2_000)
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("the scheduler's dry run lists more than can be read")

    async def test_without_a_bound_the_scheduler_is_asked_once(self, place: Place) -> None:
        await place.perform(retry(failed_job(place.state)))
        assert place.state.calls["clear"] == 1

    async def test_preview(self, place: Place) -> None:
        preview = await place.preview(retry(failed_job(place.state), "group"))
        assert preview.affects == 4
        assert preview.text == (
            f"clears 4 task instances of job {RUN}: part.load (failed), part.clean (success), "
            "part.check (upstream_failed), end (upstream_failed)"
        )
