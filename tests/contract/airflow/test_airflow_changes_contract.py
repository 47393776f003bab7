"""Every change of Airflow, performed in the same way on the stand-in and on a real Airflow, twice: one effect each."""

from __future__ import annotations

import time

from airflow_cases import DAG_ID, DAILY_DAG_ID, STAND_IN_DAILY, Airflow, clock

from remediator.actions.airflow.executors import executors
from remediator.actions.port import Preview
from remediator.model.action import (
    Action,
    Backfill,
    CancelBackfill,
    Change,
    Mark,
    Pause,
    Pool,
    Reprocess,
    Rerun,
    Retry,
    RetryTarget,
    Trigger,
)
from remediator.model.outcome import Delivered, Outcome, Refused, Unknown
from remediator.model.time import DAY, SECOND, Instant, format_instant, parse_instant
from tests.airflow.patient import found, performed

DAILY = DAILY_DAG_ID or STAND_IN_DAILY
POOL = "default_pool"
UNIQUE = "Unique constraint violation"
NO_SCHEDULE = ", missing dagruns are not created: API v1 tells no schedule"
NO_BACKFILLS = "API v1 has no backfills"


def action_of(params: Change, action_id: str = "") -> Action:
    return Action(action_id or f"id{time.time_ns()}", "lane", "key", "one", params, clock(), clock() + DAY)


async def perform(airflow: Airflow, action: Action, *, uncertain: bool = False) -> Outcome:
    return await performed(executors({"one": airflow.client})[action.kind], action, uncertain=uncertain)


async def preview(airflow: Airflow, params: Change) -> Preview:
    action = action_of(params)
    return await executors({"one": airflow.client})[action.kind].preview(action)


async def twice(airflow: Airflow, params: Change) -> tuple[Outcome, Outcome]:
    """The second is what a successor does that does not know of the first."""
    action = action_of(params)
    return await perform(airflow, action), await perform(airflow, action, uncertain=True)


async def target(airflow: Airflow, run_id: str) -> RetryTarget:
    row = await found(lambda: airflow.client.task_instance(DAG_ID, run_id, "pull", -1), "pull")
    assert row is not None
    return RetryTarget("pull", row.try_number, row.map_index, row.id)


class TestTrigger:
    async def test_a_chosen_id_makes_one_dagrun(self, either: Airflow) -> None:
        airflow = either
        run_id = f"remediator__{time.time_ns()}"
        first, again = await twice(airflow, Trigger(DAG_ID, run_id, {"day": 1}, why="late data"))
        assert first == Delivered(ref=run_id, detail="created, queued")
        assert isinstance(again, Delivered)
        assert (await airflow.dagrun(DAG_ID, run_id))["conf"] == {"day": 1}

    async def test_an_id_or_a_date_that_is_taken_is_409(self, either: Airflow) -> None:
        airflow = either
        date = format_instant(clock() - 101 * DAY)
        run_id = await airflow.trigger(DAG_ID, date)
        same_id = {"dag_run_id": run_id} if airflow.api == "v1" else {"dag_run_id": run_id, "logical_date": None}
        for body in (same_id, {"logical_date": date, "dag_run_id": f"{run_id}-2"}):
            answer = await airflow.http.post(airflow.at(f"dags/{DAG_ID}/dagRuns"), json=body)
            assert answer.status_code == 409
            said = answer.json()["detail"]
            assert said.endswith("already exists") if airflow.api == "v1" else said["reason"] == UNIQUE
        outcome = await perform(airflow, action_of(Trigger(DAG_ID, f"{run_id}-2", logical_date=parse_instant(date))))
        assert outcome == Refused("the DAG has another dagrun with this logical date")

    async def test_a_paused_dag_keeps_it_queued(self, either: Airflow) -> None:
        airflow = either
        run_id = f"remediator__{time.time_ns()}"
        await perform(airflow, action_of(Pause(DAG_ID)))
        try:
            outcome = await perform(airflow, action_of(Trigger(DAG_ID, run_id)))
            assert isinstance(outcome, Delivered)
            assert outcome.detail.startswith("the DAG is paused")
            assert await airflow.is_run(DAG_ID, run_id, "queued")
        finally:
            await perform(airflow, action_of(Pause(DAG_ID, paused=False)))

    async def test_an_unknown_dag(self, either: Airflow) -> None:
        airflow = either
        outcome = await perform(airflow, action_of(Trigger("no-such-dag", "r")))
        assert outcome == Refused("the scheduler does not know the DAG no-such-dag")
        body = {"dag_run_id": "r"} if airflow.api == "v1" else {"logical_date": None}
        answer = await airflow.http.post(airflow.at("dags/no-such-dag/dagRuns"), json=body)
        said = answer.json()["detail"].lower()
        assert (answer.status_code, said) == (404, "dag with dag_id: 'no-such-dag' not found")


