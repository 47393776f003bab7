"""What remediator relies on in Airflow's API, checked in the same way on the stand-in and on a real Airflow."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import pytest
from airflow_cases import BACKENDS, DAG_ID, LONG_DAG_ID, REAL, REAL_API, Airflow, clock

from remediator.actions.airflow.ending import IN_FLIGHT
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.routes import Clearing
from remediator.actions.airflow.rows import instant_of
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.model.action import Action, Look, Retry, RetryTarget, Sweep
from remediator.model.inputs import Looked, Swept
from remediator.model.outcome import Delivered, Outcome, Refused
from remediator.model.time import DAY, MINUTE, SECOND, format_instant
from remediator.model.truth import DagRunTruth, TaskTruth
from tests.airflow.patient import answered, connected, found, performed

BATCH = "/api/v2/dags/~/dagRuns/~/taskInstances/list"
ALL_TASKS = "/api/v2/dags/~/dagRuns/~/taskInstances"


async def look(airflow: Airflow, *run_ids: str) -> list[DagRunTruth]:
    actions = [Action(f"look-{run_id}", "l", "k", "one", Look(DAG_ID, run_id), 0, 0) for run_id in run_ids]
    answers = await answered(LookExecutor({"one": airflow.client}), actions, clock)
    assert all(isinstance(answer, Looked) for answer in answers), answers
    return [answer.truth for answer in answers if isinstance(answer, Looked) and answer.truth is not None]


async def failed_pull(airflow: Airflow, run_id: str) -> TaskTruth:
    (truth,) = await look(airflow, run_id)
    (pull,) = [task for task in truth.tasks if task.task_id == "pull"]
    assert pull.state == "failed"
    return pull


async def retry(airflow: Airflow, run_id: str, pull: TaskTruth, action_id: str) -> Outcome:
    target = RetryTarget("pull", pull.try_number, pull.map_index, pull.instance_id)
    params = Retry(DAG_ID, run_id, (target,), "lost connection")
    action = Action(action_id, "l", "k", "one", params, 0, 0)
    return await performed(RetryExecutor({"one": airflow.client}), action)


@pytest.mark.airflow
def test_a_real_airflow_is_among_the_backends() -> None:
    if "AIRFLOW_URL" not in os.environ:
        pytest.skip("NO AIRFLOW: set AIRFLOW_URL (AIRFLOW_USER, AIRFLOW_PASSWORD) to run this contract against it too")
    assert len(BACKENDS) == 2


@pytest.mark.airflow2
def test_a_real_airflow_2_is_among_the_backends() -> None:
    if "AIRFLOW_URL" not in os.environ or REAL_API != "v1":
        pytest.skip("NO AIRFLOW 2: set AIRFLOW_URL and AIRFLOW_API=v1 to run this contract against it too")
    assert REAL


class TestTokens:
    async def test_no_token(self, airflow: Airflow) -> None:
        async with connected(airflow.url) as http:
            answer = await http.get("/api/v2/dags/x/dagRuns/y")
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})

    async def test_not_a_token(self, airflow: Airflow) -> None:
        answer = await airflow.http.get("/api/v2/dags/x/dagRuns/y", headers={"Authorization": "Bearer nonsense"})
        assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})

    async def test_wrong_password(self, airflow: Airflow) -> None:
        answer = await airflow.http.post("/auth/token", json={"username": airflow.username, "password": "wrong"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid credentials"})

    async def test_health_needs_none(self, airflow: Airflow) -> None:
        async with connected(airflow.url) as http:
            answer = await http.get("/api/v2/monitor/health")
        assert answer.status_code == 200
        assert set(answer.json()) == {"metadatabase", "scheduler", "triggerer", "dag_processor"}

    async def test_the_server_says_its_time(self, either: Airflow) -> None:
        server = await found(either.client.server_time, "the server's time")
        assert server is not None
        assert abs(server - clock()) < MINUTE


class TestLook:
    async def test_a_failed_dagrun_beside_an_unknown_one(self, either: Airflow) -> None:
        run_id = await either.failed_run()
        truth, unknown = await look(either, run_id, "never-heard-of")
        assert unknown == DagRunTruth("one", DAG_ID, "never-heard-of", "")
        assert (truth.state, truth.complete) == ("failed", True)
        assert truth.ended_at is not None
        assert [(task.task_id, task.state, task.try_number, task.max_tries) for task in truth.tasks] == [
            ("merge", "upstream_failed", 0, 1),
            ("publish", "upstream_failed", 0, 1),
            ("pull", "failed", 2, 1),
        ]

    async def test_unknown_ids_are_404_in_the_schedulers_own_words(self, either: Airflow) -> None:
        client = either.client
        assert await found(lambda: client.dagrun("no-such-dag", "r"), "a dagrun") is None
        for index in (-1, 3):
            ask = partial(client.task_instance, DAG_ID, "no-such-run", "pull", index)
            assert await found(ask, "a task instance") is None

    async def test_null_asks_for_no_state(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        for states, expected in (([None], set()), (["failed", None], {"pull"}), ([], {"pull", "merge", "publish"})):
            answer = await airflow.http.post(BATCH, json={"dag_run_ids": [run_id], "state": states, "page_limit": 1000})
            assert answer.status_code == 200, answer.text
            assert {row["task_id"] for row in answer.json()["task_instances"]} == expected

    @pytest.mark.parametrize("body", [{"states": ["failed"]}, {"state": ["odd"]}, {"page_limit": -1}])
    async def test_a_body_that_is_not_understood_is_422(self, airflow: Airflow, body: dict[str, Any]) -> None:
        assert (await airflow.http.post(BATCH, json=body)).status_code == 422

    async def test_cursors_lead_through_all_rows_once(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            params = {"limit": "1", "order_by": "id", "cursor": cursor, "offset": str(len(seen))}
            answer = await airflow.http.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", params=params)
            page = answer.json()
            seen += [row["task_id"] for row in page["task_instances"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == ["merge", "publish", "pull"]

    async def test_changes_are_found_by_time(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        for bounds, expected in (
            ({"updated_at_gte": "2020-01-01T00:00:00Z"}, True),
            ({"updated_at_gte": "2099-01-01T00:00:00Z"}, False),
            ({"updated_at_lte": "2020-01-01T00:00:00Z"}, False),
        ):
            params = {"state": "failed", "limit": "100", "order_by": "-id", **bounds}
            tasks = (await airflow.http.get(ALL_TASKS, params=params)).json()["task_instances"]
            runs = (await airflow.http.get(f"/api/v2/dags/{DAG_ID}/dagRuns", params=params)).json()["dag_runs"]
            assert (run_id in {row["dag_run_id"] for row in tasks}) is expected
            assert (run_id in {row["dag_run_id"] for row in runs}) is expected


class TestSweep:
    async def test_finds_the_failed_dagrun(self, either: Airflow) -> None:
        since = clock() - 5 * SECOND
        run_id = await either.failed_run(format_instant(clock() - 102 * DAY))
        action = Action("s", "l", "world", "one", Sweep(since), 0, 0)
        (swept,) = await answered(SweepExecutor({"one": either.client}), [action], clock)
        assert isinstance(swept, Swept)
        assert since < swept.until <= clock()
        assert (DAG_ID, run_id) in {(ref.dag_id, ref.run_id) for ref in swept.dagruns}


class TestRetry:
    async def test_a_retry_happens_once_and_is_proven(self, either: Airflow) -> None:
        run_id = await either.failed_run()
        pull = await failed_pull(either, run_id)

        first = await retry(either, run_id, pull, "aaaa0001")
        again = await retry(either, run_id, pull, "aaaa0001")
        other = await retry(either, run_id, pull, "aaaa0002")

        assert first == Delivered(ref="aaaa0001", detail="cleared 3 task instances")
        assert again == Delivered(ref="aaaa0001", detail="found by its note")
        assert isinstance(other, Refused)
        now = await found(lambda: either.client.task_instance(DAG_ID, run_id, "pull", -1), "pull")
        assert now is not None
        assert now.id != pull.instance_id
        assert now.max_tries == 3
        assert now.note == "remediator:aaaa0001 lost connection"

    async def test_the_note_outlives_airflows_own_retries(self, either: Airflow) -> None:
        run_id = await either.failed_run()
        pull = await failed_pull(either, run_id)
        await retry(either, run_id, pull, "aaaa0003")

        async def failed_again() -> bool:
            row = await either.task(DAG_ID, run_id, "pull")
            return row["state"] == "failed" and row["try_number"] == 4

        await either.eventually(failed_again)
        assert await retry(either, run_id, pull, "aaaa0003") == Delivered(ref="aaaa0003", detail="found by its note")

    async def test_a_retry_at_the_end_of_a_dagrun_is_not_lost(self, either: Airflow) -> None:
        """What is cleared while the scheduler ends the dagrun would never run: the retry waits for that."""
        run_id = await either.trigger(DAG_ID)

        async def has_failed(try_number: int) -> bool:
            row = await found(lambda: either.client.task_instance(DAG_ID, run_id, "pull", -1), "pull")
            return row is not None and (row.state, row.try_number) == ("failed", try_number)

        await either.eventually(partial(has_failed, 2))
        outcome = await retry(either, run_id, await failed_pull(either, run_id), "aaaa0004")
        assert isinstance(outcome, Delivered)
        await either.eventually(partial(has_failed, 4))

    async def test_what_is_in_flight_and_when_it_was_looked_at(self, either: Airflow) -> None:
        client, run_id = either.client, await either.failed_run()
        assert await found(partial(client.count_in, DAG_ID, run_id, ("failed", "upstream_failed")), "the failed") == 3
        assert await found(partial(client.count_in, DAG_ID, run_id, IN_FLIGHT), "what is in flight") == 0
        run = await found(partial(client.dagrun, DAG_ID, run_id), "the dagrun")
        looked_at = instant_of(run.last_scheduling_decision) if run else None
        assert looked_at is not None
        assert abs(clock() - looked_at) < 10 * MINUTE  # a real one failed when this suite began
        long_run = await either.running_task()
        assert await found(partial(client.count_in, LONG_DAG_ID, long_run, IN_FLIGHT), "what is in flight") == 1

    async def test_a_second_clear_of_a_failure_is_empty(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        body = {"dag_run_id": run_id, "task_ids": ["pull"], "include_downstream": True, "note": "one"}
        first = (await airflow.clear(DAG_ID, **body)).json()
        second = (await airflow.clear(DAG_ID, **(body | {"note": "two"}))).json()
        assert [row["note"] for row in first["task_instances"]] == [None, None, None]
        assert (second["task_instances"], second["total_entries"]) == ([], 0)
        assert (await airflow.task(DAG_ID, run_id, "merge"))["note"] == "one"

    async def test_clears_at_once_have_one_winner(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        answers = await asyncio.gather(
            *(airflow.clear(DAG_ID, dag_run_id=run_id, only_failed=True, note=f"n{number}") for number in range(6))
        )
        won = [answer for answer in answers if answer.status_code == 200 and answer.json()["total_entries"]]
        lost = [answer for answer in answers if answer.status_code == 409]
        assert len(won) == 1
        assert all(answer.json()["detail"]["reason"] == "Unique constraint violation" for answer in lost)
        assert all(answer.status_code in (200, 409) for answer in answers)

    async def test_a_running_task_is_protected(self, airflow: Airflow) -> None:
        run_id = await airflow.running_task()
        before = await airflow.task(LONG_DAG_ID, run_id, "work")
        only_failed = await airflow.clear(LONG_DAG_ID, dag_run_id=run_id, task_ids=["work"], note="x")
        body = {"dag_run_id": run_id, "task_ids": ["work"], "only_failed": False, "prevent_running_task": True}
        all_states = await airflow.clear(LONG_DAG_ID, **body, note="x")
        assert (only_failed.status_code, only_failed.json()["total_entries"]) == (200, 0)
        assert all_states.status_code == 409
        assert all_states.json()["detail"].startswith("AirflowClearRunningTaskException")
        after = await airflow.task(LONG_DAG_ID, run_id, "work")
        assert (after["id"], after["note"]) == (before["id"], None)

    async def test_what_runs_is_not_cleared_by_a_clear_of_failures(self, either: Airflow) -> None:
        run_id = await either.running_task()
        before = await either.task(LONG_DAG_ID, run_id, "work")
        clearing = Clearing(LONG_DAG_ID, run_id, (RetryTarget("work", 1),))
        assert (await found(lambda: either.client.would_clear(clearing), "a dry run")).task_instances == ()
        assert (await either.client.changes.clear(clearing, "x")).task_instances == ()
        after = await either.task(LONG_DAG_ID, run_id, "work")
        assert (after["state"], after["max_tries"]) == (before["state"], before["max_tries"]) == ("running", 0)

    async def test_notes_have_a_limit_of_1000_characters(self, airflow: Airflow) -> None:
        run_id = await airflow.failed_run()
        fits = await airflow.clear(DAG_ID, dag_run_id=run_id, task_ids=["nope"], note="é" * 1000)
        over = await airflow.clear(DAG_ID, dag_run_id=run_id, task_ids=["nope"], note="é" * 1001)
        assert (fits.status_code, over.status_code) == (200, 422)
        assert over.json()["detail"][0]["type"] == "string_too_long"

    async def test_an_unknown_dagrun_or_dag_is_404(self, airflow: Airflow) -> None:
        unknown_run = await airflow.clear(DAG_ID, dag_run_id="nope")
        unknown_dag = await airflow.clear("no-such-dag", dag_run_id="nope")
        assert (unknown_run.status_code, unknown_run.json()["detail"]) == (
            404,
            f"Dag Run id nope not found in dag {DAG_ID}",
        )
        assert (unknown_dag.status_code, unknown_dag.json()["detail"]) == (
            404,
            "The Dag with ID: `no-such-dag` was not found",
        )
