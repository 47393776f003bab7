"""A daemon that is killed around a clear of a real Airflow clears exactly once: judged by Airflow's own record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.receiver.app import Receiver
from remediator.web.server import serving
from tests.airflow.airflow_api import AirflowApi, new_run_id
from tests.airflow.daemon import Daemon, Row
from tests.airflow.eventually import eventually
from tests.airflow.real_airflow import RealAirflow
from tests.airflow.topic import clear_numbers, lineage_of

pytestmark = [pytest.mark.airflow, pytest.mark.subprocesses]

CLAIM_SECONDS = 150.0
"""What a killed dispatcher had claimed is claimed again after 90 s."""
POINTS = ("intent:before", "intent:after", "call:after", "outcome:before")


async def test_killed_at_every_point_around_a_clear_it_clears_exactly_once(
    tmp_path: Path, api: AirflowApi, real_airflow: RealAirflow, suite_broker: EmbeddedBroker
) -> None:
    """Four daemons side by side, each with its own store, people and DAG: most of the time is waiting for claims."""
    async with asyncio.TaskGroup() as group:
        for point in POINTS:
            group.create_task(_killed_at(point, tmp_path, api, real_airflow, suite_broker))


async def _killed_at(point: str, tmp_path: Path, api: AirflowApi, airflow: RealAirflow, broker: EmbeddedBroker) -> None:
    dag_id = f"crm_{point.replace(':', '_')}"
    receiver = Receiver()
    async with serving(receiver.app()) as running:
        daemon = Daemon(tmp_path / dag_id, broker.bootstrap, airflow.url, running.url, only=dag_id)
        try:
            await daemon.start(crash_at=point)
            run_id = await failed_then_healed(api, airflow, dag_id)
            await daemon.crashed()
            assert len(await api.clears(dag_id, run_id)) == (0 if point.startswith("intent") else 1), point

            await daemon.start()
            await api.ends(dag_id, run_id, "success")
            story = await resolved(daemon, run_id)
            retry = only_retry(story)
            assert len(await api.clears(dag_id, run_id)) == 1, point
            clear = await clear_asked_for(api, dag_id, run_id)
            assert clear["note"].startswith(f"remediator:{retry['id']}"), point
            assert await api.tries(dag_id, run_id, "pull") == [1, 2, 3], point
            assert max(clear_numbers(await lineage_of(broker.bootstrap, run_id))) == 1, point
            assert story["incident"]["helped"] is True, point
            assert [one for one in receiver.pagerduty.events if run_id in json.dumps(one)] == [], point
        finally:
            await daemon.stop()
            receiver.release()


async def failed_then_healed(api: AirflowApi, airflow: RealAirflow, dag_id: str) -> str:
    """A new dagrun that fails through all of Airflow's tries; then what it depends on is back."""
    run_id = await api.trigger(dag_id, new_run_id())
    await eventually(lambda: api.task(dag_id, run_id, "pull"), lambda row: row["state"] == "failed", what=dag_id)
    (airflow.heal_dir / run_id).touch()
    return run_id


async def clear_asked_for(api: AirflowApi, dag_id: str, run_id: str) -> Row:
    """The clear as Airflow's event log has it, which knows no dry runs."""
    asked = await api.clears(dag_id, run_id)
    assert asked
    assert all(one == asked[0] for one in asked), asked
    return asked[0]


async def resolved(daemon: Daemon, run_id: str) -> Row:
    """The dagrun's incident with its story, once it is resolved and no retry is open any more."""

    def is_over(story: Row | None) -> bool:
        if story is None or story["incident"]["phase"] != "resolved":
            return False
        return all(one["state"] not in ("pending", "claimed") for one in retries(story))

    story = await eventually(lambda: daemon.incident_of(run_id), is_over, seconds=CLAIM_SECONDS, what=run_id)
    assert story is not None
    return story


def retries(story: Row) -> list[Row]:
    return [one for one in story["actions"] if one["kind"] == "airflow.retry"]


def only_retry(story: Row) -> Row:
    found = retries(story)
    assert len(found) == 1, found
    return found[0]
