"""The daemon heals what fails on a real Airflow 2 that announces nothing: it is found by sweeps alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.receiver.app import Receiver
from remediator.web.server import serving
from tests.airflow.daemon import Daemon, Row
from tests.airflow.eventually import eventually
from tests.airflow.patient import connected
from tests.airflow.real_airflow import PARTITIONS, TOPIC
from tests.airflow2.real_airflow2 import PASSWORD, USERNAME, RealAirflow2
from tests.support.broker_fixtures import background

pytestmark = [pytest.mark.airflow2, pytest.mark.subprocesses]

DAG_ID = "swept_load"
RULES = f"""
[[rule]]
id = "retry-load"
summary = "The partitions are loaded again"
owner = "data-platform"
severity = "warning"
mode = "act"
on = "task.failed_finally"
where = {{ dag_id = "{DAG_ID}" }}

[[rule.do]]
action = "airflow.retry"
max_attempts = 3
backoff = {{ initial = "1s", max = "10m" }}
verify = "30m"

[[rule.otherwise]]
action = "page"
to = "default"
"""


@pytest.fixture
async def http(real_airflow2: RealAirflow2) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(real_airflow2.url, auth=(USERNAME, PASSWORD)) as made:
        yield made


async def test_a_mapped_index_that_failed_is_healed_by_one_clear_and_wakes_nobody(
    tmp_path: Path, real_airflow2: RealAirflow2, http: httpx.AsyncClient
) -> None:
    receiver, run_id = Receiver(), f"swept-{time.time_ns()}"
    with background() as runner:
        broker = EmbeddedBroker()
        runner.run(broker.start())
        runner.run(broker.create_topics({TOPIC: PARTITIONS}))
        async with serving(receiver.app()) as running:
            daemon = Daemon(
                tmp_path / "remediator",
                broker.bootstrap,
                real_airflow2.url,
                running.url,
                rules=RULES,
                api_version="auto",
            )
            try:
                await daemon.start()
                answer = await http.post(f"/api/v1/dags/{DAG_ID}/dagRuns", json={"dag_run_id": run_id})
                assert answer.status_code in (200, 409), answer.text
                await ends(http, run_id, "failed")
                (real_airflow2.heal_dir / run_id).touch()
                await ends(http, run_id, "success")
                story = await resolved(daemon, run_id)
            finally:
                await daemon.stop()
                receiver.release()
                runner.run(broker.stop())

    (retry,) = [one for one in story["actions"] if one["kind"] == "airflow.retry"]
    load = (await http.get(f"/api/v1/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/load/2")).json()
    assert (load["state"], load["try_number"], load["max_tries"]) == ("success", 2, 1)
    assert load["note"].startswith(f"remediator:{retry['id']}")
    assert retry["state"] == "delivered"
    assert story["incident"]["helped"] is True
    # Dagruns that other tests have let fail are found and told too: theirs are other incidents.
    told = [one.summary for one in receiver.pagerduty.alerts] + [one.text for one in receiver.slack.messages]
    assert [one for one in told if DAG_ID in one] == []


async def ends(http: httpx.AsyncClient, run_id: str, state: str) -> None:
    async def now() -> str:
        answer = await http.get(f"/api/v1/dags/{DAG_ID}/dagRuns/{run_id}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["state"])

    await eventually(now, lambda said: said == state, what=f"{run_id} {state}")


async def resolved(daemon: Daemon, run_id: str) -> Row:
    def is_over(story: Row | None) -> bool:
        return story is not None and story["incident"]["phase"] == "resolved"

    story = await eventually(lambda: daemon.incident_of(run_id), is_over, what=f"{run_id}: {daemon.log_tail()}")
    assert story is not None
    return story
