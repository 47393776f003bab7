"""The stand-in's v1 face against calls recorded from Airflow 2.11.2: same status, same fields and types, same texts."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_airflow_recorded import differences

from remediator.actions.airflow.log_text import tail
from remediator.actions.airflow.rows import error_text
from remediator.codecs.masking import mask
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import FleetState, PoolSize
from remediator.model.time import DAY, parse_instant

DATA = Path(__file__).parents[2] / "data/airflow"
CALLS = [json.loads(line) for line in (DATA / "rest_calls_2_11_2.ndjson").read_text().splitlines()]
NOW = parse_instant("2026-11-23T07:20:00Z")
RUN = "run-1"
LINEAR = (TaskSpec("pull", ("merge",), 1), TaskSpec("merge", ("publish",), 1), TaskSpec("publish", (), 1))
DAGS = (
    DagSpec("crm_sync", LINEAR, tags=("crm",)),
    DagSpec("partitions_load", (TaskSpec("load", ("total",), indexes=4), TaskSpec("total"))),
    DagSpec("daily", (TaskSpec("work"),), every=DAY),
)
STRANGERS = {"nobody": None, "wrong_password": ("admin", "wrong")}
HEALED = frozenset({"clear_again"})
MARKED = frozenset({"mark_again"})


def state_for(label: str) -> FleetState:
    """Everything failed; then what this call needs otherwise."""
    state = FleetState()
    for dag in DAGS:
        state.add_dag(dag)
    state.paused.add("daily")
    if label != "trigger":
        for dag_id, run_id in (("crm_sync", RUN), ("partitions_load", RUN), ("crm_sync", "run-2")):
            _fail(state, dag_id, run_id)
    if label in HEALED:
        for task in state.runs["crm_sync", RUN].tasks.values():
            task.state = None
    if label in MARKED:
        state.runs["crm_sync", "run-2"].tasks["pull", -1].state = "success"
    if label == "event_log":
        state.record(NOW, "api.patch_dag", "admin", "crm_sync", None, "{}")
    if label == "pool_endless":
        state.pools["endless"] = PoolSize("endless", -1)
    return state


def _fail(state: FleetState, dag_id: str, run_id: str) -> None:
    run = state.add_run(dag_id, run_id, NOW, run_type="manual", logical_date=NOW + len(state.runs), interval=(NOW, NOW))
    for task in run.tasks.values():
        first = not state.dags[dag_id].upstream(task.task_id)
        task.state = "failed" if first and task.map_index in (-1, 1, 2) else "success" if first else "upstream_failed"
        task.start_date = task.end_date = task.updated_at = NOW
        task.try_number = int(first)
    state.set_run_state(run, "failed", NOW)


@pytest.fixture
async def stand_in() -> AsyncIterator[tuple[FleetApi, str]]:
    api = FleetApi(FleetState(), lambda: NOW, clear_takes_s=0.0, api="v1")
    async with serving(api) as url:
        yield api, url


@pytest.mark.parametrize("call", CALLS, ids=[call["label"] for call in CALLS])
async def test_answers_as_airflow_2_did(stand_in: tuple[FleetApi, str], call: dict[str, Any]) -> None:
    api, url = stand_in
    api.state = state_for(call["label"])
    verb, path = call["request"].split(" ", 1)
    auth = STRANGERS.get(call["label"], ("admin", "admin"))

    async with httpx.AsyncClient(base_url=url, auth=auth) as http:
        answer = await http.request(verb, path, json=call["body"])

    assert answer.status_code == call["status"], answer.text
    if call["status"] < 400:
        assert differences(comparable(call, call["answer"]), comparable(call, answer.json())) == []
    else:
        assert error(answer.content) == error(json.dumps(call["answer"]).encode())


def comparable(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Of the tasks of a DAG, only how many there are: nobody reads more. A conf may hold anything."""
    if call["label"] == "tasks":
        return {"total_entries": answer["total_entries"]}
    return answer


def error(answer: bytes) -> str:
    """The text as remediator reads it; of a failed check of Airflow's own only how it begins, of a date only that."""
    said = error_text(answer).partition(" Failed validating")[0]
    return re.sub(r"logical date: '[^']*'", "logical date", said)


def test_the_end_of_a_log_of_airflow_2() -> None:
    text = tail((DATA / "log_2_11_2.txt").read_bytes(), mask, cut=False)
    lines = text.splitlines()
    assert not any(word in text for word in ("::group::", "*** ", "attempt=2.log", "{taskinstance.py"))
    assert "ConnectionError: connection reset by peer" in lines
    assert "07:17:48 ERROR Failed to execute job 6 for task pull (connection reset by peer; 18618)" in lines
    assert lines[-1] == "07:17:49 INFO 0 downstream tasks scheduled from follow-on schedule check"


def test_a_log_of_airflow_2_that_nobody_has_is_empty() -> None:
    text = (
        "worker-1\n INFO - ::group::Log message source details\n"
        "*** Could not read served logs: no route\n INFO - ::endgroup::\n"
    )
    assert tail(text.encode(), mask, cut=False) == ""
