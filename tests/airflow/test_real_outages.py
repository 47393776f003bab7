"""What is around the daemon goes away in the middle of its work, and comes back: nothing lost, no clear twice."""

from __future__ import annotations

import os
import signal
import time

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.receiver.app import Receiver
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.daemon import Daemon, Row
from tests.airflow.eventually import eventually
from tests.airflow.night import triggers
from tests.airflow.real_airflow import RealAirflow
from tests.airflow.topic import clear_numbers, lineage_of

pytestmark = [pytest.mark.airflow, pytest.mark.subprocesses]

OUTAGE_SECONDS = 60.0
BOUND_SECONDS = 150.0


async def test_airflow_is_restarted_in_the_middle_of_a_remediation(
    api: AirflowApi, real_airflow: RealAirflow, daemon: Daemon, receiver: Receiver, suite_broker: EmbeddedBroker
) -> None:
    """Killed once before the clear, and once while it is done: Airflow notes what it is asked for before it acts."""
    run_id = await api.trigger("crm_restart")
    await planned(daemon, run_id)
    await api.ends("crm_restart", run_id, "failed")  # nothing is cleared that a scheduler has still to end
    real_airflow.kill("scheduler", "api")
    await meets(daemon, run_id, was_tried, "a clear that met no API")

    real_airflow.revive("api")  # without a scheduler, so that what is cleared now stays where it is
    await eventually(lambda: api.clears("crm_restart", run_id), seconds=BOUND_SECONDS, what=daemon.log_tail())
    real_airflow.kill("api")
    real_airflow.revive("api")  # first: a task that meets no API fails
    real_airflow.revive()

    await api.ends("crm_restart", run_id, "success")
    await healed_once(api, daemon, suite_broker, "crm_restart", run_id)
    assert triggers(receiver) == []


async def test_the_broker_stands_still_for_a_minute(
    api: AirflowApi, real_airflow: RealAirflow, daemon: Daemon, receiver: Receiver, suite_broker: EmbeddedBroker
) -> None:
    """What was being healed goes on; what fails meanwhile is found by sweeps, and told: its error is lost."""
    before = await api.trigger("crm_restart")
    await planned(daemon, before)
    os.kill(suite_broker.pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + OUTAGE_SECONDS
        meanwhile = await api.trigger("crm_outage")
        told = await api.trigger("manual_export", conf={"fail": True})
        await api.ends("crm_restart", before, "success")
        for dag_id, run_id in (("crm_outage", meanwhile), ("manual_export", told)):
            await api.ends(dag_id, run_id, "failed")
            await eventually(lambda dag_id=dag_id: found_by_sweep(daemon, dag_id), what=f"{dag_id} found by a sweep")
        await eventually(lambda: is_past(until), what="the end of the outage")
        assert triggers(receiver) == []
    finally:
        os.kill(suite_broker.pid, signal.SIGCONT)

    for run_id in (meanwhile, told):
        await eventually(lambda run_id=run_id: pages_about(receiver, run_id), seconds=BOUND_SECONDS, what=run_id)
    await daemon.settled()

    await healed_once(api, daemon, suite_broker, "crm_restart", before)
    await api.only_clear("crm_restart", before)
    assert len(triggers(receiver)) == 2, daemon.log_tail()
    for dag_id, run_id in (("crm_outage", meanwhile), ("manual_export", told)):
        assert await api.clears(dag_id, run_id) == [], daemon.log_tail()


async def planned(daemon: Daemon, run_id: str) -> None:
    """Wait until the daemon wants to clear the dagrun, and waits for the time to do so."""
    await meets(daemon, run_id, is_planned, "a planned retry")


async def meets(daemon: Daemon, run_id: str, holds: object, what: str) -> None:
    await eventually(
        lambda: daemon.incident_of(run_id), holds, seconds=BOUND_SECONDS, what=f"{what}: {daemon.log_tail()}"
    )


def is_planned(story: Row | None) -> bool:
    return story is not None and any(one["reason"] == "retry_planned" for one in story["decisions"])


def was_tried(story: Row | None) -> bool:
    return story is not None and any(one["kind"] == "airflow.retry" and one["tries"] for one in story["actions"])


def is_over(story: Row | None) -> bool:
    return story is not None and story["incident"]["phase"] == "resolved"


async def found_by_sweep(daemon: Daemon, dag_id: str) -> bool:
    lines = (daemon.folder / "daemon.log").read_text(errors="replace").splitlines()
    return any('"found_by_look"' in line and f"dag:real/{dag_id}" in line for line in lines)


async def is_past(moment: float) -> bool:
    return time.monotonic() > moment


async def pages_about(receiver: Receiver, run_id: str) -> list[Row]:
    return [page for page in triggers(receiver) if run_id in page["payload"]["custom_details"].get("dagruns", "")]


async def healed_once(api: AirflowApi, daemon: Daemon, broker: EmbeddedBroker, dag_id: str, run_id: str) -> None:
    """One retry, one clear that took effect, one more try; and the daemon knows that it helped.

    It may have asked twice, if Airflow died of the first time: always as the same action, by its note.
    """
    await meets(daemon, run_id, is_over, f"{dag_id} resolved")
    story = await daemon.incident_of(run_id)
    assert story is not None
    (retry,) = [one for one in story["actions"] if one["kind"] == "airflow.retry"]
    asked = {one["note"].partition(" ")[0] for one in await api.clears(dag_id, run_id)}
    assert asked == {f"remediator:{retry['id']}"}, daemon.log_tail()
    assert (retry["state"], story["incident"].get("helped")) == ("delivered", True), daemon.log_tail()
    assert await api.tries(dag_id, run_id, "pull") == [1, 2], daemon.log_tail()
    assert max(clear_numbers(await lineage_of(broker.bootstrap, run_id)), default=1) <= 1, daemon.log_tail()
