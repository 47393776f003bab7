"""What a person marked failed is not healed, whichever way Airflow logs the marking."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from remediator.actions.airflow import marked, v1_answers
from remediator.actions.airflow.client import LOG_PAGES, LOG_READ
from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.rows import DagRunRow, TaskInstanceRow
from remediator.actions.airflow.session import Call
from remediator.demo.fleet.faults import Kind
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.action import Reprocess, Rerun, Retry
from remediator.model.outcome import Delivered, Refused, RetryAfter
from remediator.model.time import DAY, HOUR, MINUTE, SECOND, Instant, format_instant
from tests.unit.actions.airflow_changes import (
    FIRST,
    ME,
    NOW,
    RUN,
    Place,
    action,
    dated,
    failed_job,
    retry,
    standing,
    target,
)

ROW = TaskInstanceRow(
    "id",
    "part.load",
    "job",
    RUN,
    state="failed",
    try_number=1,
    start_date=format_instant(NOW - MINUTE),
    end_date=format_instant(NOW),
)


def line(
    event: str, at: Instant = NOW, *, task_id: str | None = "part.load", run_id: str = RUN, **asked: Any
) -> LogRow:
    return LogRow(format_instant(at), event, run_id, task_id, "ann", json.dumps(asked))


MARK = line("patch_task_instance", NOW - SECOND, new_state="failed")
THEIRS = {
    "the task": MARK,
    "its index": line("patch_task_instance", new_state="failed", map_index="-1"),
    "after it had failed": line("patch_task_instance", NOW + HOUR, new_state="failed"),
    "with what follows another": line(
        "patch_task_instance", NOW - SECOND, task_id="start", new_state="failed", include_downstream=True
    ),
    "its group": line("patch_task_group_instances", NOW - SECOND, task_id=None, new_state="failed", group_id="part"),
    "its dagrun": line("patch_dag_run", task_id=None, state="failed"),
    "its dagrun among others": line(
        "bulk_dag_runs",
        task_id=None,
        run_id="",
        actions=[{"action": "update", "entities": [{"dag_run_id": RUN, "state": "failed"}]}],
    ),
}
NOBODYS = {
    "before this try": line("patch_task_instance", NOW - 2 * MINUTE, new_state="failed"),
    "another index": line("patch_task_instance", new_state="failed", map_index="3"),
    "another task": line("patch_task_instance", task_id="end", new_state="failed"),
    "another dagrun": line("patch_task_instance", run_id="other", new_state="failed"),
    "well": line("patch_task_instance", new_state="success"),
    "only a note": line("patch_task_instance", note="look at this"),
    "what follows another, but not then": line(
        "patch_task_instance", NOW + HOUR, task_id="start", new_state="failed", include_downstream=True
    ),
    "the dagrun's note": line("patch_dag_run", task_id=None, note="hm"),
    "a broken line": LogRow(format_instant(NOW), "patch_task_instance", RUN, "part.load", "ann", "{"),
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_marking_is_a_wish(name: str) -> None:
    assert "ann marked " in str(marked.of_task(ROW, [THEIRS[name]]))


@pytest.mark.parametrize("name", NOBODYS)
def test_what_is_no_marking_of_this_try(name: str) -> None:
    assert marked.of_task(ROW, [NOBODYS[name]]) is None


def test_what_never_ran_has_its_start_from_the_marking() -> None:
    never = msgspec.structs.replace(ROW, start_date=ROW.end_date)
    assert marked.of_task(never, [MARK]) is not None
    assert marked.of_task(never, [line("patch_task_instance", NOW - HOUR, new_state="failed")]) is None


def test_a_dagrun_that_was_let_go_on_is_not_wanted_failed() -> None:
    failed = line("patch_dag_run", NOW, task_id=None, state="failed")
    again = line("patch_dag_run", NOW + SECOND, task_id=None, state="queued")
    assert marked.of_task(ROW, [again, failed]) is None
    assert marked.of_task(ROW, [failed, again]) is not None


def test_the_marking_of_a_dagrun_ends_with_its_next_queueing() -> None:
    run = DagRunRow(RUN, "job", "failed", queued_at=format_instant(NOW))
    assert marked.of_dagrun(run, [MARK]) is None
    assert marked.of_dagrun(run, [line("patch_task_instance", NOW + 1, new_state="failed")]) is not None
    assert marked.of_dagrun(run, [THEIRS["its dagrun"]]) is not None
    assert marked.of_dagrun(msgspec.structs.replace(run, state="success"), [THEIRS["its dagrun"]]) is None


def test_nobody_knows_without_the_log() -> None:
    assert marked.of_task(ROW, None) is None


# -- at the stand-in ----------------------------------------------------------------------------------------------


async def mark(place: Place, run: DagRun, task: TaskInstance) -> None:
    """A person marks the running try failed, by the API, as the web pages of Airflow 3 do."""
    task.state, task.start_date = "running", NOW - MINUTE
    path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}"
    await place.client().session.write("PATCH", path, body={"new_state": "failed"})


async def test_a_marked_try_is_not_cleared() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        await mark(place, run, run.tasks["part.load", -1])
        outcome = await place.perform(retry(run))
        assert isinstance(outcome, Refused)
        assert outcome.theirs
        assert "admin marked part.load failed at " in outcome.reason
        assert not place.state.clear_records


async def test_a_try_of_a_marked_dagrun_is_not_cleared() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        place.state.record(NOW, "patch_dag_run", "ann", "job", run.run_id, '{"state": "failed"}')
        for wanted in (retry(run), retry(run, "dagrun"), action(Rerun("job", run.run_id))):
            outcome = await place.perform(wanted)
            assert isinstance(outcome, Refused)
            assert outcome.reason.startswith("ann marked the dagrun failed")
        assert not place.state.clear_records


async def test_a_marked_dagrun_is_not_reprocessed_and_those_beside_it_are() -> None:
    async with standing() as place:
        marked_failed, failed = dated(place.state, "points", 0, "failed"), dated(place.state, "points", 1, "failed")
        place.state.record(NOW, "patch_dag_run", "ann", "points", marked_failed.run_id, '{"state": "failed"}')
        attempt = target(marked_failed.tasks["one", -1])
        for_it = Reprocess("points", FIRST, FIRST + 2 * DAY, run_id=marked_failed.run_id, attempt=attempt)
        outcome = await place.perform(action(for_it))
        assert isinstance(outcome, Refused)
        assert outcome.theirs
        assert outcome.reason.startswith("ann marked the dagrun failed")
        assert await place.perform(action(Reprocess("points", FIRST, FIRST + DAY))) == Refused(
            "nothing to do, 1 marked failed by a person left alone"
        )
        assert await place.perform(action(Reprocess("points", FIRST, FIRST + 2 * DAY))) == Delivered(
            ref=ME, detail="dagruns: 1 cleared, 1 marked failed by a person left alone"
        )
        assert [record.run_id for record in place.state.clear_records] == [failed.run_id]


async def test_what_nobody_marked_is_cleared_beside_what_somebody_did() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        load, clean = run.tasks["part.load", -1], run.tasks["part.clean", -1]
        clean.state = "failed"
        await mark(place, run, load)
        both = Retry("job", run.run_id, (target(load), target(clean)), "lost connection")
        outcome = await place.perform(action(both))
        assert isinstance(outcome, Delivered)
        assert (outcome.left, outcome.theirs) == (("part.load",), ("part.load",))
        assert (load.state, clean.state) == ("failed", None)
        whole = await place.perform(action(msgspec.structs.replace(both, scope="dagrun"), "b" * 24))
        assert isinstance(whole, Refused)


async def test_a_marking_is_found_below_hundreds_of_other_lines() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        place.state.record(NOW, "patch_task_instance", "ann", "job", run.run_id, '{"new_state": "failed"}', "part.load")
        for _ in range(350):
            place.state.record(NOW, "patch_task_instance", "ann", "job", "other", '{"new_state": "failed"}', "end")
        outcome = await place.perform(retry(run))
        assert isinstance(outcome, Refused)
        assert outcome.theirs


async def test_more_lines_than_can_be_looked_through_leave_it_to_people() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        for _ in range(LOG_READ * LOG_PAGES + 1):
            place.state.record(NOW, "patch_task_instance", "ann", "job", "other", '{"new_state": "failed"}', "end")
        outcome = await place.perform(retry(run))
        assert isinstance(outcome, Refused)
        assert (outcome.theirs, "is not known" in outcome.reason) == (False, True)
        assert not place.state.clear_records


async def test_a_log_that_may_not_be_read_keeps_nothing_from_being_healed() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        place.fails_with(Kind.STATUS, "event_log", status=403)
        assert isinstance(await place.perform(retry(run)), Delivered)


async def test_a_log_that_cannot_be_read_now_is_asked_again() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        place.fails_with(Kind.STATUS, "event_log", status=503, times=9)
        assert isinstance(await place.perform(retry(run), read_tries=1), RetryAfter)
        assert not place.state.clear_records


# -- of Airflow 2 -------------------------------------------------------------------------------------------------

FORM = {"past": "false", "future": "false", "upstream": "false", "downstream": "false"}
OF_V1: dict[str, tuple[dict[str, Any], bool]] = {
    "the API": ({"event": "api.patch_task_instance", "task_id": "part.load", "extra": {"new_state": "failed"}}, True),
    "several by the API": (
        {"event": "api.post_set_task_instances_state", "extra": {"task_id": "part.load", "new_state": "failed"}},
        True,
    ),
    "the web pages": ({"event": "failed", "task_id": "part.load", "extra": FORM}, True),
    "its index on the web pages": (
        {"event": "failed", "task_id": "part.load", "extra": {**FORM, "map_index": "-1"}},
        True,
    ),
    "another index on the web pages": (
        {"event": "failed", "task_id": "part.load", "extra": {**FORM, "map_index": "3"}},
        False,
    ),
    "a group on the web pages": ({"event": "failed", "extra": {**FORM, "group_id": "part"}}, True),
    "a task that failed": ({"event": "failed", "task_id": "part.load", "extra": {"host_name": "w1"}}, False),
    "the dagrun by the API": ({"event": "api.update_dag_run_state", "extra": {"state": "failed"}}, True),
    "the dagrun on the web pages": ({"event": "dagrun_failed", "extra": {"confirmed": "true"}}, True),
    "what would be marked": ({"event": "dagrun_failed", "extra": {"confirmed": "false"}}, False),
}


@pytest.mark.parametrize("name", OF_V1)
def test_how_airflow_2_logs_a_marking(name: str) -> None:
    said, is_theirs = OF_V1[name]
    row = {
        "when": format_instant(NOW - SECOND),
        "run_id": RUN,
        "owner": "ann",
        **said,
        "extra": json.dumps(said["extra"]),
    }
    answer = json.dumps({"event_logs": [row], "total_entries": 1}).encode()
    shown = msgspec.json.decode(v1_answers.as_v2(Call("GET", "/api/v2/eventLogs"), answer))["event_logs"]
    assert (marked.of_task(ROW, msgspec.convert(shown, list[LogRow])) is not None) is is_theirs
