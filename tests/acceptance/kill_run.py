"""One daemon that is killed at every point of every action of some rows of `kill_table`, and all that came of it.

Owns what is around it, and collecting. Judges nothing: the tests compare what is collected here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from remediator.demo.cluster.app import Cluster
from remediator.demo.endpoint.app import Endpoint
from remediator.demo.fleet.plan import DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.model.action import QUESTIONS
from remediator.model.incident import Incident, Phase
from remediator.model.time import MILLISECOND
from remediator.runtime.replay import verify
from remediator.store.factory import open_store
from remediator.store.port import ActionRow, Store
from remediator.web.server import serving
from tests.acceptance.harness import DaemonProcess, Site, clock, command, eventually, site
from tests.acceptance.kill_table import ROWS, Around

CRASH = "remediator.testing.crash"
FAILS = "fails"
"""The id of the one dagrun of each DAG that fails."""
QUICK = 50 * MILLISECOND
BREAKS = Plan(Failure("KeyError", "'customer_id'"), heals_after_clears=1, duration=QUICK, announce=QUICK)
WORKS = Plan(duration=QUICK)
SECRETS = {"KUBERNETES_TOKEN": "kubernetes-acceptance-1"}
KEY = "Idempotency-Key"
UNCAPPED = {"changes_per_minute": 10_000, "concurrent_changes": 10_000, "breaker_rate": 0.0}
MAX_ROWS = 100_000
PATIENCE_S = 200.0
RULE = """
[[rule]]
id = "{row}"
mode = "act"
on = "task.failed_finally"
where = {{ dag_id = "{row}-*" }}

[[rule.do]]
{step}
"""


@dataclass
class Came:
    """kills: point -> the action that was killed there. calls: action -> its requests, of all lives; labels: its label.

    counts: DAG -> what its target counted. incidents: those of failures. audited: what `audit verify` said.
    replayed: what the replay of the journal found different, '' for nothing.
    """

    kills: dict[str, str] = field(default_factory=dict)
    calls: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Mapping[str, int]] = field(default_factory=dict)
    actions: list[ActionRow] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    audited: tuple[int, str] = (1, "")
    replayed: str = "not replayed"


def plan_for(run: DagRun, _: TaskInstance) -> Plan:
    return BREAKS if run.run_id == FAILS else WORKS


@contextlib.asynccontextmanager
async def around(folder: Path, bootstrap: str) -> AsyncIterator[tuple[Around, dict[str, Any]]]:
    """Every target, and the daemon's settings for them."""
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(site(folder, bootstrap, plan_for=plan_for))
        made = Around(place, Cluster(SECRETS["KUBERNETES_TOKEN"]), Endpoint(KEY), Endpoint())
        apps = (made.cluster.app(), made.keyed.app(), made.keyless.app())
        urls = [(await stack.enter_async_context(serving(app))).url for app in apps]
        yield made, settings(place, *urls)


def settings(place: Site, cluster: str, keyed: str, keyless: str) -> dict[str, Any]:
    """What a dead process had in hand is taken up after four seconds instead of ninety; nothing waits for its turn."""
    own, soon = place.settings(), {"timeout": "1s"}
    return {
        "daemon": {"lease": "2s"},
        "policy": {**own["policy"], "behind_after": "1h", "blind_after": "2h", "hold_max": "1s", "self_route": "quiet",
                   "unclassified_route": "quiet", **UNCAPPED},
        "feed": [{**own["feed"][0], "session": "1s"}],
        "deployment": [place.deployment(api={**own["deployment"][0]["api"], **soon})],
        "receiver": [{**receiver, **soon} for receiver in own["receiver"]],
        "cluster": [{"name": "only", "serves": ["*"], "url": cluster, "token": {"env": "KUBERNETES_TOKEN"}, **soon}],
        "endpoint": [
            {"name": "keyed", "url": f"{keyed}/keyed", "idempotency_header": KEY, **soon},
            {"name": "keyless", "url": f"{keyless}/keyless", **soon},
        ],
        "routes": {
            "chat": {"destinations": [{"kind": "slack", "receiver": "chat", "channel": "#alerts"}]},
            "pager": {"destinations": [{"kind": "pagerduty", "receiver": "pd"}]},
            "quiet": {"destinations": [{"kind": "log"}]},
        },
        "dispatcher": {"poll": "50ms", "changes_per_minute": 10_000, "claim": "4s"},
        "http": own["http"],
        "store": own["store"],
    }  # fmt: skip


