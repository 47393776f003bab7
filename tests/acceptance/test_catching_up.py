"""The daemon was down while things broke: what healed meanwhile wakes nobody, what did not is found, today is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.fleet.clearing import ClearBody, apply, choose
from remediator.demo.fleet.plan import DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.time import MILLISECOND
from tests.acceptance.harness import QUICK_POLICY, DaemonProcess, Site, clock, eventually, site

pytestmark = [pytest.mark.broker, pytest.mark.subprocesses]

FAILURES = 200
DAGS = [f"nightly_{number}" for number in range(FAILURES)]
RUN = "scheduled__tonight"
BUG = Failure("KeyError", "'customer_id'")
RESET = Failure("ConnectionResetError", "[Errno 104] Connection reset by peer")
QUICK = 10 * MILLISECOND
SETTINGS = {**QUICK_POLICY, "behind_after": "10s"}
"""A feed at rest is marked every five seconds: it is not behind before that."""


def plan_for(run: DagRun, instance: TaskInstance) -> Plan:
    """Each night's dagrun fails until it is cleared; even DAGs by a bug, odd ones by a lost connection."""
    if run.dag_id not in DAGS:
        return Plan(BUG)
    failure = BUG if DAGS.index(run.dag_id) % 2 == 0 else RESET
    return Plan(failure, heals_after_clears=1, duration=QUICK, announce=QUICK)


@pytest.fixture
async def place(tmp_path: Path, embedded_broker: EmbeddedBroker) -> AsyncIterator[Site]:
    """A fleet in which every DAG fails; whoever clears it heals it."""
    async with site(tmp_path, embedded_broker.bootstrap, plan_for=plan_for) as place:
        for dag in [*DAGS, "today"]:
            place.state.add_dag(DagSpec(dag, (TaskSpec("load"),)))
        yield place


async def a_bad_night(place: Site) -> None:
    """All DAGs run, and all fail."""
    for dag in DAGS:
        place.world.run_dag(dag, RUN, clock())
    await eventually(lambda: states(place)["failed"] == FAILURES, "everything fails")


async def people_clear(place: Site, dags: list[str]) -> None:
    """Somebody clears them by hand, and they succeed."""
    for dag in dags:
        body = ClearBody(dry_run=False, dag_run_id=RUN)
        apply(place.state, choose(place.state, dag, body), body, "operator", clock())
    await eventually(lambda: states(place)["success"] == len(dags), "what was cleared succeeds")


def states(place: Site) -> dict[str, int]:
    found = {"failed": 0, "success": 0}
    for run in place.state.runs.values():
        found[run.state] = found.get(run.state, 0) + 1
    return found


def our_clears(place: Site) -> list[str]:
    return sorted(record.dag_id for record in place.state.clear_records if record.user != "operator")


async def is_reading(daemon: DaemonProcess) -> bool:
    return (await daemon.status())["feeds"]["main"]["watermark"] is not None


async def todays_failure_is_paged(place: Site) -> None:
    place.world.run_dag("today", "scheduled__today", clock())
    await eventually(lambda: place.pages_about("today.load"), "a failure of now is paged")


async def test_failures_that_healed_while_the_daemon_was_down_wake_nobody(place: Site) -> None:
    async with DaemonProcess(place.config(policy=SETTINGS)) as daemon:
        await eventually(lambda: is_reading(daemon), "it reads")
        assert await daemon.stop() == 0
    await a_bad_night(place)
    await people_clear(place, DAGS)
    async with DaemonProcess(place.config(policy=SETTINGS)) as daemon:
        await daemon.settled(len(place.said))
        await todays_failure_is_paged(place)
        assert place.pages == 1
        await eventually(lambda: place.receiver.slack.posts == 1, "and posted")
        assert our_clears(place) == []
        assert len(await daemon.incidents()) == 1


async def test_only_what_did_not_heal_is_treated(place: Site) -> None:
    await a_bad_night(place)
    healed, left = DAGS[: FAILURES // 2], DAGS[FAILURES // 2 :]
    await people_clear(place, healed)
    bugs = {f"{dag}.load" for dag in left if DAGS.index(dag) % 2 == 0}
    resets = {dag for dag in left if DAGS.index(dag) % 2 == 1}
    async with DaemonProcess(place.config(policy=SETTINGS)):
        await eventually(lambda: place.pages >= len(bugs), "what a person has to mend is paged", seconds=45)
        await eventually(lambda: len(our_clears(place)) >= len(resets), "what passes is cleared")
        await todays_failure_is_paged(place)
        assert sorted(alert.summary.split(" ")[1] for alert in place.receiver.pagerduty.alerts) == sorted(
            [*bugs, "today.load"]
        )
        assert our_clears(place) == sorted(resets)
