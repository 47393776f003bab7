"""SIGKILL at random while records flow: nothing is lost, nothing is done twice, and the end is that of a calm run.

REMEDIATOR_KILLS and REMEDIATOR_RECORDS set how much of it; the full numbers of the long test are 50 and 20,000.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from remediator.demo.broker import EmbeddedBroker
from tests.acceptance.crash_history import ends
from tests.acceptance.crash_postgres import postgres_url
from tests.acceptance.crash_run import Came, Plan, report, run
from tests.acceptance.harness import clock
from tests.support.broker_fixtures import apache_kafka
from tests.support.kafka import ApacheKafka

__all__ = ["apache_kafka", "postgres_url"]

pytestmark = pytest.mark.subprocesses

KILLS = int(os.environ.get("REMEDIATOR_KILLS", "50"))
RECORDS = int(os.environ.get("REMEDIATOR_RECORDS", "20000"))
FEW = Plan(kills=3, seed=11, lives=(1.2, 3.0))
CALM = Plan(is_static=True)


@pytest.mark.broker
async def test_a_few_kills_change_nothing(tmp_path: Path, embedded_broker: EmbeddedBroker) -> None:
    now, size, bootstrap = clock(), 1_200, embedded_broker.bootstrap
    calm, killed = await asyncio.gather(
        run(tmp_path / "calm", bootstrap, f"sqlite:///{tmp_path}/calm.db", size, now, Plan()),
        run(tmp_path / "killed", bootstrap, f"sqlite:///{tmp_path}/killed.db", size, now, FEW),
    )
    check(killed, calm)


@pytest.mark.kafka
async def test_fifty_kills_change_nothing_on_sqlite(tmp_path: Path, apache_kafka: ApacheKafka) -> None:
    now, bootstrap = clock(), apache_kafka.bootstrap
    calm = await run(tmp_path / "calm", bootstrap, f"sqlite:///{tmp_path}/calm.db", RECORDS, now, CALM)
    plan = Plan(kills=KILLS, seed=50, is_static=True, lives=(0.5, 2.8))
    killed = await run(tmp_path / "killed", bootstrap, f"sqlite:///{tmp_path}/killed.db", RECORDS, now, plan)
    check(killed, calm)


@pytest.mark.kafka
@pytest.mark.postgres
async def test_fifty_kills_of_two_daemons_change_nothing_on_postgresql(
    tmp_path: Path, apache_kafka: ApacheKafka, postgres_url: str
) -> None:
    now, bootstrap = clock(), apache_kafka.bootstrap
    calm = await run(tmp_path / "calm", bootstrap, f"sqlite:///{tmp_path}/calm.db", RECORDS, now, CALM)
    plan = Plan(kills=KILLS, daemons=2, seed=51, is_static=True, lives=(0.2, 2.2))
    killed = await run(tmp_path / "killed", bootstrap, postgres_url, RECORDS, now, plan)
    check(killed, calm)


def check(killed: Came, calm: Came) -> None:
    """Both runs are whole by themselves, and end alike."""
    check_nothing_lost_or_doubled(calm)
    check_nothing_lost_or_doubled(killed)
    check_same_end(killed, calm)


def check_nothing_lost_or_doubled(came: Came) -> None:
    print(report(came))
    assert came.positions == came.ends
    assert sum(came.ends.values()) == len(came.sent)
    assert came.facts == ends(came.sent)
    garbage = [value for _, value in came.sent if value.startswith(b"\xff")]
    assert len(came.dead_letters) == len(set(came.dead_letters)) == len(garbage) > 0
    assert came.duplicate_clears == 0
    assert came.replayed == ""
    assert came.people["slack_posts"] == came.people["slack_distinct_actions"]
    assert came.people["pagerduty_pages"] == came.people["pagerduty_distinct_keys"]


def check_same_end(killed: Came, calm: Came) -> None:
    assert killed.clears == calm.clears > 0
    assert killed.effects == calm.effects
    assert killed.identities == calm.identities
    assert len(calm.identities) > calm.clears
    assert killed.incidents == calm.incidents
    assert killed.people["pagerduty_pages"] == calm.people["pagerduty_pages"] > 0
    assert killed.people["slack_posts"] == calm.people["slack_posts"] > 0