def dags(rows: Sequence[str]) -> list[str]:
    """Those whose failures are answered for by these rows."""
    return [f"{row}-{number}" for row in rows for number in range(ROWS[row].failures())]


async def run(folder: Path, bootstrap: str, rows: Sequence[str]) -> Came:
    """Let one daemon die at each point of these rows, then let it end what it began."""
    text = "".join(RULE.format(row=row, step=ROWS[row].step) for row in rows)
    async with around(folder, bootstrap) as (made, own):
        place = made.site
        own["rules"] = {"paths": [place.rules(text)], "reload": False}
        for dag in dags(rows):
            place.state.add_dag(DagSpec(dag, (TaskSpec("load"),)))
            ROWS[dag.partition("-")[0]].prepare(made, dag)
            place.world.run_dag(dag, FAILS, clock())
        points = [point for row in rows for point in ROWS[row].points()]
        env = {**SECRETS, "REMEDIATOR_CRASH_AT": ",".join(points), "REMEDIATOR_CRASH_DIR": str(folder)}
        daemon = DaemonProcess(place.config(**own), env, CRASH)
        store = open_store(own["store"]["url"])
        came = Came()
        async with daemon, _helping(made, rows, own["http"]["port"]):
            await store.open()
            try:
                await eventually(lambda: _is_over(made, store, came, folder, rows, points), "all is done", PATIENCE_S)
                assert await daemon.stop() == 0, daemon.text[-2_000:]
                came.actions = [row for row in await store.actions("", MAX_ROWS) if row.action.kind not in QUESTIONS]
                came.replayed = (await verify(store)).difference
            finally:
                await store.close()
        code, out, error = await command("audit", "verify", "--store-of", str(daemon.config), env=SECRETS)
        came.audited = (code, out + error)
    return came


async def _is_over(
    made: Around, store: Store, came: Came, folder: Path, rows: Sequence[str], points: Sequence[str]
) -> bool:
    came.kills, came.calls, came.labels = read(folder)
    came.counts = {dag: ROWS[dag.partition("-")[0]].counted(made, dag) for dag in dags(rows)}
    assert not (missing := set(points) - set(came.kills)), sorted(missing)
    undone = {dag: seen for dag, seen in came.counts.items() if set(ROWS[dag.partition("-")[0]].effects) - seen.keys()}
    assert not undone, undone
    found = await store.incidents(open_only=False, limit=MAX_ROWS)
    came.incidents = [incident for incident in found if incident.rule in rows]
    unhealed = [one.title for one in came.incidents if ROWS[one.rule].heals and one.phase is not Phase.RESOLVED]
    assert not unhealed, unhealed
    outbox = (await store.counts()).outbox
    waiting = {kind: states for kind, states in outbox.items() if kind not in QUESTIONS}
    assert not sum(states.get(state, 0) for states in waiting.values() for state in ("pending", "claimed")), waiting
    return True


def read(folder: Path) -> tuple[dict[str, str], dict[str, list[tuple[int, str]]], dict[str, str]]:
    """What the crash has noted: point -> action, action -> (number, request), action -> label."""
    kills = dict(line.split("\t") for line in _lines(folder / "kills"))
    calls: dict[str, list[tuple[int, str]]] = {}
    labels: dict[str, str] = {}
    for line in _lines(folder / "calls"):
        label, action, number, request = line.split("\t")
        calls.setdefault(action, []).append((int(number), request))
        labels[action] = label
    return kills, calls, labels


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


# -- what people do meanwhile -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _helping(made: Around, rows: Sequence[str], port: int) -> AsyncIterator[None]:
    """People approve what they are asked for, and mend what they were told of."""
    told = [dag for dag in dags(rows) if dag.partition("-")[0] in ("slack", "pagerduty")]
    tasks = [asyncio.create_task(_mend(made, dag)) for dag in told]
    if any(ROWS[row].needs_approval for row in rows):
        tasks.append(asyncio.create_task(_approve(f"http://127.0.0.1:{port}/api/v1")))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _mend(made: Around, dag: str) -> None:
    await eventually(lambda: ROWS[dag.partition("-")[0]].counted(made, dag), f"somebody is told of {dag}", PATIENCE_S)
    made.site.world.person_clears(dag, FAILS, clock())


async def _approve(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        await eventually(lambda: _all_approved(client), "they are asked no more", PATIENCE_S)


async def _all_approved(client: httpx.AsyncClient) -> bool:
    """Answers what waits now; there may always be more."""
    for one in (await client.get("/proposals")).json()["proposals"]:
        await client.post(f"/proposals/{one['id']}/approve", json={"actor": "ada"})
    return False
