"""What a person marked failed is noticed in the event log: at the stand-in and at a real one, by API v2 and v1."""

from __future__ import annotations

import time

import pytest
from airflow_cases import LONG_DAG_ID, Airflow, clock

from remediator.actions.airflow import marked
from remediator.actions.airflow.executors import executors
from remediator.model.action import Action, Retry, RetryTarget
from remediator.model.outcome import Refused
from remediator.model.time import DAY
from tests.airflow.patient import found, performed

RUNNING_TASK = "work"


@pytest.mark.parametrize("state", ["failed", "success"])
async def test_a_mark_is_logged_with_who_and_what(either: Airflow, state: str) -> None:
    run_id, began = await marked_by_hand(either, state)
    lines = await found(lambda: either.client.logged(marked.EVENTS, LONG_DAG_ID, began), "the event log")
    assert lines is not None
    (line,) = [one for one in lines if one.run_id == run_id]
    assert (line.event, line.task_id, line.owner) == (marked.TASK, RUNNING_TASK, either.username)
    row = await found(lambda: either.client.task_instance(LONG_DAG_ID, run_id, RUNNING_TASK, -1), RUNNING_TASK)
    assert row is not None
    wish = marked.of_task(row, lines)
    assert (wish is not None) is (state == "failed")


async def test_what_was_marked_failed_is_not_retried(either: Airflow) -> None:
    run_id, _ = await marked_by_hand(either, "failed")
    row = await found(lambda: either.client.task_instance(LONG_DAG_ID, run_id, RUNNING_TASK, -1), RUNNING_TASK)
    assert row is not None
    target = RetryTarget(RUNNING_TASK, row.try_number, row.map_index, row.id)
    wanted = Retry(LONG_DAG_ID, run_id, (target,), "x")
    action = Action(f"id{time.time_ns()}", "lane", "key", "one", wanted, clock(), clock() + DAY)
    outcome = await performed(executors({"one": either.client})[action.kind], action)
    assert isinstance(outcome, Refused), outcome
    assert outcome.theirs
    assert outcome.reason.startswith(f"{either.username} marked {RUNNING_TASK} failed at ")


async def marked_by_hand(airflow: Airflow, state: str) -> tuple[str, int]:
    """A dagrun whose running task was marked so, and a moment before that."""
    run_id, began = await airflow.running_task(), clock()
    await airflow.eventually(lambda: has_pid(airflow, run_id))
    path = airflow.at(f"dags/{LONG_DAG_ID}/dagRuns/{run_id}/taskInstances/{RUNNING_TASK}")
    dry = {"dry_run": False} if airflow.api == "v1" else {}
    answer = await airflow.http.patch(path, json={"new_state": state, **dry})
    assert answer.status_code == 200, answer.text
    return run_id, began


async def has_pid(airflow: Airflow, run_id: str) -> bool:
    """Airflow 2 writes 'running' once more with the process id of the task: a mark before that is lost."""
    return (await airflow.task(LONG_DAG_ID, run_id, RUNNING_TASK))["pid"] is not None
