"""The stand-in against calls recorded from Airflow 3.3.2: same status, same fields with the same types, same texts.

One name is not as it was recorded: long_job's task had another.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import BackfillRecord, FleetState, PoolSize
from remediator.model.time import DAY, parse_instant
from tests.support.loopback import loopback_client

RECORDED = ("rest_calls_3_3_2.ndjson", "change_calls_3_3_2.ndjson")
CALLS = [
    json.loads(line)
    for name in RECORDED
    for line in (Path(__file__).parents[2] / "data/airflow" / name).read_text().splitlines()
]
NOW = parse_instant("2026-11-22T07:20:00Z")
CRM = "manual__2026-11-22T06:56:06.476650+00:00"
OTHER_CRM = "manual__2026-11-22T06:51:59.129844+00:00"
LINEAR = (TaskSpec("pull", ("merge",), 1), TaskSpec("merge", ("publish",), 1), TaskSpec("publish", (), 1))
DAGS = (
    DagSpec("crm_sync", LINEAR),
    DagSpec("partition_load", (TaskSpec("load", ("total",), indexes=5), TaskSpec("total"))),
    DagSpec("long_job", (TaskSpec("crunch"),)),
    DagSpec("schema_drift", (TaskSpec("parse", ("store",)), TaskSpec("store"))),
    DagSpec("killed_job", (TaskSpec("killed"),)),
    DagSpec("branchy", (TaskSpec("fail_fast"),)),
    DagSpec("manual_export", (TaskSpec("export"),)),
    DagSpec("heartbeat_etl", (TaskSpec("beat"),), tags=("tier3",)),
    DagSpec("daily_revenue", (TaskSpec("day"),), every=DAY),
)
RUNS = (
    ("crm_sync", CRM),
    ("crm_sync", OTHER_CRM),
    ("partition_load", "manual__2026-11-22T06:51:59.209002+00:00"),
    ("schema_drift", "manual__2026-11-22T06:51:59.171500+00:00"),
    ("schema_drift", "race-schema_drift-1795331118"),
    ("schema_drift", "race-schema_drift-1795331570"),
    ("killed_job", "manual__2026-11-22T06:51:59.263396+00:00"),
    ("branchy", "manual__2026-11-22T06:51:59.242473+00:00"),
)
ALREADY_CLEARED = {"clear_again_immediately"}
RUNNING = {
    "clear_running_only_failed",
    "clear_running_prevent",
    "clear_running",
    "trigger_dup_id",
    "patch_ti_failed",
} | {"patch_ti_success"}
SUCCEEDED = {"patch_ti_success_again", "patch_dry"}
OPEN_BACKFILLS = {"bf_dup": 1, "bf_get": 1, "bf_list": 1, "bf_cancel": 3}
JANUARY = tuple(parse_instant(f"2026-01-{day:02}T00:00:00Z") for day in range(1, 6))
ANONYMOUS = {"trig_401": "", "trig_401_bad": "Bearer nonsense"}


def state_for(label: str) -> FleetState:
    """Everything failed, as it was when most calls were recorded; then what this call needs otherwise."""
    state = FleetState()
    for dag in DAGS:
        state.add_dag(dag)
    for dag_id, run_id in RUNS:
        _fail(state, dag_id, run_id)
    if label in ALREADY_CLEARED:
        for instance in state.runs["crm_sync", CRM].tasks.values():
            instance.state = None
    if label in RUNNING | SUCCEEDED:
        run = state.add_run("long_job", "hs-run-001", NOW, run_type="manual")
        state.begin_try(run.tasks["crunch", -1], NOW)
        run.tasks["crunch", -1].state = "success" if label in SUCCEEDED else "running"
        state.set_run_state(run, "running", NOW)
    state.pools["crm_pool"] = PoolSize("crm_pool", 2, "d")
    if label == "trig_dup_logical_date":
        state.add_run("manual_export", "first", NOW, logical_date=parse_instant("2026-11-01T00:00:00Z"))
    if label.startswith("bf_"):
        _prepare_backfills(state, label)
    for event in ("post_clear_task_instances",) * 2:
        state.record(NOW, event, "admin", "crm_sync", CRM, "{}")
    return state


def _prepare_backfills(state: FleetState, label: str) -> None:
    """The third of January failed, if there was a backfill before; one is open where the recording says so."""
    for date in JANUARY if label == "bf_dry_failed" else ():
        run = state.add_run("daily_revenue", f"backfill__{date}", NOW, run_type="backfill", logical_date=date)
        state.set_run_state(run, "failed" if date == JANUARY[2] else "success", NOW)
    number = OPEN_BACKFILLS.get(label, 3)
    known = BackfillRecord(number, "daily_revenue", JANUARY[0], JANUARY[4], "none", 2, {"hs": "BF1"}, NOW, NOW)
    known.completed_at = None if label in OPEN_BACKFILLS else NOW
    state.backfills[number] = known


def _fail(state: FleetState, dag_id: str, run_id: str) -> None:
    run = state.add_run(dag_id, run_id, NOW, run_type="manual")
    for instance in run.tasks.values():
        first = not state.dags[dag_id].upstream(instance.task_id)
        instance.state = "failed" if first else "upstream_failed"
        instance.start_date = instance.end_date = instance.updated_at = NOW
        while first and instance.try_number <= instance.max_tries:
            state.begin_try(instance, NOW)
            state.end_try(instance, "failed" if instance.try_number > instance.max_tries else "up_for_retry", NOW)
    state.set_run_state(run, "running", NOW)
    state.set_run_state(run, "failed", NOW)


@pytest.fixture
async def api() -> AsyncIterator[tuple[FleetApi, httpx.AsyncClient]]:
    api = FleetApi(FleetState(), lambda: NOW, clear_takes_s=0.0)
    api.accounts.users["bob"] = ("pw", "viewer")
    async with serving(api) as url, loopback_client(url) as http:
        yield api, http


@pytest.mark.parametrize("call", CALLS, ids=[call["label"] for call in CALLS])
async def test_answers_as_airflow_did(api: tuple[FleetApi, httpx.AsyncClient], call: dict[str, Any]) -> None:
    stand_in, http = api
    label = call["label"]
    stand_in.state = state_for(label)
    verb, path = call["request"].split(" ", 1)
    user, password = ("bob", "pw") if label == "role_bob" else ("admin", "admin")
    authorization = ANONYMOUS.get(label, f"Bearer {stand_in.accounts.login(user, password)}")
    if label == "expired_token":
        stand_in.accounts.expire_all()
        path = "/api/v2/dags/crm_sync"
    if label == "conc4":
        _lose_race(stand_in)

    answer = await http.request(verb, path.strip(), json=call["body"], headers=_header(authorization))

    assert answer.status_code == call["status"], answer.text
    if call["status"] < 400:
        assert differences(call["answer"], answer.json()) == []
    else:
        assert error(answer.json()) == error(call["answer"])


def _lose_race(stand_in: FleetApi) -> None:
    """Another clear wins between choice and write of the next one: the clock is read right before the write."""
    run = stand_in.state.runs["schema_drift", "race-schema_drift-1795331118"]

    def winning_clock() -> int:
        run.tasks["parse", -1].id = stand_in.state.next_id(NOW)
        return NOW

    stand_in.clock = winning_clock


def _header(authorization: str) -> dict[str, str]:
    return {"Authorization": authorization} if authorization else {}


def differences(recorded: Any, answered: Any, place: str = "") -> list[str]:
    """Where fields are missing, new or of another type. Null fits anything; of lists the first rows are compared."""
    if recorded is None or answered is None:
        return []
    if isinstance(recorded, dict) and isinstance(answered, dict):
        if place.endswith((".rendered_fields", ".conf")):
            return []
        changed = sorted(set(recorded) ^ set(answered))
        inside = [
            fault
            for name in set(recorded) & set(answered)
            for fault in differences(recorded[name], answered[name], f"{place}.{name}")
        ]
        return [f"{place}: {changed}"] * bool(changed) + inside
    if isinstance(recorded, list) and isinstance(answered, list):
        empty = bool(recorded) != bool(answered)
        return [f"{place}: one is empty"] if empty else differences(*_first(recorded, answered), f"{place}[0]")
    numbers = isinstance(recorded, int | float) and isinstance(answered, int | float)
    same = numbers or type(recorded) is type(answered)
    return [] if same else [f"{place}: {type(recorded).__name__} became {type(answered).__name__}"]


def _first(recorded: list[Any], answered: list[Any]) -> tuple[Any, Any]:
    return (recorded[0], answered[0]) if recorded and answered else (None, None)


def error(answer: dict[str, Any]) -> Any:
    """The answer without the incident number that Airflow makes up, and without pydantic's links to its manual."""
    detail = answer["detail"]
    if isinstance(detail, list):
        return [{name: value for name, value in fault.items() if name != "url"} for fault in detail]
    return {**detail, "message": ""} if isinstance(detail, dict) else detail
