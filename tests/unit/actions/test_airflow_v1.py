"""An Airflow 2 behind the calls of API v2. A real one is asked the same in tests/airflow2."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from airflow_stand_in import NOW, RUN, StandIn, stand_in
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from remediator.actions.airflow import v1, v1_answers
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.errors import Answered, NotSent
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.session import Call
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.action import Action, Look, Retry, RetryTarget, Sweep
from remediator.model.inputs import Looked, Swept
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import HOUR, MINUTE
from remediator.model.truth import DagRunTruth
from remediator.web.server import serving

ME = "a1b2c3d4e5f6a7b8c9d0e1f2"


@pytest.fixture
async def airflow() -> AsyncIterator[StandIn]:
    async with stand_in("v1") as made:
        yield made


def fail(airflow: StandIn, dag_id: str = "crm_sync", *indexes: int) -> DagRun:
    """The first task of the DAG failed, at these indexes if it is mapped."""
    run = airflow.state.runs[dag_id, RUN]
    for task in run.tasks.values():
        first = task.task_id != "merge"
        task.state = "success" if first and indexes and task.map_index not in indexes else "failed"
        task.state = task.state if first else "upstream_failed"
        task.try_number, task.updated_at, task.end_date = int(first), NOW, NOW
    airflow.state.set_run_state(run, "failed", NOW)
    return run


async def truth(airflow: StandIn, dag_id: str, client: AirflowClient | None = None) -> DagRunTruth:
    action = Action("l", "l", "k", "prod", Look(dag_id, RUN), 0, 0)
    (answer,) = await LookExecutor({"prod": client or airflow.client}).ask([action], NOW)
    assert isinstance(answer, Looked)
    assert answer.truth is not None, answer.error
    return answer.truth


async def retry(airflow: StandIn, dag_id: str, *tasks: TaskInstance, uncertain: bool = False) -> Outcome:
    seen = {(one.task_id, one.map_index): one for one in (await truth(airflow, dag_id)).tasks}
    targets = tuple(
        RetryTarget(task.task_id, task.try_number, task.map_index, seen[task.key].instance_id) for task in tasks
    )
    action = Action(ME, "l", "k", "prod", Retry(dag_id, RUN, targets, "lost connection"), 0, 0)
    return await RetryExecutor({"prod": airflow.client}).perform(action, uncertain=uncertain)


class TestRetry:
    async def test_cleared_once_and_noted_afterwards(self, airflow: StandIn) -> None:
        run = fail(airflow)
        pull = run.tasks["pull", -1]
        assert await retry(airflow, "crm_sync", pull) == Delivered(ref=ME, detail="cleared 2 task instances")
        assert (pull.state, pull.max_tries, pull.note) == (None, 2, f"remediator:{ME} lost connection")
        assert (run.state, airflow.state.clears, airflow.state.duplicate_clears) == ("queued", 1, 0)

    async def test_a_note_that_could_not_be_left_does_not_undo_it(self, airflow: StandIn) -> None:
        run = fail(airflow)
        airflow.fails("set_note", 500)
        assert isinstance(await retry(airflow, "crm_sync", run.tasks["pull", -1]), Delivered)

    @pytest.mark.parametrize("kind", [Kind.STATUS_AFTER, Kind.CLOSE, Kind.GARBAGE])
    async def test_an_answer_lost_after_acting_leaves_no_note_to_find(self, airflow: StandIn, kind: Kind) -> None:
        run = fail(airflow)
        airflow.api.faults.add(Fault(kind, "clear"))
        outcome = await retry(airflow, "crm_sync", run.tasks["pull", -1])
        # GARBAGE: the clear was answered with 200, so that its note was left and is found.
        expected = Delivered if kind is Kind.GARBAGE else Unknown
        assert isinstance(outcome, expected)
        assert airflow.state.clears == 1

    async def test_a_clear_that_was_not_done_is_sent_again(self, airflow: StandIn) -> None:
        run = fail(airflow)
        airflow.api.faults.add(Fault(Kind.STATUS, "clear", status=503))
        assert isinstance(await retry(airflow, "crm_sync", run.tasks["pull", -1]), RetryAfter)
        assert isinstance(await retry(airflow, "crm_sync", run.tasks["pull", -1], uncertain=True), Delivered)
        assert (airflow.state.clears, airflow.state.duplicate_clears) == (1, 0)

    async def test_somebody_elses_clear_is_left_alone(self, airflow: StandIn) -> None:
        run = fail(airflow)
        pull = run.tasks["pull", -1]
        target = RetryTarget("pull", 1, -1, "1/1")
        pull.state, pull.max_tries = None, 2
        action = Action(ME, "l", "k", "prod", Retry("crm_sync", RUN, (target,), ""), 0, 0)
        outcome = await RetryExecutor({"prod": airflow.client}).perform(action, uncertain=False)
        assert outcome == Refused("attempt moved on: pull is none at try 1")
        assert airflow.state.calls["clear"] == 0


class TestMapped:
    async def test_an_index_that_failed_alone_is_cleared(self, airflow: StandIn) -> None:
        run = fail(airflow, "partition_load", 1)
        load = run.tasks["load", 1]
        assert await retry(airflow, "partition_load", load) == Delivered(ref=ME, detail="cleared 1 task instances")
        assert load.note == f"remediator:{ME} lost connection"
        assert [task.clears for task in run.tasks.values()] == [0, 1, 0]

    async def test_all_that_failed_are_cleared_together(self, airflow: StandIn) -> None:
        run = fail(airflow, "partition_load", 1, 2)
        outcome = await retry(airflow, "partition_load", run.tasks["load", 1], run.tasks["load", 2])
        assert outcome == Delivered(ref=ME, detail="cleared 2 task instances")
        assert airflow.state.clears == 1

    async def test_one_of_several_is_refused_because_v1_would_clear_them_all(self, airflow: StandIn) -> None:
        run = fail(airflow, "partition_load", 1, 2)
        outcome = await retry(airflow, "partition_load", run.tasks["load", 1])
        assert isinstance(outcome, Refused)
        assert "API v1 clears every failed index of a mapped task" in outcome.reason
        assert airflow.state.clears == 0


class TestLook:
    async def test_states_that_v1_has_no_word_for_are_not_asked_for(self, airflow: StandIn) -> None:
        fail(airflow)
        airflow.state.runs["crm_sync", RUN].tasks["merge", -1].state = None
        found = await truth(airflow, "crm_sync")
        assert [(task.task_id, task.state) for task in found.tasks] == [("merge", "none"), ("pull", "failed")]
        assert airflow.state.calls["list_batch"] == 1

    async def test_a_refused_batch_is_asked_one_by_one(self, airflow: StandIn) -> None:
        fail(airflow)
        airflow.fails("list_batch", 400)
        assert len((await truth(airflow, "crm_sync")).tasks) == 2

    async def test_a_page_of_something_else_is_no_unknown_dagrun(self, airflow: StandIn) -> None:
        lost = airflow.another(base_url=f"{airflow.url}/somewhere")
        with pytest.raises(Answered) as fault:
            await lost.dagrun("crm_sync", RUN)
        assert str(fault.value) == "HTTP 404: Not Found"


class TestSweep:
    async def test_failures_since(self, airflow: StandIn) -> None:
        fail(airflow, "partition_load", 1)
        action = Action("s", "l", "w", "prod", Sweep(NOW - HOUR), 0, 0)
        (answer,) = await SweepExecutor({"prod": airflow.client}).ask([action], NOW)
        assert isinstance(answer, Swept)
        assert (answer.error, answer.until) == ("", NOW)
        assert [(ref.dag_id, ref.run_id) for ref in answer.dagruns] == [("partition_load", RUN)]

    async def test_pages_whose_order_changed_meanwhile_are_read_again_in_smaller_windows(self) -> None:
        """Airflow 2 sorts task instances by their map index alone: one comes twice, another never."""

        async def answer(request: Request) -> JSONResponse:
            if not request.url.path.endswith("/taskInstances"):
                return JSONResponse({"version": "2.11.2", "dag_runs": [], "total_entries": 0})
            shown = ["a", "a"] if "updated_at_lte" not in request.query_params else ["a", "b"]
            at = int(request.query_params["offset"])
            names = {"dag_id": "d", "dag_run_id": shown[at], "task_id": "t", "state": "failed"}
            return JSONResponse({"task_instances": [names], "total_entries": 2})

        async with serving(Starlette(routes=[Route("/{path:path}", answer)])) as running:
            settings = AirflowSettings(deployment="prod", base_url=running.url, api_version="v1", page_size=1)
            client, now = AirflowClient(settings), time.time_ns() // 1000
            action = Action("s", "l", "w", "prod", Sweep(now - HOUR), 0, 0)
            (swept,) = await SweepExecutor({"prod": client}).ask([action], now)
            await client.close()
        assert isinstance(swept, Swept)
        assert (swept.error, swept.until < now - 20 * MINUTE) == ("", True)
        assert [ref.run_id for ref in swept.dagruns] == ["a", "b"]


class TestCredentials:
    async def test_a_wrong_password_is_told_without_it(self, airflow: StandIn) -> None:
        with pytest.raises(Answered) as fault:
            await airflow.another(password=Secret("hunter2")).dagrun("crm_sync", RUN)
        assert str(fault.value) == "HTTP 403: Forbidden; Airflow 2 says so of wrong credentials too"

    async def test_a_hosted_airflow_takes_a_token_as_it_is(self, airflow: StandIn) -> None:
        airflow.api.accounts.accept("astro-token", "admin")
        hosted = airflow.another(username="", token=Secret("astro-token"))
        assert (await truth(airflow, "crm_sync", hosted)).state == "queued"


class TestAuto:
    @pytest.mark.parametrize("version", ["v2", "v1"])
    async def test_finds_out_once(self, version: str) -> None:
        async with stand_in(version) as airflow:
            client = airflow.another(api_version="auto")
            for _ in range(3):
                assert (await truth(airflow, "crm_sync", client)).state == "queued"
            assert airflow.state.calls["version"] == 1

    async def test_again_after_an_upgrade(self) -> None:
        async with AsyncExitStack() as stack:
            async with stand_in("v1") as airflow:
                client = AirflowClient(airflow.another(api_version="auto").settings)
                stack.push_async_callback(client.close)
                assert (await truth(airflow, "crm_sync", client)).state == "queued"
                port = int(airflow.url.rpartition(":")[2])
            async with stand_in("v2", port) as upgraded:
                with pytest.raises(Answered, match="HTTP 404"):
                    await client.dagrun("crm_sync", RUN)
                assert (await truth(upgraded, "crm_sync", client)).state == "queued"
                assert upgraded.state.calls["version"] == 1

    async def test_a_deployment_that_is_away_is_not_taken_for_another_version(self, airflow: StandIn) -> None:
        client = airflow.another(api_version="auto")
        airflow.api.faults.add(Fault(Kind.STATUS, "version", status=502))
        with pytest.raises(NotSent, match="the version of its API is not known: HTTP 502"):
            await client.dagrun("crm_sync", RUN)
        assert (await truth(airflow, "crm_sync", client)).state == "queued"

    async def test_neither_answers(self, airflow: StandIn) -> None:
        client = airflow.another(api_version="auto", base_url=f"{airflow.url}/somewhere")
        with pytest.raises(NotSent, match="neither API v2"):
            await client.dagrun("crm_sync", RUN)


class TestWords:
    def test_what_v1_cannot_promise_is_not_said(self) -> None:
        body = {"dry_run": False, "dag_run_id": "r", "only_failed": False, "prevent_running_task": True}
        with pytest.raises(v1.CannotSay, match="spare what is running"):
            v1.translated(Call("POST", "/api/v2/dags/d/clearTaskInstances", (), body))

    def test_a_clear_names_tasks_only_and_leaves_out_what_v1_does_not_know(self) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": "r",
            "task_ids": [["load", 1], ["load", 2], "total"],
            "only_failed": True,
            "prevent_running_task": True,
            "include_downstream": True,
            "reset_dag_runs": True,
            "note": "n",
        }
        said = v1.translated(Call("POST", "/api/v2/dags/d/clearTaskInstances", (), body))
        assert said.path == "/api/v1/dags/d/clearTaskInstances"
        assert said.body == {
            "dry_run": False,
            "dag_run_id": "r",
            "task_ids": ["load", "total"],
            "only_failed": True,
            "include_downstream": True,
            "reset_dag_runs": True,
        }

    @pytest.mark.parametrize(
        ("path", "params", "said"),
        [
            (
                "/dags/d/dagRuns",
                [("logical_date_gte", "2026-03-02T00:00:00.000000Z"), ("order_by", "logical_date"), ("cursor", "")],
                [("execution_date_gte", "2026-03-02T00:00:00.000000Z"), ("order_by", "execution_date")],
            ),
            (
                "/dags/d/dagRuns",
                [("logical_date_lt", "2026-03-02T00:00:00.000000Z")],
                [("execution_date_lte", "2026-03-01T23:59:59.999999Z")],
            ),
            ("/importErrors", [("order_by", "id")], [("order_by", "import_error_id")]),
            ("/eventLogs", [("event", "clear_dag_run")], [("event", "api.clear_dag_run")]),
            ("/eventLogs", [("event", "heartbeat timeout")], [("event", "heartbeat timeout")]),
        ],
    )
    def test_parameters(self, path: str, params: list[tuple[str, str]], said: list[tuple[str, str]]) -> None:
        assert v1.translated(Call("GET", f"/api/v2{path}", params)).params == said

    def test_a_change_of_state_is_answered_with_nothing(self) -> None:
        call = Call("PATCH", "/api/v2/dags/d/dagRuns/r/taskInstances/t", (), {"new_state": "success", "note": "n"})
        assert json.loads(v1_answers.as_v2(call, b"{}")) == {"task_instances": [], "total_entries": 0}
        (note,) = v1.notes(call, [])
        assert (note.path, note.body) == ("/api/v1/dags/d/dagRuns/r/taskInstances/t/setNote", {"note": "n"})

    def test_a_dag_that_is_gone_is_stale(self) -> None:
        answer = v1_answers.as_v2(Call("GET", "/api/v2/dags/d"), b'{"dag_id": "d", "is_active": false}')
        assert json.loads(answer)["is_stale"] is True

    @pytest.mark.parametrize(("state", "queued_at"), [("running", "then"), ("queued", None)])
    def test_a_dagrun_is_queued_anew_when_it_has_started_anew(self, state: str, queued_at: str | None) -> None:
        row = {"dag_run_id": "r", "state": state, "start_date": "then"}
        answer = v1_answers.as_v2(Call("GET", "/api/v2/dags/d/dagRuns/r"), json.dumps(row).encode())
        assert json.loads(answer)["queued_at"] == queued_at

    def test_a_whole_dagruns_clear_is_noted_on_the_tasks_that_it_names_as_far_as_it_goes(self) -> None:
        call = Call("POST", "/api/v2/dags/d/clearTaskInstances", (), {"dry_run": False, "dag_run_id": "r", "note": "n"})
        paths = [note.path for note in v1.notes(call, [f"t{number}" for number in range(30)])]
        assert paths[0] == "/api/v1/dags/d/dagRuns/r/taskInstances/t0/setNote"
        assert len(paths) == v1.NOTED_MOST

    def test_a_pool_is_never_made_one_without_a_limit(self) -> None:
        with pytest.raises(v1.CannotSay, match="without a limit"):
            v1.translated(Call("PATCH", "/api/v2/pools/p", (), {"pool": "p", "slots": -1, "include_deferred": False}))

    def test_a_pool_without_a_limit(self) -> None:
        answer = v1_answers.as_v2(Call("GET", "/api/v2/pools"), b'{"pools": [{"slots": -1, "open_slots": Infinity}]}')
        assert json.loads(answer) == {"pools": [{"slots": -1, "open_slots": -1}]}
