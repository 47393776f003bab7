"""Retries of a task, a group and a whole dagrun, and their bounds, against the stand-in over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from remediator.model.action import Rerun, Retry
from remediator.model.outcome import Delivered, Refused, RetryAfter
from remediator.model.time import SECOND
from tests.unit.actions.airflow_changes import (
    ME,
    PERSON,
    RUN,
    Place,
    action,
    failed_job,
    retry,
    standing,
    target,
)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with standing() as made:
        yield made


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

    async def test_a_dot_in_an_id_makes_no_group(self, place: Place) -> None:
        run = failed_job(place.state)
        ungrouped = msgspec.structs.replace(target(run.tasks["part.load", -1]), group="")
        outcome = await place.perform(action(Retry(run.dag_id, run.run_id, (ungrouped,), scope="group")))
        assert outcome == Delivered(ref=ME, detail="cleared 3 task instances")
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

    async def test_what_must_never_run_again_is_not_cleared_along_with_others(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["end", -1].state, run.tasks["end", -1].try_number = "failed", 1
        wanted = retry(run)
        spared = msgspec.structs.replace(wanted, params=msgspec.structs.replace(wanted.params, never=("prod/job/end",)))
        said = "it would also run prod/job/end again, which is on the never-retry list ('prod/job/end')"
        assert await place.perform(spared) == Refused(said)
        assert place.state.clears == 0
        run.tasks["end", -1].state = "upstream_failed"
        assert isinstance(await place.perform(spared), Delivered)

    async def test_what_somebody_else_cleared_before_is_not_counted_as_ours(self, place: Place) -> None:
        run = failed_job(place.state)
        run.tasks["part.clean", -1].state = "failed"
        tasks = tuple(target(run.tasks[name, -1]) for name in ("part.clean", "part.load"))
        both = action(Retry(run.dag_id, run.run_id, tasks))
        run.tasks["part.clean", -1].state = "queued"
        run.tasks["part.clean", -1].id = "of a person's clear"
        outcome = await place.perform(both)
        assert isinstance(outcome, Delivered)
        assert outcome.left == ("part.clean",)
        again = await place.perform(both, uncertain=True)
        assert again == Delivered(ref=ME, detail="found by its note", left=("part.clean",))

    async def test_a_rerun_spares_what_must_never_run_again(self, place: Place) -> None:
        run = failed_job(place.state)
        outcome = await place.perform(action(Rerun("job", run.run_id, never=("*/start",))))
        assert isinstance(outcome, Refused)
        assert "prod/job/start" in outcome.reason
        assert place.state.clears == 0

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
            f"clears 4 task instances of job {RUN}: part.load (failed), part.check (upstream_failed), "
            "part.clean (success), end (upstream_failed, downstream)"
        )

    async def test_a_preview_names_what_was_meant_first_and_what_would_refuse_it(self, place: Place) -> None:
        run = failed_job(place.state)
        bounded = await place.preview(retry(run, "task", 1))
        assert bounded.text.endswith(
            ": part.load (failed), end (upstream_failed, downstream), part.check (upstream_failed, downstream)"
        )
        assert bounded.refused == "it would touch 3 task instances, more than the 1 allowed"
        wanted = retry(run)
        run.tasks["part.load", -1].try_number = 2
        assert (await place.preview(wanted)).refused == "attempt moved on: part.load is failed at try 2"
