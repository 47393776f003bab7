"""SIGKILL at every step of every action: the intent, each request of the executor, the outcome. The targets count."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from remediator.actions.http.settings import EndpointAccount
from remediator.config.load import load_config
from remediator.demo.broker import EmbeddedBroker
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.model.action import CHANGE_STEPS
from remediator.model.secret import Secret
from remediator.runtime.wiring import make_outside
from remediator.store.factory import open_store
from remediator.store.port import ActionRow
from tests.acceptance.harness import DaemonProcess, clock, eventually
from tests.acceptance.kill_run import CRASH, FAILS, RULE, SECRETS, Came, around, dags, run
from tests.acceptance.kill_table import ROWS, SEEN, pool
from tests.acceptance.tomlfile import write_config

pytestmark = [pytest.mark.subprocesses, pytest.mark.broker]

GROUPS = {
    "retry": ("retry",),
    "dagruns": ("rerun", "reprocess", "backfill", "trigger"),
    "settings": ("pause", "resume", "pool", "mark", "scale"),
    "messages": ("keyed", "keyless", "slack", "pagerduty"),
}
"""The rows that one daemon goes through. All but the first take too long for every day."""
TELL = {"notify": "slack.message", "page": "pagerduty.page"}
NO_STEP = {"airflow.cancel_backfill"}
"""Changes that no rule makes."""


def test_every_change_and_telling_has_a_row() -> None:
    assert {row.kind for row in ROWS.values()} == CHANGE_STEPS - NO_STEP | TELL.keys()
    assert sorted(row for rows in GROUPS.values() for row in rows) == sorted(ROWS)


async def test_each_row_has_the_guarantee_that_its_executor_declares(tmp_path: Path) -> None:
    feed = {"name": "main", "bootstrap_servers": ["nowhere:9092"], "topics": ["events"], "group": "table"}
    (tmp_path / "rules").mkdir()
    outside = make_outside(load_config(write_config(tmp_path, {"feed": [feed]})), lambda *_: None)
    declared = {kind: executor.guarantee for kind, executor in outside.executors.items()}
    await outside.close()
    declared["airflow.resume"] = declared["airflow.pause"]
    keyed = EndpointAccount(url=Secret("https://tickets.example"), idempotency_header="Idempotency-Key")
    for name, row in ROWS.items():
        expected = keyed.guarantee if name == "keyed" else declared[TELL.get(row.kind, row.kind)]
        assert row.guarantee is expected, name


@pytest.mark.parametrize(
    "rows", [pytest.param(rows, marks=[] if name == "retry" else pytest.mark.slow) for name, rows in GROUPS.items()],
    ids=GROUPS,
)  # fmt: skip
async def test_killed_at_every_step(tmp_path: Path, embedded_broker: EmbeddedBroker, rows: tuple[str, ...]) -> None:
    came = await run(tmp_path, embedded_broker.bootstrap, rows)
    check_everybody_was_killed_once(came, rows)
    check_the_targets_counts(came, rows)
    check_what_the_daemon_says(came)


async def test_what_nobody_can_know_is_said_to_be_unknown_and_told(
    tmp_path: Path, embedded_broker: EmbeddedBroker
) -> None:
    """A person gives the pool another size after the kill: whether ours came first, or at all, no look can tell."""
    async with around(tmp_path, embedded_broker.bootstrap) as (made, own):
        place, dag = made.site, "pool-0"
        pool(made, dag)
        place.state.add_dag(DagSpec(dag, (TaskSpec("load"),)))
        step = f'{ROWS["pool"].step}\n[[rule.otherwise]]\naction = "page"\nto = "pager"'
        own["rules"] = {"paths": [place.rules(RULE.format(row="pool", step=step))], "reload": False}
        env = {**SECRETS, "REMEDIATOR_CRASH_AT": "airflow.pool 2:answered", "REMEDIATOR_CRASH_DIR": str(tmp_path)}
        place.world.run_dag(dag, FAILS, clock())
        async with DaemonProcess(place.config(**own), env, CRASH) as daemon:
            await eventually((tmp_path / "kills").exists, "it is killed after its call")
            assert place.state.pools[dag].slots == 8
            place.state.pools[dag].slots = 6
            await eventually(lambda: place.pages_about(dag), "a person is woken")
            assert await daemon.stop() == 0
        (change,) = [row for row in await changes(own["store"]["url"]) if row.action.kind == "airflow.pool"]
    assert (change.state, change.detail) == ("unknown", "an earlier call may have given it 8 slots, and it has 6")
    assert (place.state.pools[dag].slots, place.pages) == (6, 1)
    assert ROWS["pool"].counted(made, dag) == {"to 8": 1}


async def changes(url: str) -> list[ActionRow]:
    store = open_store(url)
    await store.open()
    try:
        return await store.actions("", 100)
    finally:
        await store.close()


def check_everybody_was_killed_once(came: Came, rows: tuple[str, ...]) -> None:
    """At each point one action, of each label one nowhere: what it sends is what the table has, so no step is left."""
    assert sorted(came.kills) == sorted(point for row in rows for point in ROWS[row].points())
    assert len(set(came.kills.values())) == len(came.kills)
    undisturbed = defaultdict(list)
    for action in came.labels.keys() - came.kills.values():
        undisturbed[came.labels[action]].append(action)
    for row in rows:
        for label, expected in ROWS[row].calls.items():
            assert undisturbed[label], f"every {label} was killed"
            for action in undisturbed[label]:
                more = Counter(sent(came, action)) - Counter(expected)
                assert not Counter(expected) - Counter(sent(came, action)), label
                assert all(each.startswith("GET ") for each in more), label  # whose process was killed looks again


def sent(came: Came, action: str) -> list[str]:
    """An action's requests, without the names that differ."""
    (dag,) = {row.action.key.partition("/")[2] for row in came.actions if row.action.id == action}
    return [request.replace(dag, "DAG").replace(action, "ACTION") for _, request in came.calls[action]]


def check_the_targets_counts(came: Came, rows: tuple[str, ...]) -> None:
    for dag in dags(rows):
        row, seen = ROWS[dag.partition("-")[0]], came.counts[dag]
        assert sorted(seen) == sorted(row.effects), dag
        assert all(number in SEEN[row.guarantee] for number in seen.values()), (dag, seen, killed_at(came, dag))


def killed_at(came: Came, dag: str) -> list[str]:
    """Where the actions of the DAG were killed."""
    mine = {row.action.id for row in came.actions if row.action.key.endswith(f"/{dag}")}
    return [point for point, action in came.kills.items() if action in mine]


def check_what_the_daemon_says(came: Came) -> None:
    """Nobody is left in doubt: every action is known to be done, and the record is whole."""
    doubtful = [(row.action.kind, row.state, row.detail) for row in came.actions if row.state != "delivered"]
    assert not doubtful
    assert all(one.helped for one in came.incidents if ROWS[one.rule].heals)
    assert came.audited[0] == 0, came.audited
    assert came.replayed == ""
