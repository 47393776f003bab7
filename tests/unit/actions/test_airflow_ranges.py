"""Every outcome of reprocessings and backfills, against the stand-in over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from remediator.actions.airflow.intervals import Interval, Seen, planned
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.verdict import SOON
from remediator.demo.fleet.faults import Kind
from remediator.demo.fleet.state import DagRun
from remediator.model.action import (
    Action,
    Backfill,
    CancelBackfill,
    Reprocess,
)
from remediator.model.outcome import Delivered, Refused, RetryAfter, Unknown
from remediator.model.time import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant
from tests.unit.actions.airflow_changes import (
    FIRST,
    ME,
    NOW,
    PERSON,
    Place,
    action,
    dated,
    open_backfill,
    standing,
    target,
)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with standing() as made:
        yield made


def wanted_for(run: DagRun) -> Action:
    """Its day again, because of its first task instance."""
    attempt = target(next(iter(run.tasks.values())))
    return action(Reprocess(run.dag_id, FIRST, FIRST + DAY, run_id=run.run_id, attempt=attempt))


def midnight(date: str) -> Instant:
    return parse_instant(f"{date}T00:00:00Z")


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

    async def test_the_failed_dagrun_that_it_is_for_is_waited_for(self, place: Place) -> None:
        run = dated(place.state, "points", 0, "failed")
        wanted = wanted_for(run)
        run.state = "running"
        assert await place.perform(wanted) == RetryAfter(SOON, f"dagrun {run.run_id} is still running")
        assert place.state.clears == 0
        run.state = "failed"
        assert await place.perform(wanted) == Delivered(ref=ME, detail="dagruns: 1 cleared")

    async def test_a_failed_dagrun_that_a_person_ran_again_is_not_waited_for(self, place: Place) -> None:
        run = dated(place.state, "points", 0, "failed")
        wanted = wanted_for(run)
        task = next(iter(run.tasks.values()))
        for run.state, task.state, task.try_number in (("running", "running", 2), ("success", "success", 2)):
            outcome = await place.perform(wanted)
            assert outcome == Refused(f"attempt moved on: {task.task_id} is {task.state} at try 2")
        assert place.state.clears == 0

    async def test_a_failed_dagrun_that_was_made_by_hand_is_reprocessed_though_its_interval_lies_before(
        self, place: Place
    ) -> None:
        made, before = FIRST + 10 * HOUR, (FIRST - DAY, FIRST)
        run = place.state.add_run("intervals", "by hand", NOW, run_type="manual", logical_date=made, interval=before)
        run.tasks["one", -1].state, run.tasks["one", -1].try_number = "failed", 1
        place.state.set_run_state(run, "failed", NOW)
        attempt = target(run.tasks["one", -1])
        wanted = Reprocess("intervals", made, made + 1, run_id=run.run_id, attempt=attempt)
        assert await place.perform(action(wanted)) == Delivered(ref=ME, detail="dagruns: 1 cleared")

    async def test_an_interval_that_is_not_over_is_not_missing(self, place: Place) -> None:
        wanted = action(Reprocess("intervals", NOW // DAY * DAY - DAY, NOW + DAY))
        assert await place.perform(wanted) == Delivered(ref=ME, detail="dagruns: 1 created")

    @pytest.mark.parametrize(
        ("upcoming", "over", "ends"),
        [
            ("2026-03-01 2026-04-01", "2026-01-01 2026-02-01", "2026-03-01"),
            ("2026-01-12 2026-01-13", "2026-01-08 2026-01-09", "2026-01-12"),
            ("2026-02-01 2026-03-01", "2026-01-01 2026-02-01", "2026-03-01"),
            ("2027-01-01 2027-02-01", "2026-01-01", "2026-02-01"),
        ],
        ids=["a month", "a weekend", "it comes next itself", "others may be between"],
    )
    def test_the_last_interval_ends_where_the_one_begins_that_is_not_over(
        self, upcoming: str, over: str, ends: str
    ) -> None:
        begin, end = upcoming.split()
        dag = DagRow("d", next_dagrun_data_interval_start=f"{begin}T00:00:00Z",
                     next_dagrun_data_interval_end=f"{end}T00:00:00Z")  # fmt: skip
        dates = tuple(midnight(date) for date in over.split())
        plan = planned(Seen(dag, dates=dates), action(Reprocess("d", dates[-1], dates[-1] + 1)))
        assert plan.create == (Interval(dates[-1], midnight(ends)),)

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
        asked = json.dumps({"dry_run": False, "note": f"remediator:{ME} bad data", "method": "POST"})
        place.state.record(NOW, "clear_dag_run", "admin", "points", run.run_id, asked)
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


def backfill_for(run: DagRun) -> Backfill:
    attempt = target(next(iter(run.tasks.values())))
    return Backfill(run.dag_id, FIRST, FIRST, "completed", run_id=run.run_id, attempt=attempt)


class TestBackfill:
    async def test_a_persons_backfill_of_the_same_range_is_not_ours(self, place: Place) -> None:
        wanted = action(Backfill("points", FIRST, FIRST + DAY))
        theirs = await place.client().changes.backfill(Backfill("points", FIRST, FIRST + DAY))
        assert await place.perform(wanted) == Refused(f"backfill {theirs.id} of the DAG is still open")
        found = await place.perform(wanted, uncertain=True)
        assert found == Delivered(ref=str(theirs.id), detail=f"backfill {theirs.id} found by its range")

    async def test_runs_again_what_failed_and_keeps_its_conf(self, place: Place) -> None:
        failed, fine = dated(place.state, "points", 0, "failed"), dated(place.state, "points", 1, "success")
        failed.conf = {"day": 1}
        outcome = await place.perform(action(Backfill("points", FIRST, FIRST + 2 * DAY)))
        assert outcome == Delivered(ref="1", detail="backfill 1 created")
        assert [run.state for run in (failed, fine)] == ["queued", "success"]
        assert failed.conf == {"day": 1}
        assert place.state.run("points", "backfill__2027-01-06T00:00:00+00:00") is not None

    async def test_the_failed_dagrun_that_it_is_for_must_end_first(self, place: Place) -> None:
        """Airflow's backfill leaves out what has not ended, and does not come back to it."""
        run = dated(place.state, "points", 0, "failed")
        wanted = action(backfill_for(run))
        run.state = "running"
        assert await place.perform(wanted) == RetryAfter(SOON, f"dagrun {run.run_id} is still running")
        assert place.state.calls["create_backfill"] == 0
        run.state = "failed"
        assert await place.perform(wanted) == Delivered(ref="1", detail="backfill 1 created")
        assert run.state == "queued"
        assert await place.perform(wanted, uncertain=True) == Delivered(ref="1", detail="backfill 1 found by its range")

    @pytest.mark.parametrize("uncertain", [False, True])
    async def test_what_a_person_healed_is_not_backfilled(self, place: Place, uncertain: bool) -> None:
        run = dated(place.state, "points", 0, "failed")
        wanted = action(backfill_for(run))
        for task in run.tasks.values():
            task.state, task.try_number = "success", 2
        run.state = "success"
        moved = "attempt moved on: one is success at try 2"
        unknown = Unknown(f"{moved}, perhaps by an earlier call of ours")
        assert await place.perform(wanted, uncertain=uncertain) == (unknown if uncertain else Refused(moved))
        assert place.state.calls["create_backfill"] == 0

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
        assert preview.affects == 2

    async def test_more_task_instances_than_allowed_are_refused_with_their_number(self, place: Place) -> None:
        wanted = Backfill("points", FIRST, FIRST + 2 * DAY, max_affected=5)
        outcome = await place.perform(action(wanted))
        assert outcome == Refused("it would touch 6 task instances, more than the 5 allowed", affects=6)
        assert place.state.calls["create_backfill"] == 0
        assert await place.perform(action(msgspec.structs.replace(wanted, max_affected=6))) == Delivered(
            ref="1", detail="backfill 1 created"
        )

    async def test_one_that_was_created_is_found_before_it_is_counted(self, place: Place) -> None:
        wanted = action(Backfill("points", FIRST, FIRST + 2 * DAY, max_affected=6))
        await place.perform(wanted)
        assert await place.perform(wanted, uncertain=True) == Delivered(ref="1", detail="backfill 1 found by its range")


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
