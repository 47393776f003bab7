"""The broker of the session, and a small fleet with one DAG of each fate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.fleet.plan import SUCCEEDS, DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.time import MILLISECOND
from tests.acceptance.harness import Site, site

QUICK = 50 * MILLISECOND
FATES = {
    "resets": Plan(
        Failure("ConnectionResetError", "[Errno 104] Connection reset by peer"),
        heals_after_clears=1, duration=QUICK, announce=QUICK,
    ),
    "breaks": Plan(Failure("KeyError", "'customer_id'"), duration=QUICK, announce=QUICK),
}  # fmt: skip
"""By the first part of the DAG's name: 'resets' fails until it is cleared, 'breaks' fails, all others succeed."""


def plan_for(run: DagRun, instance: TaskInstance) -> Plan:
    return FATES.get(run.dag_id.partition("_")[0], SUCCEEDS)


def add_dags(place: Site) -> None:
    for dag in ("resets", "breaks", "breaks_too", "works"):
        place.state.add_dag(DagSpec(dag, (TaskSpec("load"),)))


@pytest.fixture
async def place(tmp_path: Path, embedded_broker: EmbeddedBroker) -> AsyncIterator[Site]:
    """The fleet, with a topic in the broker of the session."""
    async with site(tmp_path, embedded_broker.bootstrap, plan_for=plan_for) as place:
        add_dags(place)
        yield place


@pytest.fixture
async def own_broker() -> AsyncIterator[EmbeddedBroker]:
    """A broker for this test alone, still to be started."""
    broker = EmbeddedBroker()
    yield broker
    await broker.stop()


@pytest.fixture
async def unfed(tmp_path: Path, own_broker: EmbeddedBroker) -> AsyncIterator[Site]:
    """The fleet, whose broker is not there yet."""
    async with site(tmp_path, own_broker.bootstrap, plan_for=plan_for, create=False) as place:
        add_dags(place)
        yield place
