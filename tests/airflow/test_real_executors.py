"""What the executors do to a real Airflow, checked in Airflow's own event log, notes and tries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.demo.broker import EmbeddedBroker
from remediator.model.action import Action, Look, Retry, RetryTarget, Sweep
from remediator.model.inputs import Looked, Swept
from remediator.model.outcome import Delivered, Outcome, Refused, Unknown
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Instant
from remediator.model.truth import DagRunTruth, TaskTruth
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.eventually import eventually
from tests.airflow.patient import answered, performed
from tests.airflow.real_airflow import PASSWORD, USERNAME, RealAirflow
from tests.airflow.topic import lineage_of, said

pytestmark = pytest.mark.airflow

DEPLOYMENT = "real"
WRONG = "a-wrong-credential"


@pytest.fixture
async def client(real_airflow: RealAirflow) -> AsyncIterator[AirflowClient]:
    settings = AirflowSettings(
        deployment=DEPLOYMENT, base_url=real_airflow.url, username=USERNAME, password=Secret(PASSWORD)
    )
    made = AirflowClient(settings)
    yield made
    await made.close()


class TestCrmSync:
    """pull fails through both of its tries; merge and publish are upstream_failed."""

    async def test_a_retry_is_one_clear_however_often_it_is_performed(
        self, api: AirflowApi, client: AirflowClient
    ) -> None:
        run_id = await api.failed("crm_sync")
        truth = await look(client, "crm_sync", run_id)
        assert truth.state == "failed"
        pull = task(truth, "pull")
        assert (pull.state, pull.try_number) == ("failed", 2)

        first = await retry(client, "crm_sync", run_id, "0a0a0a01", pull)
        again = await retry(client, "crm_sync", run_id, "0a0a0a01", pull, uncertain=True)

        assert first == Delivered(ref="0a0a0a01", detail="cleared 3 task instances")
        assert again == Delivered(ref="0a0a0a01", detail="found by its note")
        clear = await api.only_clear("crm_sync", run_id)
        assert clear["owner"] == USERNAME
        assert clear["task_ids"] == ["pull"]
        assert clear["note"] == (await api.task("crm_sync", run_id, "pull"))["note"] == "remediator:0a0a0a01 the suite"

    async def test_an_attempt_that_is_not_the_expected_one_is_left_alone(
        self, api: AirflowApi, client: AirflowClient
    ) -> None:
        run_id = await api.failed("crm_sync")
        pull = task(await look(client, "crm_sync", run_id), "pull")
        another_try = msgspec.structs.replace(pull, try_number=1)
        another_clear = msgspec.structs.replace(pull, instance_id="01990000-0000-7000-8000-000000000000")

        for number, target in enumerate((another_try, another_clear)):
            outcome = await retry(client, "crm_sync", run_id, f"0b0b0b0{number}", target)
            assert outcome == Refused("attempt moved on: pull is failed at try 2")

        assert await api.clears("crm_sync", run_id) == []
        row = await api.task("crm_sync", run_id, "pull")
        assert (row["id"], row["note"]) == (pull.instance_id, None)

    async def test_of_clears_at_once_one_wins_and_the_others_learn_it(
        self, api: AirflowApi, client: AirflowClient
    ) -> None:
        run_id = await api.failed("crm_sync")
        pull = task(await look(client, "crm_sync", run_id), "pull")
        ids = [f"0c0c0c0{number}" for number in range(3)]

        outcomes = await asyncio.gather(*(retry(client, "crm_sync", run_id, one, pull) for one in ids))

        won = [one for one, outcome in zip(ids, outcomes, strict=True) if isinstance(outcome, Delivered)]
        # A loser is answered 409, in trouble 500, and 500 leaves it open who cleared.
        lost = [outcome for outcome in outcomes if isinstance(outcome, Refused | Unknown)]
        assert (len(won), len(lost)) == (1, 2), outcomes
        assert all(outcome.reason.startswith("attempt moved on") for outcome in lost)
        assert (await api.task("crm_sync", run_id, "pull"))["note"] == f"remediator:{won[0]} the suite"

    @pytest.mark.parametrize(
        ("wrong", "refusal"),
        [
            ({"username": USERNAME, "password": Secret(WRONG)}, "HTTP 401: Invalid credentials"),
            ({"token": Secret(WRONG)}, "HTTP 403: Invalid JWT token"),
        ],
    )
    async def test_wrong_credentials_are_refused_without_being_shown(
        self, real_airflow: RealAirflow, wrong: dict[str, str], refusal: str
    ) -> None:
        client = AirflowClient(AirflowSettings(deployment=DEPLOYMENT, base_url=real_airflow.url, **wrong))
        try:
            outcome = await retry(client, "crm_sync", "any", "0d0d0d01", TaskTruth("pull", "failed", 2))
            (answer,) = await eventually(
                lambda: LookExecutor({DEPLOYMENT: client}).ask([action("l", Look("crm_sync", "any"))], now()),
                lambda answers: not answers[0].error.startswith("HTTP 5"),
                what="refused",
            )
        finally:
            await client.close()
        assert outcome == Refused(refusal)
        assert isinstance(answer, Looked)
        assert (answer.truth, answer.error) == (None, refusal)
        assert WRONG not in repr((outcome, answer))


async def test_a_mapped_task_instance_is_cleared_alone(api: AirflowApi, client: AirflowClient) -> None:
    run_id = await api.failed("partition_load")
    truth = await look(client, "partition_load", run_id)
    (failed,) = [one for one in truth.tasks if one.state == "failed"]
    assert (failed.task_id, failed.map_index) == ("load", 3)

    outcome = await retry(client, "partition_load", run_id, "0e0e0e01", failed)

    assert outcome == Delivered(ref="0e0e0e01", detail="cleared 2 task instances")
    clear = await api.only_clear("partition_load", run_id)
    assert clear["task_ids"] == [["load", 3]]
    rows = [await api.task("partition_load", run_id, "load", index) for index in range(6)]
    assert [row["note"] for row in rows] == [None, None, None, "remediator:0e0e0e01 the suite", None, None]
    await api.ends("partition_load", run_id, "failed")
    rows = [await api.task("partition_load", run_id, "load", index) for index in range(6)]
    assert [(row["state"], row["try_number"]) for row in rows] == [("success", 1)] * 3 + [("failed", 2)] + [
        ("success", 1)
    ] * 2


async def test_a_sweep_finds_the_failure_that_no_event_announced(
    api: AirflowApi, client: AirflowClient, suite_broker: EmbeddedBroker
) -> None:
    since = now() - SECOND
    run_id = await api.failed("killed_job")

    (swept,) = await answered(SweepExecutor({DEPLOYMENT: client}), [action("s", Sweep(since))], now)
    truth = await look(client, "killed_job", run_id)
    announced = await eventually(
        lambda: lineage_of(suite_broker.bootstrap, run_id),
        lambda events: "FAIL" in said(events, "DAG"),
        what="DAG FAIL",
    )

    assert isinstance(swept, Swept)
    assert [(ref.dag_id, ref.run_id) for ref in swept.dagruns] == [("killed_job", run_id)]
    assert [(one.task_id, one.state, one.try_number) for one in truth.tasks] == [
        ("after", "upstream_failed", 0),
        ("killed", "failed", 1),
    ]
    assert said(announced, "TASK") == ["START"]


def now() -> Instant:
    return time.time_ns() // 1000


def action(action_id: str, params: Look | Retry | Sweep) -> Action:
    return Action(action_id, "lane", "key", DEPLOYMENT, params, 0, 0)


def task(truth: DagRunTruth, task_id: str) -> TaskTruth:
    (found,) = [one for one in truth.tasks if one.task_id == task_id]
    return found


async def look(client: AirflowClient, dag_id: str, run_id: str) -> DagRunTruth:
    (answer,) = await answered(LookExecutor({DEPLOYMENT: client}), [action("look", Look(dag_id, run_id))], now)
    assert isinstance(answer, Looked)
    assert answer.truth is not None
    return answer.truth


async def retry(
    client: AirflowClient, dag_id: str, run_id: str, action_id: str, *truths: TaskTruth, uncertain: bool = False
) -> Outcome:
    params = Retry(dag_id, run_id, targets(truths), "the suite")
    return await performed(RetryExecutor({DEPLOYMENT: client}), action(action_id, params), uncertain=uncertain)


def targets(truths: Sequence[TaskTruth]) -> tuple[RetryTarget, ...]:
    return tuple(RetryTarget(one.task_id, one.try_number, one.map_index, one.instance_id) for one in truths)
