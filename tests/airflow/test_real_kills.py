"""SIGKILL at every step of a retry, a trigger and a backfill of a real Airflow: the guarantees hold, Airflow counts.

Failures are made by marking tasks that have nothing to do, so that the time goes into the kills.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from remediator.demo.broker import EmbeddedBroker, create_topics
from remediator.model.action import QUESTIONS
from remediator.model.incident import Phase
from remediator.store.factory import open_store
from remediator.store.port import ActionRow, Store
from tests.acceptance.harness import DaemonProcess, command
from tests.acceptance.harness import eventually as until
from tests.acceptance.kill_run import CRASH, read
from tests.acceptance.kill_table import moments
from tests.acceptance.tomlfile import write_config
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.real_airflow import NAMESPACE, PASSWORD, USERNAME, RealAirflow

pytestmark = [pytest.mark.airflow, pytest.mark.subprocesses]

DAGS = tuple(f"kill_{number}" for number in range(17))
TASK = "work"
SINCE, UNTIL = "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"
CALLERS = 8
PATIENCE_S = 200.0
MAX_ROWS = 10_000
UNCAPPED = {
    "changes_per_minute": 10_000, "concurrent_changes": 10_000, "breaker_rate": 0.0,
    "budget_cap": {"per_hour": 1_000, "per_day": 1_000},
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """requests: how many an undisturbed one sends. counted: how often Airflow did it for a DAG's failure."""

    step: str
    requests: int
    counted: Callable[[AirflowApi, str, str], Awaitable[int]]

    @property
    def label(self) -> str:
        return self.step.partition('"')[2].partition('"')[0]


async def clears(api: AirflowApi, dag_id: str, run_id: str) -> int:
    """As the event log has them; the note on the task says that the last one of them was done."""
    note = (await api.task(dag_id, run_id, TASK))["note"] or ""
    return len(await api.clears(dag_id, run_id)) if note.startswith("remediator:") else 0


async def created(api: AirflowApi, dag_id: str, _: str) -> int:
    answer = await api.http.get(f"/api/v2/dags/{dag_id}/dagRuns", params={"limit": 100})
    assert answer.status_code == 200, answer.text
    return sum(run["dag_run_id"].startswith("remediator__") for run in answer.json()["dag_runs"])


async def backfills(api: AirflowApi, dag_id: str, _: str) -> int:
    answer = await api.http.get("/api/v2/backfills", params={"dag_id": dag_id})
    assert answer.status_code == 200, answer.text
    return sum(each["from_date"] == SINCE for each in answer.json()["backfills"])


ROWS = {
    "retry": Row(
        'action = "airflow.retry"\nbackoff = { initial = "1s", factor = 1, max = "1s", jitter = 0 }', 5, clears
    ),
    "trigger": Row('action = "airflow.trigger"\ndag_id = "{event.dag_id}"', 3, created),
    "backfill": Row(
        f'action = "airflow.backfill"\nreprocess = "none"\nsince = "{SINCE}"\nuntil = "{UNTIL}"', 4, backfills
    ),
}
RULE = """
[[rule]]
id = "{row}"
mode = "act"
on = "task.failed_finally"
where = {{ run_id = "{row}-*" }}
group = ["deployment", "dag_id", "run_id"]

[[rule.do]]
{step}
"""


def points() -> list[str]:
    return [f"{row.label} {moment}" for row in ROWS.values() for moment in moments(row.requests)]


@pytest.fixture
async def config(tmp_path: Path, real_airflow: RealAirflow, suite_broker: EmbeddedBroker) -> Path:
    """A daemon's, with a feed that nobody writes to: sweeps find the failures."""
    topic = f"kills-{time.time_ns()}"
    await create_topics(suite_broker.bootstrap, {topic: 1})
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "kills.toml").write_text(
        "".join(RULE.format(row=name, step=row.step) for name, row in ROWS.items())
    )
    return write_config(tmp_path, {
        "store": {"url": f"sqlite:///{tmp_path}/remediator.db"},
        "feed": [{"name": "main", "bootstrap_servers": [suite_broker.bootstrap], "topics": [topic], "group": topic,
                  "lateness": "0s", "session": "1s"}],
        "deployment": [{"name": "real", "feed": "main", "namespaces": [NAMESPACE], "ceiling": "act",
                        "api": {"url": real_airflow.url, "username": USERNAME, "timeout": "5s",
                                "password": {"env": "AIRFLOW_PASSWORD"}}}],
        "policy": {"look_delay": "0s", "look_again": "1s", "look_again_max": "2s", "hold_max": "1s",
                   "sweep_every": "5s", "self_route": "quiet", "unclassified_route": "quiet", **UNCAPPED},
        "routes": {"quiet": {"destinations": [{"kind": "log"}]}},
        "rules": {"paths": ["rules"], "reload": False},
        "dispatcher": {"poll": "50ms", "changes_per_minute": 10_000, "claim": "20s"},
        "http": {"enabled": False},
    })  # fmt: skip


