"""The whole recorded traffic of Airflow 3.3.2, read by the daemon: what it does about each failure, and only once."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.fleet.load import load
from remediator.demo.fleet.plan import SUCCEEDS, DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, TaskInstance
from tests.acceptance.harness import PACK, ROOT, DaemonProcess, Site, clock, eventually, produce, site

pytestmark = [pytest.mark.broker, pytest.mark.subprocesses]

CORPUS = ROOT / "tests" / "data" / "corpus" / "openlineage-airflow-3.3.2.ndjson.gz"
NAMESPACE = "airflow-local"
RECORDS = 819
HOST = "127.0.0.1"
"""Where the log links of the recording point to (port 8181)."""


class Treatment(NamedTuple):
    """failures: dagruns in which it failed for good. cleared: attempts that are run again. rule: who answers."""

    failures: int
    cleared: int
    paged: bool
    rule: str


EXPECTED = {
    # dag, task                            failures  cleared  paged  rule
    ("crm_sync", "pull"): Treatment(2, 2, False, "transient-network"),
    ("feature_build", "build_matrix"): Treatment(2, 0, True, "out-of-memory-error"),
    ("feature_build", "child_oom"): Treatment(2, 0, True, "out-of-memory-killed"),
    ("feature_build", "real_limit"): Treatment(2, 0, True, "out-of-memory-error"),
    ("schema_drift", "parse"): Treatment(5, 0, True, "unclassified"),
    ("slow_report", "times_out"): Treatment(3, 0, True, "unclassified"),
    ("partition_load", "load"): Treatment(5, 0, True, "unclassified"),
    ("branchy", "fail_no_retry"): Treatment(2, 0, True, "unclassified"),
    ("killed_job", "killed"): Treatment(3, 0, True, "unclassified"),  # no event at all: found by looking
    ("killed_job", "killed_with_retry"): Treatment(3, 0, True, "unclassified"),  # none of its last try
    ("killed_job", "sysexit"): Treatment(3, 0, True, "unclassified"),
    ("dq_orders", "assert_rows_fail"): Treatment(2, 0, True, "unclassified"),
    ("dq_orders", "check_columns"): Treatment(2, 0, True, "unclassified"),
}
"""Every task that failed for good. Whatever Airflow retried itself (heartbeat_etl, flaky_ingest, daily_revenue, the
second dagrun of crm_sync) is not in it, and nothing may be done about it."""
PAGED = {task for task, treatment in EXPECTED.items() if treatment.paged}
TO_BE_CLEARED = {
    ("crm_sync", "manual__2026-11-22T06:51:59.129844+00:00", "pull", -1, 2),
    ("crm_sync", "manual__2026-11-22T07:13:05.104086+00:00", "pull", -1, 2),
}


def records() -> list[tuple[bytes, bytes, int]]:
    """(key, value, partition) in the order of the recording."""
    with gzip.open(CORPUS, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["key"].encode(), row["value"].encode(), row["partition"]) for row in rows]


def quick_pack() -> str:
    """The shipped rules, with waits of a second before a retry."""
    files = sorted(path for path in PACK.glob("*.toml") if not path.name.endswith(".test.toml"))
    text = "\n".join(path.read_text() for path in files)
    return re.sub(r"backoff = \{.*\}", 'backoff = { initial = "1s", factor = 1, max = "1s", jitter = 0 }', text)


def plan_for(run: DagRun, instance: TaskInstance) -> Plan:
    """Whatever is run again succeeds; the one DAG that is not in the recording fails for good."""
    return Plan(Failure("KeyError", "'customer_id'")) if run.dag_id == "later" else SUCCEEDS


@pytest.fixture(scope="module")
def recorded() -> list[tuple[bytes, bytes, int]]:
    found = records()
    assert len(found) == RECORDS
    return found


@pytest.fixture
async def place(
    tmp_path: Path, embedded_broker: EmbeddedBroker, recorded: list[tuple[bytes, bytes, int]]
) -> AsyncIterator[Site]:
    """The recorded Airflow as it stood at the end, and the recording in the broker. Whatever is run again succeeds."""
    state = load((value for _, value, _ in recorded), NAMESPACE)
    async with site(tmp_path, embedded_broker.bootstrap, state=state, plan_for=plan_for, partitions=3) as place:
        await produce(place.bootstrap, place.topic, recorded)
        yield place


def settings(place: Site, log_hosts: list[str]) -> Path:
    return place.config(
        rules={"paths": [place.rules(quick_pack())]}, deployment=[place.deployment(log_hosts=log_hosts)]
    )


async def incidents_by_task(daemon: DaemonProcess) -> dict[tuple[str, str], dict[str, Any]]:
    found = [incident for incident in await daemon.incidents() if incident["deployment"]]
    by_task = {(incident["dag_id"], incident["task_id"]): incident for incident in found}
    assert len(by_task) == len(found), "one incident for each task"
    return by_task


def pages_by_task(place: Site) -> Counter[str]:
    return Counter(alert.summary.partition(" [")[0] for alert in place.receiver.pagerduty.alerts)


def reasons(daemon: DaemonProcess) -> Counter[str]:
    return Counter(line["reason"] for line in daemon.lines("decision"))


async def test_each_final_failure_is_treated_as_the_rules_say_and_once(
    place: Site, recorded: list[tuple[bytes, bytes, int]]
) -> None:
    async with DaemonProcess(settings(place, [HOST])) as daemon:
        await treated(daemon, place)
        first = await incidents_by_task(daemon)
        assert {
            task: (found["failures"], found.get("paged", False), found["rule"]) for task, found in first.items()
        } == {task: (expected.failures, expected.paged, expected.rule) for task, expected in EXPECTED.items()}
        assert set(place.state.cleared_attempts) == TO_BE_CLEARED
        assert first["crm_sync", "pull"]["phase"] == "resolved"
        assert first["crm_sync", "pull"].get("helped")
        assert {task for task, found in first.items() if found["phase"] != "resolved"} == PAGED

        await produce(place.bootstrap, place.topic, recorded)
        await daemon.settled(2 * RECORDS)
        await later_failure_is_paged(place)
        assert_treated_once(place, ("later", "load"))
        second = {task: found for task, found in (await incidents_by_task(daemon)).items() if task[0] != "later"}
        assert {task: found["episode"] for task, found in second.items()} == dict.fromkeys(EXPECTED, 1)
        assert {task: found["failures"] for task, found in second.items()} == {
            task: expected.failures for task, expected in EXPECTED.items()
        }
        assert (await daemon.status())["dead_letters"] == 0
        assert await daemon.stop() == 0


async def treated(daemon: DaemonProcess, place: Site) -> None:
    """The first reading is over: what waits for the feed to catch up was told, what was cleared is proven."""
    await daemon.settled(RECORDS)
    await eventually(lambda: place.pages >= len(PAGED), "what stays is paged")
    await eventually(lambda: reasons(daemon)["helped"] >= len(TO_BE_CLEARED), "what was cleared is proven")
    assert reasons(daemon)["catching_up"], "old events were not taken for news"
    assert_treated_once(place)


def assert_treated_once(place: Site, *others: tuple[str, str]) -> None:
    paged = PAGED | set(others)
    assert set(place.state.cleared_attempts) == TO_BE_CLEARED
    assert place.state.duplicate_clears == 0
    assert pages_by_task(place) == Counter({f"prod: {dag}.{task} failed": 1 for dag, task in paged})
    assert place.receiver.counters()["pagerduty_triggers"] == len(paged)


async def later_failure_is_paged(place: Site) -> None:
    """A failure of today wakes somebody; by then every look that the records before it led to was taken."""
    place.state.add_dag(DagSpec("later", (TaskSpec("load"),)))
    place.world.run_dag("later", "today", clock())
    await eventually(lambda: place.pages_about("later.load"), "a failure of today is paged")


async def test_a_failure_that_links_to_another_host_is_never_cleared(place: Site) -> None:
    async with DaemonProcess(settings(place, ["airflow.example"])) as daemon:
        await daemon.settled(RECORDS)
        await eventually(lambda: place.pages >= len(EXPECTED), "everything is paged")
        assert place.clears == 0
        assert place.state.calls["clear"] == 0
        assert pages_by_task(place) == Counter({f"prod: {dag}.{task} failed": 1 for dag, task in EXPECTED})
        assert reasons(daemon)["foreign_host"] == EXPECTED["crm_sync", "pull"].failures
