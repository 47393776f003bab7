"""What holds for every change, and every outcome of reruns, triggers and marks, against the stand-in over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.note import NOTE_LIMIT
from remediator.actions.airflow.verdict import SOON
from remediator.demo.fleet.faults import Kind
from remediator.model.action import (
    CHANGES_TARGET,
    Guarantee,
    Mark,
    Rerun,
    Trigger,
)
from remediator.model.outcome import Delivered, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import HOUR, SECOND
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
    async def test_what_stood_still_between_its_look_and_the_call_is_not_sent(
        self, place: Place, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remediator.actions.airflow.verdict.SEND_VALID", -1)
        wanted = case.prepare(place.state)
        before = len(place.state.log)
        outcome = await place.perform(wanted)
        assert isinstance(outcome, RetryAfter), outcome
        assert "too old" in outcome.reason
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
        run = failed_job(place.state)
        run.state, run.tasks["start", -1].state = now, "running"
        wanted = action(Rerun("job", RUN))
        for uncertain in (False, True):
            outcome = await place.perform(wanted, uncertain=uncertain)
            assert outcome == Refused(f"the dagrun is {now}: somebody was faster")
        assert place.state.clears == 0

    async def test_a_dagrun_that_still_ends_is_waited_for_and_one_that_moved_on_is_not(self, place: Place) -> None:
        run = failed_job(place.state)
        task = run.tasks["part.load", -1]
        wanted = action(Rerun("job", RUN, attempt=target(task)))
        run.state = "running"
        assert await place.perform(wanted) == RetryAfter(SOON, "the dagrun is still running")
        task.state, task.try_number = "running", 2
        moved = Refused("attempt moved on: part.load is running at try 2")
        assert await place.perform(wanted) == moved
        task.state, run.state = "success", "success"
        assert isinstance(await place.perform(wanted), Refused)
        assert place.state.clears == 0
        task.state, task.try_number, run.state = "failed", 1, "failed"
        assert isinstance(await place.perform(wanted), Delivered)

    async def test_a_note_that_a_person_wrote_over_is_not_taken_for_no_call(self, place: Place) -> None:
        run = failed_job(place.state)
        wanted = action(Rerun("job", RUN))
        await place.perform(wanted)
        run.note = PERSON
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Unknown("the dagrun is queued, queued again since an earlier call of ours")
        place.state.set_run_state(run, "success", NOW + HOUR)
        outcome = await place.perform(wanted, uncertain=True)
        assert outcome == Unknown("the dagrun is success, queued again since an earlier call of ours")
        assert place.state.clears == 1

    async def test_without_the_event_log_the_clock_has_to_do(self, place: Place) -> None:
        run = failed_job(place.state)
        place.fails_with(Kind.STATUS, "event_log", status=403, detail="Forbidden", times=2)
        assert isinstance(await place.perform(action(Rerun("job", RUN)), uncertain=True), Delivered)
        run.note = PERSON
        assert isinstance(await place.perform(action(Rerun("job", RUN)), uncertain=True), Unknown)

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
            f"clears 5 task instances of job {RUN}: part.load (failed), end (upstream_failed), "
            "part.check (upstream_failed), part.clean (success), start (success)"
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