@pytest.fixture
async def nobody_marked(suite_database: str, real_airflow: RealAirflow) -> AsyncIterator[None]:
    """What is marked here stands for what failed by itself: the event log has it under a name that says so."""
    database = await asyncpg.connect(suite_database)
    try:
        await database.execute(
            "CREATE FUNCTION failed_by_itself() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN NEW.event := 'failed_by_itself'; RETURN NEW; END$$"
        )
        await database.execute(
            "CREATE TRIGGER failed_by_itself BEFORE INSERT ON log FOR EACH ROW "
            "WHEN (NEW.event LIKE 'patch_%') EXECUTE FUNCTION failed_by_itself()"
        )
        yield
        await database.execute("DROP TRIGGER failed_by_itself ON log; DROP FUNCTION failed_by_itself()")
    finally:
        await database.close()


async def side_by_side(do: Callable[[AirflowApi, str, str], Awaitable[None]], api: AirflowApi) -> None:
    """For one dagrun of each row in each DAG."""
    room = asyncio.Semaphore(CALLERS)

    async def one(dag_id: str, run_id: str) -> None:
        async with room:
            await do(api, dag_id, run_id)

    await asyncio.gather(*(one(dag_id, f"{row}-{dag_id}") for dag_id in DAGS for row in ROWS))


async def begun(api: AirflowApi, dag_id: str, run_id: str) -> None:
    await api.trigger(dag_id, run_id)


async def failed(api: AirflowApi, dag_id: str, run_id: str) -> None:
    """Its task has had its one try; now that one has failed."""
    await api.ends(dag_id, run_id, "success")
    for path, body in (("/taskInstances/" + TASK, {"new_state": "failed"}), ("", {"state": "failed"})):
        answer = await api.http.patch(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}{path}", json=body)
        assert answer.status_code in (200, 409), answer.text


@pytest.mark.usefixtures("nobody_marked")
async def test_killed_at_every_step_it_is_done_once(tmp_path: Path, api: AirflowApi, config: Path) -> None:
    env = {
        "REMEDIATOR_CRASH_AT": ",".join(points()),
        "REMEDIATOR_CRASH_DIR": str(tmp_path),
        "AIRFLOW_PASSWORD": PASSWORD,
    }
    store = open_store(f"sqlite:///{tmp_path}/remediator.db")
    await side_by_side(begun, api)
    async with DaemonProcess(config, env, CRASH) as daemon:
        await store.open()
        try:
            await side_by_side(failed, api)
            await until(lambda: is_over(store, tmp_path), "every action was killed, and all is done", PATIENCE_S)
            assert await daemon.stop() == 0, daemon.text[-2_000:]
            rows = await changes(store)
        finally:
            await store.close()
    kills, calls, labels = read(tmp_path)
    assert sorted(kills) == sorted(points())
    assert len(set(kills.values())) == len(kills)
    for name, row in ROWS.items():
        undisturbed = [len(calls[one]) for one in labels.keys() - kills.values() if labels[one] == row.label]
        assert undisturbed, f"every {name} was killed"
        assert row.requests in undisturbed, (name, undisturbed)  # the process of one may end with that of another
        counts = Counter({dag_id: await row.counted(api, dag_id, f"{name}-{dag_id}") for dag_id in DAGS})
        assert counts == dict.fromkeys(DAGS, 1), (name, kills)
    assert Counter(row.action.kind for row in rows) == dict.fromkeys((row.label for row in ROWS.values()), len(DAGS))
    assert {row.state for row in rows} == {"delivered"}, [(row.action.kind, row.state, row.detail) for row in rows]
    code, *said = await command("audit", "verify", "--store-of", str(config), env=env)
    assert code == 0, said


async def is_over(store: Store, folder: Path) -> bool:
    kills, _, _ = read(folder)
    assert not (missing := set(points()) - set(kills)), sorted(missing)
    rows = await changes(store)
    assert len(rows) == len(ROWS) * len(DAGS), len(rows)
    assert not (waiting := [row.action.kind for row in rows if row.state in ("pending", "claimed")]), waiting
    retried = [one for one in await store.incidents(open_only=False, limit=MAX_ROWS) if one.rule == "retry"]
    assert all(one.phase is Phase.RESOLVED and one.helped for one in retried), [one.phase for one in retried]
    return True


async def changes(store: Store) -> list[ActionRow]:
    ignored = QUESTIONS | {"log"}
    return [row for row in await store.actions("", MAX_ROWS) if row.action.kind not in ignored]
