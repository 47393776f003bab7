"""Every outcome of the Airflow executors, against the stand-in over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.note import NOTE_LIMIT, merged
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.clearing import ClearBody, apply, choose
from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.model.action import Action, Guarantee, Look, Retry, RetryTarget, Sweep
from remediator.model.inputs import Looked, Swept
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter
from remediator.model.secret import Secret
from remediator.model.time import HOUR, MINUTE, SECOND, Instant
from remediator.model.truth import DagRunTruth

NOW: Instant = 1_800_000_000 * SECOND
RUN = "scheduled__2027-01-15T08:00:00+00:00"
ME = "a1b2c3d4e5f6a7b8c9d0e1f2"
DAG = DagSpec("crm_sync", (TaskSpec("pull", ("merge",), 1), TaskSpec("merge", (), 1)))
MAPPED = DagSpec("partition_load", (TaskSpec("load", ("total",), 0, indexes=3), TaskSpec("total")))


@dataclass
class StandIn:
    """One stand-in and a client of it."""

    api: FleetApi
    client: AirflowClient
    url: str
    extra: list[AirflowClient] = field(default_factory=list)

    @property
    def state(self) -> FleetState:
        return self.api.state

    def another(self, **changes: object) -> AirflowClient:
        client = AirflowClient(settings(self.url, **changes))
        self.extra.append(client)
        return client

    async def retry(self, action: Action, *, uncertain: bool = False) -> Outcome:
        return await RetryExecutor({"prod": self.client}).perform(action, uncertain=uncertain)

    async def look(self, *runs: tuple[str, str]) -> list[Looked]:
        answers = await LookExecutor({"prod": self.client}).ask([look(*run) for run in runs], NOW)
        return [answer for answer in answers if isinstance(answer, Looked)]

    async def sweep(self, since: Instant, now: Instant = NOW + HOUR) -> Swept:
        action = Action("s1", "sweep", "world", "prod", Sweep(since), 0, 0)
        (answer,) = await SweepExecutor({"prod": self.client}).ask([action], now)
        assert isinstance(answer, Swept)
        return answer

    def fails_with(self, kind: Kind, route: str, **more: object) -> None:
        self.api.faults.add(Fault(kind, route, **more))  # type: ignore[arg-type]


def settings(url: str, **changes: object) -> AirflowSettings:
    given: dict[str, object] = {
        "base_url": url,
        "username": "admin",
        "password": Secret("admin"),
        "read_timeout_s": 0.5,
    }
    return AirflowSettings(deployment="prod", **(given | changes))  # type: ignore[arg-type]


@pytest.fixture
async def airflow() -> AsyncIterator[StandIn]:
    state = FleetState()
    for dag in (DAG, MAPPED):
        state.add_dag(dag)
    api = FleetApi(state, clock=lambda: NOW + HOUR, clear_takes_s=0.0)
    async with serving(api) as url:
        stand_in = StandIn(api, AirflowClient(settings(url)), url)
        yield stand_in
        for client in (stand_in.client, *stand_in.extra):
            await client.close()


def failed_run(state: FleetState, run_id: str = RUN, at: Instant = NOW) -> DagRun:
    """crm_sync: pull failed at its second and last try, merge never started."""
    run = state.add_run("crm_sync", run_id, at)
    pull, merge = run.tasks["pull", -1], run.tasks["merge", -1]
    pull.try_number, pull.state, pull.end_date, pull.updated_at = 2, "failed", at, at
    merge.state, merge.updated_at = "upstream_failed", at
    state.set_run_state(run, "failed", at)
    return run


def failed_mapped(state: FleetState) -> DagRun:
    """partition_load: indexes 1 and 2 failed."""
    run = state.add_run("partition_load", RUN, NOW)
    for index, end in enumerate(("success", "failed", "failed")):
        run.tasks["load", index].try_number, run.tasks["load", index].state = 1, end
    run.tasks["total", -1].state = "upstream_failed"
    state.set_run_state(run, "failed", NOW)
    return run


def target(instance: TaskInstance) -> RetryTarget:
    return RetryTarget(instance.task_id, instance.try_number, instance.map_index, instance.id)


def retry_of(run: DagRun, *tasks: TaskInstance, action_id: str = ME, why: str = "lost connection") -> Action:
    params = Retry(run.dag_id, run.run_id, tuple(target(task) for task in tasks), why)
    return Action(action_id, "lane", "key", "prod", params, 0, NOW)


def look(dag_id: str, run_id: str) -> Action:
    return Action(f"look-{dag_id}-{run_id}", "lane", f"key-{dag_id}", "prod", Look(dag_id, run_id), 0, 0)


def persons_clear(state: FleetState, run: DagRun, note: str | None = None) -> None:
    body = ClearBody(dry_run=False, dag_run_id=run.run_id, note=note)
    apply(state, choose(state, run.dag_id, body), body, "anna", NOW)


class TestRetry:
    async def test_clears_the_attempt_with_what_failed_below_and_leaves_its_id(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        pull = run.tasks["pull", -1]
        before = pull.id

        outcome = await airflow.retry(retry_of(run, pull))

        assert outcome == Delivered(ref=ME, detail="cleared 2 task instances")
        assert RetryExecutor.guarantee is Guarantee.PROVABLE
        assert (pull.state, pull.try_number, pull.max_tries) == (None, 2, 3)
        assert pull.id != before
        assert pull.note == f"remediator:{ME} lost connection"
        assert run.tasks["merge", -1].state is None
        assert (run.state, run.clear_number) == ("queued", 1)
        assert airflow.state.duplicate_clears == 0

    async def test_a_repeat_is_proven_by_the_note_and_not_sent(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        await airflow.retry(action)

        for uncertain in (False, True):
            assert await airflow.retry(action, uncertain=uncertain) == Delivered(ref=ME, detail="found by its note")
        assert airflow.state.calls["clear"] == 1

    async def test_the_note_proves_it_even_after_the_healed_attempt_failed_again(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        pull = run.tasks["pull", -1]
        action = retry_of(run, pull)
        await airflow.retry(action)
        pull.try_number, pull.state = 3, "failed"

        assert isinstance(await airflow.retry(action, uncertain=True), Delivered)
        assert airflow.state.clears == 1

    async def test_a_persons_note_is_kept(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        pull = run.tasks["pull", -1]
        pull.note = "anna: vendor informed"

        await airflow.retry(retry_of(run, pull))

        assert pull.note == f"anna: vendor informed\nremediator:{ME} lost connection"

    async def test_run_ids_that_need_escaping(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state, "manual run?x=1&é%2B+#frag")
        assert isinstance(await airflow.retry(retry_of(run, run.tasks["pull", -1])), Delivered)
        assert run.clear_number == 1

    async def test_only_the_mapped_index_is_cleared(self, airflow: StandIn) -> None:
        run = failed_mapped(airflow.state)

        outcome = await airflow.retry(retry_of(run, run.tasks["load", 2]))

        assert isinstance(outcome, Delivered)
        assert [run.tasks["load", index].state for index in range(3)] == ["success", "failed", None]

    async def test_several_targets_are_one_clear(self, airflow: StandIn) -> None:
        run = failed_mapped(airflow.state)
        await airflow.retry(retry_of(run, run.tasks["load", 1], run.tasks["load", 2]))
        assert airflow.state.calls["clear"] == 1
        assert [run.tasks["load", index].state for index in range(3)] == ["success", None, None]

    async def test_a_target_that_moved_on_is_left_alone(self, airflow: StandIn) -> None:
        run = failed_mapped(airflow.state)
        action = retry_of(run, run.tasks["load", 1], run.tasks["load", 2])
        run.tasks["load", 1].state = "running"

        assert isinstance(await airflow.retry(action), Delivered)
        assert [run.tasks["load", index].state for index in range(3)] == ["success", "running", None]

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"state": "running"}, "pull is running at try 2"),
            ({"state": "success", "try_number": 3}, "pull is success at try 3"),
            ({"try_number": 3}, "pull is failed at try 3"),
            ({"id": "another"}, "pull is failed at try 2"),
            ({"state": None}, "pull is none at try 2"),
        ],
    )
    async def test_nothing_is_sent_when_the_attempt_moved_on(
        self, airflow: StandIn, change: dict[str, object], found: str
    ) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        for name, value in change.items():
            setattr(run.tasks["pull", -1], name, value)

        assert await airflow.retry(action) == Refused(f"attempt moved on: {found}")
        assert airflow.state.calls["clear"] == 0

    async def test_an_unknown_dagrun_is_refused(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        airflow.state.runs.clear()
        assert await airflow.retry(action) == Refused("attempt moved on: the scheduler does not know pull")

    async def test_an_unknown_deployment_is_refused(self) -> None:
        params = Retry("d", "r", (RetryTarget("t", 1),))
        outcome = await RetryExecutor({}).perform(Action(ME, "l", "k", "nowhere", params, 0, 0), uncertain=False)
        assert outcome == Refused("no API is configured for deployment 'nowhere'")

    async def test_a_person_clears_between_look_and_clear(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        airflow.fails_with(Kind.LATENCY, "clear", seconds=0.2)
        task = asyncio.create_task(airflow.retry(action))
        await until(lambda: airflow.state.calls["clear"] == 1)
        persons_clear(airflow.state, run, note="anna was here")

        assert await task == Refused("attempt moved on: pull is none at try 2")
        assert airflow.state.clears == 1
        assert run.tasks["pull", -1].note == "anna was here"

    async def test_the_target_moved_on_and_only_downstream_was_cleared(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        airflow.fails_with(Kind.LATENCY, "clear", seconds=0.2)
        task = asyncio.create_task(airflow.retry(action))
        await until(lambda: airflow.state.calls["clear"] == 1)
        run.tasks["pull", -1].state = "success"

        assert await task == Refused("attempt moved on: pull is success at try 2")

    @pytest.mark.parametrize("kind", [Kind.CLOSE, Kind.HANG, Kind.GARBAGE, Kind.STATUS_AFTER])
    async def test_an_answer_lost_after_acting_is_found_by_its_note(self, airflow: StandIn, kind: Kind) -> None:
        run = failed_run(airflow.state)
        airflow.fails_with(kind, "clear", status=502)

        outcome = await airflow.retry(retry_of(run, run.tasks["pull", -1]))

        assert outcome == Delivered(ref=ME, detail="found by its note")
        assert (airflow.state.clears, airflow.state.calls["clear"]) == (1, 1)

    async def test_an_answer_lost_and_the_look_fails_too(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        airflow.fails_with(Kind.CLOSE, "clear")
        airflow.fails_with(Kind.STATUS, "get_task", status=500, skip=1)

        outcome = await airflow.retry(action)

        assert isinstance(outcome, RetryAfter)
        assert outcome.uncertain
        assert outcome.reason.startswith("cannot tell whether it was cleared: HTTP 500")
        assert isinstance(await airflow.retry(action, uncertain=True), Delivered)
        assert airflow.state.clears == 1

    async def test_a_server_error_before_acting_is_tried_again_later(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        action = retry_of(run, run.tasks["pull", -1])
        airflow.fails_with(Kind.STATUS, "clear", status=500, detail="boom")

        assert await airflow.retry(action) == RetryAfter(15 * SECOND, "HTTP 500: boom", uncertain=True)
        assert airflow.state.clears == 0
        assert isinstance(await airflow.retry(action, uncertain=True), Delivered)

    async def test_a_busy_server_names_its_time(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        airflow.fails_with(Kind.STATUS, "clear", status=429, retry_after="7", detail="slow down")
        outcome = await airflow.retry(retry_of(run, run.tasks["pull", -1]))
        assert outcome == RetryAfter(7 * SECOND, "HTTP 429: slow down")

    async def test_colliding_clears_with_one_winner(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        airflow.api.clear_takes_s = 0.1
        actions = [retry_of(run, run.tasks["pull", -1], action_id=f"action{number}") for number in range(6)]

        outcomes = await asyncio.gather(*(airflow.retry(action) for action in actions))

        assert sum(isinstance(outcome, Delivered) for outcome in outcomes) == 1
        losers = [outcome for outcome in outcomes if isinstance(outcome, RetryAfter)]
        late = [outcome for outcome in outcomes if isinstance(outcome, Refused)]  # looked after the winner's clear
        assert (len(losers) + len(late), bool(losers)) == (5, True)
        assert all(loser.after == 5 * SECOND and not loser.uncertain for loser in losers)
        assert airflow.state.clears == 1
        again = await asyncio.gather(*(airflow.retry(action) for action in actions))
        assert sum(isinstance(outcome, Refused) for outcome in again) == 5
        assert (airflow.state.clears, airflow.state.duplicate_clears) == (1, 0)

    async def test_a_conflict_with_the_failure_unchanged(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        airflow.fails_with(Kind.STATUS, "clear", status=409, detail="Unique constraint violation")
        outcome = await airflow.retry(retry_of(run, run.tasks["pull", -1]))
        assert outcome == RetryAfter(5 * SECOND, "clears collided: HTTP 409: Unique constraint violation")

    async def test_a_running_task_is_waited_for(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        text = "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed"
        airflow.fails_with(Kind.STATUS, "clear", status=409, detail=text)
        assert await airflow.retry(retry_of(run, run.tasks["pull", -1])) == RetryAfter(10 * SECOND, f"HTTP 409: {text}")

    @pytest.mark.parametrize("status", [400, 404, 422])
    async def test_a_refused_clear(self, airflow: StandIn, status: int) -> None:
        run = failed_run(airflow.state)
        airflow.fails_with(Kind.STATUS, "clear", status=status, detail="no such thing was not found")
        outcome = await airflow.retry(retry_of(run, run.tasks["pull", -1]))
        assert outcome == Refused(f"HTTP {status}: no such thing was not found")

    async def test_a_user_who_may_not_clear(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        airflow.api.accounts.users["bob"] = ("pw", "viewer")
        client = airflow.another(username="bob", password=Secret("pw"))
        outcome = await RetryExecutor({"prod": client}).perform(retry_of(run, run.tasks["pull", -1]), uncertain=False)
        assert outcome == Refused("HTTP 403: Forbidden")

    async def test_wrong_credentials_are_refused_unless_it_may_have_happened(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        executor = RetryExecutor({"prod": airflow.another(password=Secret("guess-me-not"))})
        action = retry_of(run, run.tasks["pull", -1])
        refused = await executor.perform(action, uncertain=False)
        later = await executor.perform(action, uncertain=True)
        assert refused == Refused("HTTP 401: Invalid credentials")
        assert later == RetryAfter(15 * SECOND, "HTTP 401: Invalid credentials", uncertain=True)

    async def test_nothing_listens(self, airflow: StandIn, unused_tcp_port: int) -> None:
        run = failed_run(airflow.state)
        client = airflow.another()
        gone = AirflowClient(settings(f"http://127.0.0.1:{unused_tcp_port}"))
        outcome = await RetryExecutor({"prod": gone}).perform(retry_of(run, run.tasks["pull", -1]), uncertain=False)
        await gone.close()
        await client.close()
        assert isinstance(outcome, RetryAfter)
        assert not outcome.uncertain
        assert outcome.reason.startswith("not reachable: ConnectError")


class TestLook:
    async def test_a_dagrun_with_its_unfinished_tasks(self, airflow: StandIn) -> None:
        run = failed_mapped(airflow.state)
        (answer,) = await airflow.look(("partition_load", RUN))
        assert (answer.action_id, answer.key, answer.run_id) == (
            f"look-partition_load-{RUN}",
            "key-partition_load",
            RUN,
        )
        truth = answer.truth
        assert truth is not None
        assert (truth.deployment, truth.dag_id, truth.run_id, truth.state) == ("prod", "partition_load", RUN, "failed")
        assert truth.complete
        assert truth.ended_at == NOW
        assert [(task.task_id, task.map_index, task.state) for task in truth.tasks] == [
            ("load", 1, "failed"),
            ("load", 2, "failed"),
            ("total", -1, "upstream_failed"),
        ]
        assert truth.tasks[0].instance_id == run.tasks["load", 1].id

    async def test_a_task_without_a_state_is_in_it(self, airflow: StandIn) -> None:
        airflow.state.add_run("crm_sync", RUN, NOW)
        (answer,) = await airflow.look(("crm_sync", RUN))
        assert answer.truth is not None
        assert [(task.task_id, task.state) for task in answer.truth.tasks] == [("merge", "none"), ("pull", "none")]

    async def test_many_are_one_list_call_and_cross_products_are_dropped(self, airflow: StandIn) -> None:
        failed_run(airflow.state, "one")
        failed_run(airflow.state, RUN)
        failed_mapped(airflow.state)
        answers = await airflow.look(("crm_sync", "one"), ("partition_load", RUN), ("crm_sync", "one"))
        assert [answer.run_id for answer in answers] == ["one", RUN, "one"]
        assert [len(answer.truth.tasks) for answer in answers if answer.truth] == [2, 3, 2]
        assert (airflow.state.calls["list_batch"], airflow.state.calls["get_run"]) == (1, 2)

    async def test_a_paused_dag_is_told_and_one_that_may_not_be_read_is_not(self, airflow: StandIn) -> None:
        failed_run(airflow.state, "one")
        failed_run(airflow.state, "two")
        airflow.state.paused.add("crm_sync")
        answers = await airflow.look(("crm_sync", "one"), ("crm_sync", "two"))
        assert [answer.truth.paused for answer in answers if answer.truth] == [True, True]
        assert airflow.state.calls["dag"] == 1
        airflow.fails_with(Kind.STATUS, "dag", status=403, detail="Forbidden")
        (answer,) = await airflow.look(("crm_sync", "one"))
        assert [(one.truth.paused, one.truth.tags) for one in [answer] if one.truth] == [(False, None)]

    async def test_an_unknown_dagrun_has_no_state_and_spoils_nothing(self, airflow: StandIn) -> None:
        failed_run(airflow.state)
        unknown, known = await airflow.look(("crm_sync", "nope"), ("crm_sync", RUN))
        assert unknown.truth == DagRunTruth("prod", "crm_sync", "nope", "")
        assert known.truth is not None
        assert known.truth.state == "failed"

    async def test_a_404_of_something_else_is_no_unknown_dagrun(self, airflow: StandIn) -> None:
        client = airflow.another(base_url=f"{airflow.url}/wrong-prefix", username="", token=Secret("x"))
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.truth is None
        assert answer.error == "HTTP 404: Not Found"

    async def test_a_refused_batch_is_asked_one_by_one(self, airflow: StandIn) -> None:
        failed_run(airflow.state, "one")
        failed_run(airflow.state, "two")
        airflow.fails_with(Kind.STATUS, "list_batch", status=422, detail="unknown state awaiting_input")
        answers = await airflow.look(("crm_sync", "one"), ("crm_sync", "two"))
        assert [len(answer.truth.tasks) for answer in answers if answer.truth] == [2, 2]
        assert airflow.state.calls["list_tasks"] == 2

    async def test_one_dagrun_that_fails_alone_spoils_no_other(self, airflow: StandIn) -> None:
        for name in ("one", "two", "three"):
            failed_run(airflow.state, name)
        airflow.fails_with(Kind.STATUS, "get_run", status=400, detail="odd id", skip=1)
        answers = await airflow.look(("crm_sync", "one"), ("crm_sync", "two"), ("crm_sync", "three"))
        assert sorted(answer.error for answer in answers) == ["", "", "HTTP 400: odd id"]

    async def test_more_than_a_look_may_read_is_incomplete(self, airflow: StandIn) -> None:
        failed_mapped(airflow.state)
        client = airflow.another(page_size=1, max_pages=2)
        (answer,) = await LookExecutor({"prod": client}).ask([look("partition_load", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.truth is not None
        assert not answer.truth.complete

    async def test_many_task_instances_are_read_page_by_page(self, airflow: StandIn) -> None:
        airflow.state.add_dag(DagSpec("wide", (TaskSpec("load", indexes=30),)))
        airflow.state.add_run("wide", RUN, NOW)
        client = airflow.another(page_size=4, max_pages=8)
        airflow.fails_with(Kind.STATUS, "list_batch", status=422)
        (answer,) = await LookExecutor({"prod": client}).ask([look("wide", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.truth is not None
        assert answer.truth.complete
        assert [task.map_index for task in answer.truth.tasks] == list(range(30))

    async def test_a_burst_of_errors_is_survived(self, airflow: StandIn) -> None:
        failed_run(airflow.state)
        airflow.fails_with(Kind.STATUS, "*", status=503, times=2)
        (answer,) = await airflow.look(("crm_sync", RUN))
        assert answer.error == ""

    async def test_an_outage_is_an_error_for_all_after_one_question(self, airflow: StandIn) -> None:
        airflow.fails_with(Kind.STATUS, "get_run", status=503, times=99, detail="down for maintenance")
        answers = await airflow.look(*(("crm_sync", str(number)) for number in range(30)))
        assert {answer.error for answer in answers} == {"HTTP 503: down for maintenance"}
        assert airflow.state.calls["get_run"] == 3

    async def test_a_hanging_server_is_an_error(self, airflow: StandIn) -> None:
        client = airflow.another(read_timeout_s=0.1, read_tries=1)
        airflow.fails_with(Kind.HANG, "get_run")
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == "no whole answer: ReadTimeout"

    async def test_the_read_budget_bounds_all_tries_together(self, airflow: StandIn) -> None:
        client = airflow.another(read_budget_s=0.2)
        airflow.fails_with(Kind.HANG, "get_run", times=9)
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == "no answer within 0.2 s"

    async def test_a_batch_that_is_too_large_is_asked_one_by_one(self, airflow: StandIn) -> None:
        airflow.state.add_dag(DagSpec("wide", (TaskSpec("load", indexes=20),)))
        airflow.state.add_run("wide", RUN, NOW)
        client = airflow.another(max_response_bytes=12_000, page_size=5)
        (answer,) = await LookExecutor({"prod": client}).ask([look("wide", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.truth is not None
        assert (len(answer.truth.tasks), answer.truth.complete) == (20, True)
        assert airflow.state.calls["list_batch"] == 1

    async def test_a_forbidden_dag_spoils_no_other(self, airflow: StandIn) -> None:
        failed_run(airflow.state, "one")
        failed_run(airflow.state, "two")
        airflow.fails_with(Kind.STATUS, "get_run", status=403, detail="Forbidden")
        forbidden, allowed = await airflow.look(("crm_sync", "one"), ("crm_sync", "two"))
        assert forbidden.error == "HTTP 403: Forbidden"
        assert allowed.truth is not None

    async def test_an_answer_that_is_too_large_is_an_error(self, airflow: StandIn) -> None:
        failed_run(airflow.state)
        client = airflow.another(max_response_bytes=500, read_tries=1)
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == "the answer is larger than 500 bytes"

    async def test_two_deployments_are_asked_side_by_side(self, airflow: StandIn) -> None:
        failed_run(airflow.state)
        elsewhere = Action("x", "lane", "key", "nowhere", Look("a", "b"), 0, 0)
        answers = await LookExecutor({"prod": airflow.client}).ask([elsewhere, look("crm_sync", RUN)], NOW)
        assert [getattr(answer, "error", None) for answer in answers] == [
            "no API is configured for deployment 'nowhere'",
            "",
        ]


class TestSweep:
    async def test_failed_tasks_and_dagruns_since(self, airflow: StandIn) -> None:
        failed_run(airflow.state, "old", NOW - HOUR)
        failed_run(airflow.state, "new", NOW)
        killed = airflow.state.add_run("partition_load", "killed", NOW)
        airflow.state.set_run_state(killed, "failed", NOW)
        running = airflow.state.add_run("crm_sync", "running", NOW)
        running.tasks["pull", -1].state = "failed"

        swept = await airflow.sweep(NOW - MINUTE)

        assert [(ref.dag_id, ref.run_id) for ref in swept.dagruns] == [
            ("crm_sync", "new"),
            ("crm_sync", "running"),
            ("partition_load", "killed"),
        ]
        assert swept.dagruns[0].ended_at == NOW
        assert swept.dagruns[1].ended_at is None
        assert swept.error == ""

    async def test_until_is_the_earlier_clock(self, airflow: StandIn) -> None:
        early = await airflow.sweep(NOW - MINUTE, now=NOW - SECOND)
        assert early.until == NOW - SECOND
        late = await airflow.sweep(NOW - MINUTE, now=NOW * 2)
        assert late.until == NOW + HOUR

    async def test_what_does_not_fit_is_left_for_the_next_sweep(self, airflow: StandIn) -> None:
        for number in range(40):
            failed_run(airflow.state, f"run{number:02}", NOW + number * MINUTE)
        client = airflow.another(page_size=2, max_pages=5)
        executor = SweepExecutor({"prod": client})
        since, found, sweeps, end = NOW, set(), 0, NOW + 40 * MINUTE
        while since < end:
            action = Action(f"s{sweeps}", "sweep", "world", "prod", Sweep(since), 0, 0)
            (swept,) = await executor.ask([action], end)
            assert isinstance(swept, Swept)
            assert swept.error == ""
            assert swept.until > since
            found |= {ref.run_id for ref in swept.dagruns}
            since, sweeps = swept.until, sweeps + 1
        assert found == {f"run{number:02}" for number in range(40)}
        assert sweeps > 1

    async def test_a_second_with_too_many_is_an_error_and_skips_nothing(self, airflow: StandIn) -> None:
        for number in range(25):
            failed_run(airflow.state, f"run{number:02}", NOW)
        client = airflow.another(page_size=1, max_pages=2)
        action = Action("s", "sweep", "world", "prod", Sweep(NOW), 0, 0)
        (swept,) = await SweepExecutor({"prod": client}).ask([action], NOW + HOUR)
        assert isinstance(swept, Swept)
        assert (swept.until, swept.error) == (NOW, "more failures within one second than a sweep may read")

    async def test_unreachable_is_an_error_and_moves_nothing(self, airflow: StandIn) -> None:
        airflow.fails_with(Kind.STATUS, "list_runs", status=500, detail="boom")
        swept = await airflow.sweep(NOW)
        assert (swept.since, swept.until, swept.dagruns, swept.error) == (NOW, NOW, (), "HTTP 500: boom")


class TestToken:
    @pytest.mark.parametrize("spoil", ["expire_all", "forget_all"])
    async def test_a_stale_token_is_renewed_once_for_all_calls(self, airflow: StandIn, spoil: str) -> None:
        failed_run(airflow.state)
        await airflow.look(("crm_sync", RUN))
        getattr(airflow.api.accounts, spoil)()
        rows = await asyncio.gather(*(airflow.client.dagrun("crm_sync", RUN) for _ in range(8)))
        assert all(row is not None and row.state == "failed" for row in rows)
        assert airflow.api.accounts.issued == 2

    async def test_a_clear_with_a_stale_token_is_sent_again(self, airflow: StandIn) -> None:
        run = failed_run(airflow.state)
        await airflow.look(("crm_sync", RUN))
        airflow.api.accounts.expire_all()
        assert isinstance(await airflow.retry(retry_of(run, run.tasks["pull", -1])), Delivered)
        assert airflow.state.clears == 1

    async def test_a_static_token_is_used_as_it_is(self, airflow: StandIn) -> None:
        failed_run(airflow.state)
        airflow.api.accounts.accept("hosted-token", "admin")
        client = airflow.another(username="", token=Secret("hosted-token"))
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == ""
        assert airflow.state.calls["token"] == 0
        airflow.api.accounts.expire_all()
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == "HTTP 401: Token Expired"

    async def test_no_secret_shows(self, airflow: StandIn) -> None:
        client = airflow.another(username="", token=Secret("s3cr3t-value"))
        airflow.api.accounts.accept("s3cr3t-value", "admin")
        airflow.fails_with(Kind.STATUS, "get_run", status=400, detail="bad header Bearer s3cr3t-value")
        (answer,) = await LookExecutor({"prod": client}).ask([look("crm_sync", RUN)], NOW)
        assert isinstance(answer, Looked)
        assert answer.error == "HTTP 400: bad header Bearer ***"
        assert "s3cr3t" not in repr(client.settings)
        assert str(Secret("s3cr3t")) == repr(Secret("s3cr3t")) == "Secret(***)"


class TestNote:
    def test_our_line_is_always_whole_and_the_limit_holds(self) -> None:
        note = merged(["x" * 5000], ME, "w" * 5000)
        assert len(note) <= NOTE_LIMIT
        assert note.splitlines()[-1] == f"remediator:{ME} {'w' * 300}"

    def test_our_oldest_lines_give_way_before_a_persons(self) -> None:
        ours = "\n".join(f"remediator:{number:024} {'y' * 100}" for number in range(12))
        note = merged([f"anna: call me\n{ours}"], ME, "again")
        assert len(note) <= NOTE_LIMIT
        assert note.startswith("anna: call me\nremediator:")
        assert f"remediator:{11:024}" in note
        assert f"remediator:{0:024}" not in note

    def test_notes_of_several_targets_are_joined_once(self) -> None:
        assert merged(["a", None, "a", "b"], "id", "") == "a\nb\nremediator:id"


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  (the stand-in counts calls, it raises no event)
            await asyncio.sleep(0)
