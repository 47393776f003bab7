"""The stand-in's scheduler, events, recordings and scenario: they must behave as Airflow was measured to."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from random import Random

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.demo.fleet.clearing import ClearBody, apply, choose
from remediator.demo.fleet.load import load
from remediator.demo.fleet.plan import DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.running import Running, running
from remediator.demo.fleet.scenario import Fate, Scenario, fleet
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.demo.fleet.world import World
from remediator.model.action import Action, Look, Retry, RetryTarget
from remediator.model.event import Event
from remediator.model.inputs import Looked
from remediator.model.outcome import Delivered
from remediator.model.record import Record
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, MINUTE, SECOND, Duration, Instant

START: Instant = 1_800_000_000 * SECOND
RESET = Failure("ConnectionResetError", "connection reset by peer")
DAG = DagSpec("crm_sync", (TaskSpec("pull", ("merge",), 1), TaskSpec("merge")), "crm", ("crm",))
RECORDED = Path(__file__).parents[2] / "data/airflow/lineage_3_3_2.ndjson"


class Stage:
    """One world with one dagrun of crm_sync, whose events are decoded as they come."""

    def __init__(self, plan: Plan, dag: DagSpec = DAG, ending: Duration = 0) -> None:
        self.events: list[Event] = []
        self.state = FleetState("ns")
        self.state.add_dag(dag)
        plans = lambda run, task: plan if task.task_id == "pull" else Plan()  # noqa: E731
        self.world = World(self.state, plans, self.take, ending=ending)
        self.world.run_dag(dag.dag_id, "r1", START)

    def take(self, key: bytes, value: bytes) -> None:
        record = Record("t", 0, len(self.events), 0, key, value)
        self.events += OpenLineageCodec().decode(record)

    def play(self, length: int = 10 * MINUTE) -> DagRun:
        self.world.advance(START + length)
        run = self.state.run("crm_sync", "r1")
        assert run is not None
        return run

    def clear(self, at: Instant) -> None:
        body = ClearBody(dry_run=False, dag_run_id="r1", note="x")
        apply(self.state, choose(self.state, "crm_sync", body), body, "me", at)

    def story(self) -> list[tuple[str, str | None, int | None]]:
        return [(event.type, event.task_id, event.try_number) for event in self.events]


def pull_of(run: DagRun) -> TaskInstance:
    return run.tasks["pull", -1]


class TestWorld:
    def test_success_is_told_as_airflow_tells_it(self) -> None:
        stage = Stage(Plan())
        assert stage.play().state == "success"
        assert stage.story() == [
            ("dagrun.started", None, None),
            ("task.started", "pull", 1),
            ("task.success", "pull", 1),
            ("task.started", "merge", 1),
            ("task.success", "merge", 1),
            ("dagrun.success", None, None),
        ]
        event = stage.events[1]
        assert (event.namespace, event.dag_id, event.run_id, event.owner) == ("ns", "crm_sync", "r1", "crm")
        assert (event.retries, event.tags, event.clear_number, event.logical_date) == (1, ("crm",), 0, START)

    def test_airflows_own_retry_heals(self) -> None:
        stage = Stage(Plan(RESET, heals_after_tries=1))
        run = stage.play()
        assert run.state == "success"
        assert pull_of(run).try_number == 2
        failed = [event for event in stage.events if event.type == "task.failed"]
        assert [(event.try_number, event.error and event.error.type) for event in failed] == [
            (1, "ConnectionResetError")
        ]

    def test_a_failure_is_announced_before_it_is_recorded(self) -> None:
        stage = Stage(Plan(RESET, announce=5 * SECOND))
        told = START
        while not any(event.type == "task.failed" and event.try_number == 2 for event in stage.events):
            told += 100 * MILLISECOND
            stage.world.advance(told)
        run = stage.state.runs["crm_sync", "r1"]
        assert pull_of(run).state == "running"
        stage.clear(told)
        assert stage.state.clears == 0
        assert (stage.play().state, pull_of(run).state) == ("failed", "failed")

    def test_a_clear_heals_and_begins_a_new_episode(self) -> None:
        stage = Stage(Plan(RESET, heals_after_clears=1))
        run = stage.play()
        assert (run.state, pull_of(run).try_number, run.tasks["merge", -1].state) == ("failed", 2, "upstream_failed")
        seen = pull_of(run).id
        stage.clear(START + 10 * MINUTE)
        assert (run.state, pull_of(run).max_tries, pull_of(run).id != seen) == ("queued", 3, True)
        assert stage.play(20 * MINUTE).state == "success"
        assert pull_of(run).try_number == 3
        assert stage.events[-1].clear_number == 1

    def test_a_clear_that_meets_the_end_of_its_dagrun_is_lost(self) -> None:
        stage = Stage(Plan(RESET, heals_after_clears=1), ending=SECOND)
        told = START
        while "task.failed" not in [type_ for type_, _, number in stage.story() if number == 2]:
            told += 100 * MILLISECOND
            stage.world.advance(told)
        stage.world.advance(told + 500 * MILLISECOND)
        stage.clear(told + 500 * MILLISECOND)
        run = stage.play()
        assert (run.state, pull_of(run).state, run.clear_number) == ("failed", None, 1)

    def test_a_killed_last_try_is_told_by_the_dagrun_alone(self) -> None:
        stage = Stage(Plan(Failure("", "", silent=True)))
        assert stage.play().state == "failed"
        failed = [event for event in stage.events if event.type.endswith("failed")]
        assert [(event.type, event.try_number) for event in failed] == [("task.failed", 1), ("dagrun.failed", None)]
        assert failed[0].error is not None
        assert failed[0].error.message is not None
        assert failed[0].error.message.startswith("Executor LocalExecutor(parallelism=8) reported")
        assert failed[0].error.trace is None

    def test_a_final_failure_uses_no_retry(self) -> None:
        run = Stage(Plan(RESET, final=True)).play()
        assert (run.state, pull_of(run).try_number) == ("failed", 1)

    def test_a_person_clears_and_marks(self) -> None:
        stage = Stage(Plan(RESET))
        stage.world.person_clears("crm_sync", "r1", START + MINUTE, note="anna")
        stage.world.person_marks("crm_sync", "r1", "pull", "success", START + 3 * MINUTE)
        run = stage.play()
        assert run.state == "success"
        assert (pull_of(run).note, pull_of(run).try_number, run.tasks["merge", -1].state) == ("anna", 4, "success")

    def test_a_cleared_running_task_restarts_and_its_old_end_counts_for_nothing(self) -> None:
        stage = Stage(Plan(duration=30 * SECOND))
        stage.world.advance(START + 5 * SECOND)
        body = ClearBody(dry_run=False, dag_run_id="r1", only_failed=False)
        apply(stage.state, choose(stage.state, "crm_sync", body), body, "me", START + 5 * SECOND)
        run = stage.play()
        assert (run.state, pull_of(run).try_number) == ("success", 2)
        assert next(event.try_number for event in stage.events if event.type == "task.success") == 2

    def test_lost_events_change_nothing_but_what_is_heard(self) -> None:
        heard: list[bytes] = []
        state = FleetState("ns")
        state.add_dag(DAG)
        world = World(state, emit=lambda key, value: heard.append(value), loses=lambda number: number == 2)
        world.run_dag("crm_sync", "r1", START)
        world.advance(START + MINUTE)
        assert state.runs["crm_sync", "r1"].state == "success"
        assert (world.emitted, len(heard)) == (6, 5)

    def test_the_length_of_steps_changes_nothing(self) -> None:
        whole, stepped = Stage(Plan(RESET, heals_after_tries=1)), Stage(Plan(RESET, heals_after_tries=1))
        whole.play()
        for moment in range(START, START + 2 * MINUTE, 37 * MILLISECOND):
            stepped.world.advance(moment)
        assert stepped.events == whole.events

    def test_a_second_clear_of_the_same_attempt_is_counted(self) -> None:
        stage = Stage(Plan(RESET))
        run = stage.play()
        stage.clear(START + 10 * MINUTE)
        assert stage.state.duplicate_clears == 0
        body = ClearBody(dry_run=False, dag_run_id=run.run_id, only_failed=False)
        apply(stage.state, choose(stage.state, "crm_sync", body), body, "me", START + 10 * MINUTE)
        assert stage.state.duplicate_clears == 1


class TestLoad:
    def test_the_state_in_which_a_recording_ended(self) -> None:
        state = load(RECORDED.read_text().splitlines(), "airflow-local")
        found = {run.dag_id: run for run in state.runs.values()}
        assert {dag_id: run.state for dag_id, run in found.items()} == {
            "killed_job": "failed",
            "partition_load": "failed",
            "crm_sync": "success",
        }
        killed = {key[0]: (task.state, task.try_number) for key, task in found["killed_job"].tasks.items()}
        assert killed["killed"] == ("failed", 1)
        assert killed["killed_with_retry"] == ("failed", 2)
        assert killed["after"] == ("upstream_failed", 0)
        mapped = found["partition_load"].tasks
        assert {key for key, task in mapped.items() if task.state == "failed"} == {("load", 3)}
        assert mapped["total", -1].state == "upstream_failed"
        assert (found["crm_sync"].clear_number, found["crm_sync"].tasks["pull", -1].try_number) == (3, 5)
        assert state.dags["crm_sync"].upstream("merge") == ("pull",)

    def test_the_order_of_records_changes_nothing(self) -> None:
        lines = RECORDED.read_text().splitlines()
        expected = _picture(load(lines, "ns"))
        for seed in range(5):
            assert _picture(load(Random(seed).sample(lines, len(lines)), "ns")) == expected

    def test_other_records_are_passed_over(self) -> None:
        assert load([b"", b"{", b"[]", b'{"eventType": "ABORT"}'], "ns").runs == {}


def _picture(state: FleetState) -> dict[object, object]:
    return {
        (run.dag_id, run.run_id, *key): (run.state, run.clear_number, task.state, task.try_number)
        for run in state.runs.values()
        for key, task in run.tasks.items()
    }


class TestScenario:
    def test_three_deployments_of_eight_dags_see_every_fate(self) -> None:
        scenario = Scenario(seed=7, start=START, length=4 * MINUTE)
        assert [len(deployment.dags) for deployment in fleet()] == [8, 8, 8]
        counted = Counter(slot.fate for slot in scenario.slots())
        assert set(counted) == set(Fate)
        assert counted[Fate.SUCCESS] > 0.5 * counted.total()

    def test_a_seed_is_a_story(self) -> None:
        def story(seed: int) -> list[bytes]:
            heard: list[bytes] = []
            scenario = Scenario(seed=seed, start=START, length=MINUTE)
            state = FleetState("ns")
            world = World(state, scenario.plan_for("prod-eu"), lambda key, value: heard.append(value))
            scenario.play(world, "prod-eu")
            world.advance(START + 5 * MINUTE)
            return heard

        assert story(1) == story(1)
        assert story(1) != story(2)

    def test_dagruns_end_as_their_fate_says(self) -> None:
        scenario = Scenario(seed=3, start=START, length=3 * MINUTE)
        for deployment in fleet():
            state = FleetState(deployment.namespace)
            world = World(state, scenario.plan_for(deployment.name))
            scenario.play(world, deployment.name)
            world.advance(START + 10 * MINUTE)
            healthy = {Fate.SUCCESS, Fate.AIRFLOW_RETRY}
            for slot in (each for each in scenario.slots() if each.deployment == deployment.name):
                run = state.runs[slot.dag_id, slot.run_id]
                assert run.state == ("success" if slot.fate in healthy else "failed"), slot
                world.person_clears(slot.dag_id, slot.run_id, START + 11 * MINUTE)
            world.advance(START + 20 * MINUTE)
            healed = {slot.fate for slot in scenario.slots() if state_of(state, slot.dag_id, slot.run_id) == "success"}
            assert healed == healthy | {Fate.TRANSIENT}

    def test_memory_is_bounded(self) -> None:
        state = FleetState()
        state.add_dag(DAG)
        for number in range(10):
            state.set_run_state(state.add_run("crm_sync", str(number), START), "failed", START)
        state.add_run("crm_sync", "open", START)
        state.prune(3)
        assert [run_id for _, run_id in state.runs] == ["8", "9", "open"]


def state_of(state: FleetState, dag_id: str, run_id: str) -> str:
    run = state.run(dag_id, run_id)
    return run.state if run else ""


async def test_a_running_fleet_is_healed_through_its_api() -> None:
    """The whole of it over HTTP: a transient failure is heard, looked at, cleared once, and succeeds."""
    heard: list[tuple[str, bytes]] = []
    begun = time.time_ns() // 1000
    scenario = Scenario(seed=5, start=START, length=30 * SECOND, every=5 * SECOND)

    def clock() -> Instant:
        return START + 40 * (time.time_ns() // 1000 - begun)

    async with running(scenario, clock, lambda name, key, value: heard.append((name, value))) as fleet_running:
        slot = next(slot for slot in scenario.slots() if slot.fate is Fate.TRANSIENT)
        stand_in = fleet_running[slot.deployment]
        settings = AirflowSettings(
            deployment=slot.deployment, base_url=stand_in.url, username="admin", password=Secret("admin")
        )
        client = AirflowClient(settings)
        await _until(lambda: state_of(stand_in.world.state, slot.dag_id, slot.run_id) == "failed")
        outcome = await _heal(client, slot.deployment, slot.dag_id, slot.run_id)
        assert isinstance(outcome, Delivered)
        await _until(lambda: state_of(stand_in.world.state, slot.dag_id, slot.run_id) == "success")
        await client.close()
        _check_counts(stand_in)
    namespaces = {json.loads(value)["job"]["namespace"] for name, value in heard if name == slot.deployment}
    assert namespaces == {stand_in.world.state.namespace}


def _check_counts(stand_in: Running) -> None:
    state = stand_in.world.state
    assert (state.clears, state.duplicate_clears) == (1, 0)
    assert state.calls["clear"] == 1


async def _heal(client: AirflowClient, deployment: str, dag_id: str, run_id: str) -> object:
    question = Action("look", "l", "k", deployment, Look(dag_id, run_id), 0, 0)
    (looked,) = await LookExecutor({deployment: client}).ask([question], 0)
    assert isinstance(looked, Looked)
    assert looked.truth is not None
    failed = [task for task in looked.truth.tasks if task.state == "failed"]
    targets = tuple(RetryTarget(task.task_id, task.try_number, task.map_index, task.instance_id) for task in failed)
    retry = Action("heal", "l", "k", deployment, Retry(dag_id, run_id, targets, "test"), 0, 0)
    return await RetryExecutor({deployment: client}).perform(retry, uncertain=False)


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110  (the stand-in's state raises no event)
            await asyncio.sleep(0.01)
