"""SIGKILL at random while records flow: nothing is lost, nothing is done twice, and the end is that of a calm run.

REMEDIATOR_KILLS and REMEDIATOR_RECORDS set how much of it; the full numbers of the long test are 50 and 20,000.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_history import ends
from crash_run import Came, Plan, report, run
from harness import clock

from remediator.demo.broker import EmbeddedBroker

pytestmark = [pytest.mark.subprocesses, pytest.mark.broker]

FEW = Plan(kills=5, seed=11)


async def test_a_few_kills_change_nothing(tmp_path: Path, embedded_broker: EmbeddedBroker) -> None:
    now, size = clock(), 2_000
    calm = await run(tmp_path / "calm", embedded_broker.bootstrap, f"sqlite:///{tmp_path}/calm.db", size, now, Plan())
    killed = await run(tmp_path / "killed", embedded_broker.bootstrap, f"sqlite:///{tmp_path}/k.db", size, now, FEW)
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
    assert came.people["slack_posts"] == came.people["slack_distinct_actions"]
    assert came.people["pagerduty_pages"] == came.people["pagerduty_distinct_keys"]


def check_same_end(killed: Came, calm: Came) -> None:
    assert killed.clears == calm.clears > 0
    assert killed.effects == calm.effects
    assert killed.incidents == calm.incidents
    assert killed.people["pagerduty_pages"] == calm.people["pagerduty_pages"] > 0
    assert killed.people["slack_posts"] == calm.people["slack_posts"] > 0