class TestRerunAndReprocess:
    async def test_a_dagrun_is_cleared_once_and_its_note_proves_it(self, either: Airflow) -> None:
        airflow = either
        run_id = await airflow.failed_run()
        too_many = await perform(airflow, action_of(Rerun(DAG_ID, run_id, max_affected=2)))
        assert too_many == Refused("it would touch 3 task instances, more than the 2 allowed", affects=3)
        assert (await preview(airflow, Rerun(DAG_ID, run_id))).affects == 3

        first, again = await twice(airflow, Rerun(DAG_ID, run_id, "bad data", max_affected=3))
        other = await perform(airflow, action_of(Rerun(DAG_ID, run_id)))

        assert isinstance(first, Delivered)
        assert first.detail == "the dagrun is queued again"
        assert again == Delivered(ref=first.ref, detail="found by its note")
        assert isinstance(other, Refused)
        assert await airflow.asked("clear_dag_run", run_id=run_id) == 1
        assert (await airflow.dagrun(DAG_ID, run_id))["note"] == f"remediator:{first.ref} bad data"
        assert (await airflow.task(DAG_ID, run_id, "pull"))["note"] is None

    async def test_a_dagrun_of_the_range_is_cleared_once(self, either: Airflow) -> None:
        airflow = either
        blind = NO_SCHEDULE * (airflow.api == "v1")
        date = (clock() - 100 * DAY) // SECOND * SECOND
        run_id = await airflow.failed_run(format_instant(date))
        first, again = await twice(airflow, Reprocess(DAG_ID, date, date + SECOND, "bad data"))
        assert isinstance(first, Delivered)
        assert first.detail == f"dagruns: 1 cleared{blind}"
        assert again == Delivered(ref=first.ref, detail=f"1 dagrun done{blind}")
        assert await airflow.asked("clear_dag_run", run_id=run_id) == 1


class TestMarkAndScope:
    async def test_a_bound_then_a_mark(self, either: Airflow) -> None:
        airflow = either
        run_id = await airflow.failed_run()
        pull = await target(airflow, run_id)
        bounded = Retry(DAG_ID, run_id, (pull,), "x", "dagrun", max_affected=2)
        assert await perform(airflow, action_of(bounded)) == Refused(
            "it would touch 3 task instances, more than the 2 allowed", affects=3
        )
        assert (await preview(airflow, bounded)).affects == 3

        first, again = await twice(airflow, Mark(DAG_ID, run_id, pull, "success", "by hand"))

        assert isinstance(first, Delivered)
        assert (first.detail, first.before) == ("marked success", "failed")
        assert again == Delivered(ref=first.ref, detail="found by its note", before="failed")
        row = await airflow.task(DAG_ID, run_id, "pull")
        assert (row["state"], row["note"]) == ("success", f"remediator:{first.ref} by hand")
        assert (await target(airflow, run_id)).instance_id == pull.instance_id
        await airflow.eventually(lambda: airflow.is_run(DAG_ID, run_id, "success"))


