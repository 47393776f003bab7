"""Why, and why not: a running daemon explains events, names what no rule knew, and changes nothing by that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from remediator.engine.saved import encode_state
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import HOUR, MINUTE
from remediator.rules.spec import Rule, RuleSetSpec, Step, Window, encode_rule_set
from remediator.runtime.beats import Beats
from remediator.runtime.metrics import Metrics
from remediator.runtime.surface import DaemonSurface
from remediator.store.memory import MemoryStore
from remediator.store.port import StepCommit, Store
from remediator.store.sqlite import SqliteStore
from remediator.testing.timeline import FEED, START, Timeline
from remediator.web.app import build_app
from remediator.web.server import serving
from tests.acceptance.harness import DaemonProcess, Site, clock, command, eventually
from tests.support.loopback import loopback_client

MANY = """
[[rule]]
id = "many"
mode = "act"
on = "task.failed_finally"
per = ["deployment"]
window = { length = "1h", at_least = 50 }
[[rule.do]]
action = "page"
to = "default"
"""

# -- a daemon of its own process ----------------------------------------------------------------------------------


@pytest.mark.broker
@pytest.mark.subprocesses
async def test_a_daemon_explains_an_event_and_drafts_a_rule_for_what_no_rule_knew(place: Site, tmp_path: Path) -> None:
    rules = place.rules()
    (rules / "many.toml").write_text(MANY)
    async with DaemonProcess(place.config()) as daemon:
        place.world.run_dag("breaks", "r1", clock())
        place.world.run_dag("resets", "r1", clock())
        await eventually(lambda: place.pages and place.clears, "one is told, one is retried")
        event = tmp_path / "event.json"
        event.write_bytes(next(value for _, value in place.said if b"KeyError" in value))
        use = ("--config", str(daemon.config))

        code, out, error = await command("rules", "explain", "--event", str(event), *use)
        assert (code, error) == (0, "")
        assert "no acting rule knows this failure: route 'default' is paged" in out
        assert "judged final before: this event changes nothing" in out
        assert "met 'customer_id'" in out
        assert "of 50 events now within 1h" in out

        async def listed() -> Any:
            code, out, _ = await command("unmatched", *use, "--json")
            assert code == 1
            return json.loads(out)["unmatched"]

        (group,) = await listed()
        assert (group["template"], group["dags"]) == ("KeyError: customer_id", ["prod/breaks"])
        assert (group["example"]["type"], group["example"]["message"]) == ("KeyError", "'customer_id'")
        new = ("rules", "new", "--from-signature", group["id"], "--out", str(tmp_path / "drafts"), *use)
        code, out, error = await command(*new)
        assert (code, error) == (0, "")
        for step in ("lint", "test"):
            code, out, error = await command("rules", step, str(tmp_path / "drafts"))
            assert code == 0, out + error
        code, out, _ = await command("rules", "explain", str(tmp_path / "drafts"), "--event", str(event), "--json")
        assert [rule["role"] for rule in json.loads(out)["events"][-1]["rules"]] == ["observes"]


# -- what is stored -----------------------------------------------------------------------------------------------

RESET = Rule(
    id="reset",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    where={"error.message": {"matches": "reset"}},
    do=(Step("airflow.retry"),),
    otherwise=(Step("page", to="default"),),
)
WINDOW = Rule(
    id="window",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    per=("deployment",),
    window=Window(10 * MINUTE, at_least=3),
    do=(Step("page", to="default"),),
)
SPEC = RuleSetSpec(
    (RESET, WINDOW),
    Policy(
        deployments={"prod": DeploymentPolicy("prod", FEED, Mode.ACT)},
        routes={"default": Route("default", (Destination("pagerduty.page", "pager"),))},
    ),
)
EVENT = {"type": "task.failed", "time": START, "namespace": "ns", "dag_id": "sales", "run_id": "r9", "task_id": "load",
         "try_number": 1, "error": {"message": "connection reset"}}  # fmt: skip


class Stored:
    """A store as a story has left it, and the API over it."""

    def __init__(self, store: Store, api: httpx.AsyncClient, keys: list[str]) -> None:
        self.store = store
        self.api = api
        self.keys = keys

    async def everything(self) -> object:
        start = await self.store.controller_start()
        told = await self.store.decisions("", 10_000)
        rest = (await self.store.counts(), await self.store.incidents(open_only=False, limit=100), told)
        return await self.store.load_states(self.keys), start, rest, await self.store.actions("", 10_000)


@pytest.fixture(params=["sqlite", "memory"])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stored]:
    story = Timeline(SPEC).at("10s").fails("load").fails("other", error="KeyError: 'x'").at("2m")
    story.fails("a", error="TimeoutError: after 3s", dag_id="b").fails("a", error="TimeoutError: after 5s", dag_id="c")
    story.at("3m")
    store: Store = (
        SqliteStore(str(tmp_path / "r.db")) if request.param == "sqlite" else MemoryStore(clock=lambda: START)
    )
    await store.open()
    core = story.core
    states = {WORLD_KEY: core.world, LEDGER_KEY: core.ledger, CONDITIONS_KEY: core.conditions}
    states |= {key: state for key, state in core.states.items() if state is not None}
    await store.put_rule_set(core.world.rule_set, encode_rule_set(SPEC))
    position = await store.append([entry.input for entry in story.journal], story.now)
    lease = await store.acquire_lease("me", HOUR)
    assert lease is not None
    incidents = [one for changes in story.changes for one in changes.incidents]
    await store.commit_step(lease, StepCommit(position, story.now, {key: encode_state(one) for key, one in
                            states.items()}, incidents=incidents, decisions=story.decisions))  # fmt: skip
    surface = DaemonSurface(
        store,
        lambda: story.now,
        lambda: SPEC.policy,
        {},
        lambda: True,
        Beats(),
        lambda: None,
        lambda event, topic: ("prod", ("prod",)) if event.namespace == "ns" else ("", ()),
    )
    async with (
        serving(build_app(surface, Metrics())) as running,
        loopback_client(running.url) as api,
    ):
        yield Stored(store, api, list(states))
    await store.close()


async def test_asking_changes_nothing_that_is_stored(stored: Stored) -> None:
    before = await stored.everything()
    for _ in range(2):
        for event in (EVENT, {**EVENT, "run_id": "r1"}, {**EVENT, "type": "task.failed_finally"}):
            assert (await stored.api.post("/api/v1/explain", json={"event": event})).status_code == 200
        assert (await stored.api.get("/api/v1/unmatched")).status_code == 200
    assert await stored.everything() == before


async def test_the_stored_states_are_told(stored: Stored) -> None:
    answer = (await stored.api.post("/api/v1/explain", json={"event": EVENT})).json()
    claim, final = answer["events"]
    assert (claim["deployment"], final["deployment"], final["responder"]) == ("prod", "prod", "reset")
    reset, window = final["rules"]
    assert [step["action"] for step in reset["steps"]] == ["airflow.retry", "page"]
    checks = {check["name"]: check["text"] for check in reset["steps"][0]["checks"]}
    assert checks["budget"] == "task load: 1 of 6 of the last hour used, 1 of 20 of the last day used"
    assert reset["incident"]["failures"] == 2
    assert any("of 3 events now within 10m" in check["text"] for check in window["state"])


async def test_an_event_of_nobody_and_a_rule_that_is_not_there(stored: Stored) -> None:
    answer = await stored.api.post("/api/v1/explain", json={"event": {**EVENT, "namespace": "other"}})
    assert "claims namespace 'other'" in answer.json()["events"][0]["checks"][0]["text"]
    answer = await stored.api.post("/api/v1/explain", json={"event": EVENT, "rules": ["gone"]})
    assert (answer.status_code, answer.json()["error"]) == (404, "no active rule has the id 'gone'")


async def test_unmatched_failures_are_grouped(stored: Stored) -> None:
    found = (await stored.api.get("/api/v1/unmatched", params={"since": "1h"})).json()
    groups = {group["template"]: group for group in found["unmatched"]}
    assert groups["TimeoutError: after <n>s"]["count"] == 2
    assert sorted(groups["TimeoutError: after <n>s"]["dags"]) == ["prod/b", "prod/c"]
    assert groups["KeyError: x"]["example"]["message"] == "'x'"
    assert (found["route"], found["more"]) == ("default", False)
    assert len(groups) == 2
    assert (await stored.api.get("/api/v1/unmatched", params={"since": "1ms"})).json()["unmatched"] == []


async def test_before_the_first_activation_there_is_nothing_to_explain() -> None:
    store = MemoryStore(clock=lambda: START)
    await store.open()
    surface = DaemonSurface(
        store, lambda: START, Policy, {}, lambda: True, {}, lambda: None, lambda event, topic: ("", ())
    )
    async with (
        serving(build_app(surface, Metrics())) as running,
        loopback_client(running.url) as api,
    ):
        answer = await api.post("/api/v1/explain", json={"event": EVENT})
        assert (answer.status_code, answer.json()["error"]) == (404, "no rule set is active yet")
        assert (await api.get("/api/v1/unmatched")).json()["unmatched"] == []
