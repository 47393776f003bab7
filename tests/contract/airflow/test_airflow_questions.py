"""Surveys and log tails over every backend, and the stand-in's answers to them against calls recorded from 3.3.2."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from airflow_cases import DAG_ID, Airflow, clock
from test_airflow_recorded import differences

from remediator.actions.airflow.executors import executors
from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.actions.preview import PreviewQuestioner
from remediator.codecs.masking import mask
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.ills import ImportFault
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import FleetState
from remediator.model.action import Action, DryRun, LogTail, Rerun, Retry, RetryTarget, Survey
from remediator.model.inputs import Previewed, Surveyed, Tailed
from remediator.model.time import parse_instant
from tests.airflow.patient import answered
from tests.support.loopback import loopback_client

CALLS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data/airflow/survey_calls_3_3_2.ndjson").read_text().splitlines()
]
NOW = parse_instant("2026-11-22T07:20:00Z")
KILLED = next(call["answer"]["content"] for call in CALLS if call["label"] == "log_sigkill")
HEALTH = {"scheduler", "triggerer", "dag_processor"}


async def test_a_survey_has_every_part(either: Airflow) -> None:
    action = Action("s", "l", "world", "one", Survey(), 0, 0)
    (answer,) = await answered(SurveyExecutor({"one": either.client}, mask), [action], clock)
    assert isinstance(answer, Surveyed)
    assert not {one.type.partition(".")[0] for one in answer.findings} & {*HEALTH, "survey"}


async def test_the_end_of_a_failed_tries_log(either: Airflow) -> None:
    run_id = await either.failed_run()
    if either.state is not None:
        either.state.ills.logs["pull", 2] = [{"event": "ConnectionError: connection reset by peer"}]
    known, unknown = [await tail(either, run_id, task_id) for task_id in ("pull", "nobody")]
    assert (known.error, "ConnectionError: connection reset by peer" in known.text) == ("", True)
    assert (unknown.text, unknown.error.partition(":")[0]) == ("", "HTTP 404")


async def test_the_preview_of_a_retry_and_of_a_rerun_name_what_would_run_again(either: Airflow) -> None:
    run_id = await either.failed_run()
    row = await either.client.task_instance(DAG_ID, run_id, "pull", -1)
    assert row is not None
    target = RetryTarget("pull", row.try_number)
    retry, rerun, moved = [
        Action(f"p{number}", "l", "k", "one", DryRun(change), 0, 0)
        for number, change in enumerate(
            [
                Retry(DAG_ID, run_id, (target,)),
                Rerun(DAG_ID, run_id),
                Retry(DAG_ID, run_id, (msgspec.structs.replace(target, try_number=row.try_number + 7),)),
            ]
        )
    ]
    first, whole, late = await PreviewQuestioner(executors({"one": either.client})).ask([retry, rerun, moved], clock())
    for found in (first, whole, late):
        assert isinstance(found, Previewed)
        assert (found.error, found.affects > 0) == ("", True)
        assert f"of {DAG_ID} {run_id}: " in found.text
        assert ("pull (failed" if either.api == "v2" else "pull") in found.text.partition(": ")[2]
        assert bool(found.refused) == (found is late)
    after = await either.client.task_instance(DAG_ID, run_id, "pull", -1)
    assert after == row


async def tail(airflow: Airflow, run_id: str, task_id: str) -> Tailed:
    action = Action("t", "l", "k", "one", LogTail(DAG_ID, run_id, task_id, 2), 0, 0)
    (answer,) = await LogTailExecutor({"one": airflow.client}, mask).ask([action], clock())
    assert isinstance(answer, Tailed)
    return answer


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    state = FleetState()
    for dag_id, run_id, task_id, tries in (
        ("crm_sync", "manual__2026-11-22T06:56:06.476650+00:00", "pull", 2),
        ("killed_job", "manual__2026-11-22T07:13:05.223497+00:00", "killed", 1),
    ):
        state.add_dag(DagSpec(dag_id, (TaskSpec(task_id),)))
        state.add_run(dag_id, run_id, NOW).tasks[task_id, -1].try_number = tries
        state.ills.logs[task_id, tries] = KILLED[3:]
    state.ills.import_faults = [ImportFault("d99_broken.py", "Traceback\n")]
    api = FleetApi(state, lambda: NOW)
    headers = {"Authorization": f"Bearer {api.accounts.login('admin', 'admin')}"}
    async with serving(api) as url, loopback_client(url, headers=headers) as client:
        yield client


@pytest.mark.parametrize("call", CALLS, ids=[call["label"] for call in CALLS])
async def test_answers_as_airflow_did(http: httpx.AsyncClient, call: dict[str, Any]) -> None:
    verb, path = call["request"].split(" ", 1)
    lines = isinstance(call["answer"], str)
    answer = await http.request(verb, path, headers={"Accept": "application/x-ndjson" if lines else "application/json"})
    assert answer.status_code == call["status"], answer.text
    if not lines:
        assert differences(call["answer"], answer.json()) == []
        return
    recorded, said = (text.splitlines() for text in (call["answer"], answer.text))
    assert differences([json.loads(line) for line in recorded], [json.loads(line) for line in said]) == []
    assert [json.loads(line) for line in recorded[:3]] == [json.loads(line) for line in said[:3]]