class TestPauseAndPool:
    async def test_a_dag_is_paused_once_and_the_event_log_proves_it(self, either: Airflow) -> None:
        airflow = either
        before = await airflow.asked("patch_dag", dag_id=DAG_ID)
        try:
            first, again = await twice(airflow, Pause(DAG_ID))
            assert first == again == Delivered(ref=DAG_ID, detail="paused", before="unpaused")
            assert await airflow.asked("patch_dag", dag_id=DAG_ID) == before + 1
            action = action_of(Pause(DAG_ID, paused=False))
            assert isinstance(await perform(airflow, action), Delivered)
            await airflow.pause(DAG_ID, paused=True)
            assert isinstance(await perform(airflow, action, uncertain=True), Unknown)
        finally:
            await airflow.pause(DAG_ID, paused=False)

    async def test_a_pool_is_resized_once_and_put_back(self, either: Airflow) -> None:
        airflow = either
        row = await found(lambda: airflow.client.pool(POOL), "the pool")
        assert row is not None
        before = await airflow.asked("patch_pool")
        first, again = await twice(airflow, Pool(POOL, row.slots + 1, only_if=row.slots))
        assert first == again == Delivered(ref=POOL, detail=f"{row.slots + 1} slots", before=str(row.slots))
        assert await airflow.asked("patch_pool") == before + 1
        wrong = await perform(airflow, action_of(Pool(POOL, 5, only_if=4)))
        assert wrong == Refused(f"the pool has {row.slots + 1} slots, not 4")
        assert isinstance(await perform(airflow, action_of(Pool(POOL, row.slots))), Delivered)

    async def test_unknown_ones_are_refused(self, either: Airflow) -> None:
        for params in (Pause("no-such-dag"), Pool("no-such-pool", 1), Rerun(DAG_ID, "r")):
            outcome = await perform(either, action_of(params))
            assert isinstance(outcome, Refused)
            assert outcome.reason.startswith("the scheduler does not know")

    async def test_a_backfill_that_there_is_not_cannot_be_cancelled(self, either: Airflow) -> None:
        outcome = await perform(either, action_of(CancelBackfill(DAG_ID, 99999)))
        unknown = "the scheduler does not know backfill 99999"
        assert outcome == Refused(NO_BACKFILLS if either.api == "v1" else unknown)

    async def test_a_dag_without_a_schedule_cannot_be_backfilled(self, either: Airflow) -> None:
        airflow = either
        wanted = Backfill(DAG_ID, clock() - 9 * DAY, clock() - 8 * DAY)
        unscheduled = f"HTTP 422: {DAG_ID} has a non-periodic schedule that does not support backfills"
        said = NO_BACKFILLS if airflow.api == "v1" else unscheduled
        assert await perform(airflow, action_of(wanted)) == Refused(said)
        assert (await preview(airflow, wanted)).error == said


class TestSchedule:
    async def test_a_backfill_is_created_once_and_cancelled(self, daily_airflow: Airflow) -> None:
        airflow = daily_airflow
        since = _day(120)
        wanted = Backfill(DAILY, since, since + 40 * DAY, max_active=1)  # not over before it is cancelled
        assert (await preview(airflow, wanted)).text.startswith(f"backfills 41 dagruns of {DAILY}: ")

        first, again = await twice(airflow, wanted)
        assert isinstance(first, Delivered)
        assert again == Delivered(ref=first.ref, detail=f"backfill {first.ref} found by its range")
        other = await perform(airflow, action_of(Backfill(DAILY, since, since + DAY)))
        assert other == Refused(f"backfill {first.ref} of the DAG is still open")

        cancelled, twice_cancelled = await twice(airflow, CancelBackfill(DAILY, int(first.ref)))
        assert isinstance(cancelled, Delivered)
        assert isinstance(twice_cancelled, Delivered)
        rows = await found(lambda: airflow.client.backfills(DAILY), "the backfills")
        assert (rows[0].id, rows[0].completed_at is not None) == (int(first.ref), True)

    async def test_missing_dagruns_are_created_with_their_interval(self, daily_airflow: Airflow) -> None:
        airflow = daily_airflow
        since = _day(40)
        wanted = Reprocess(DAILY, since, since + 2 * DAY, "late data", max_affected=9)
        assert (await preview(airflow, wanted)).text.startswith("creates 2 dagruns")

        first, again = await twice(airflow, wanted)

        assert isinstance(first, Delivered)
        assert first.detail == "dagruns: 2 created"
        assert again == Delivered(ref=first.ref, detail="2 dagruns done")
        run_id = f"remediator__{format_instant(since + DAY).replace('.000000', '')}"
        run = (await airflow.http.get(f"/api/v2/dags/{DAILY}/dagRuns/{run_id}")).json()
        start, end = parse_instant(run["data_interval_start"]), parse_instant(run["data_interval_end"])
        assert (start, parse_instant(run["logical_date"])) == (since + DAY, since + DAY)
        assert end in (since + DAY, since + 2 * DAY)


def _day(ago: int) -> Instant:
    return clock() // DAY * DAY - ago * DAY
