"""What acceptance suites share: the daemon as a process, and everything outside of it, real protocols throughout.

Owns processes, servers and topics. Holds no expectation about what the daemon does.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from aiokafka import AIOKafkaProducer

from remediator.demo.broker import create_topics, free_port
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.plan import SUCCEEDS, Plan
from remediator.demo.fleet.running import driving
from remediator.demo.fleet.server import serving as serving_fleet
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.demo.fleet.world import World
from remediator.demo.receiver.app import Receiver
from remediator.model.time import Instant
from remediator.web.server import serving
from tests.acceptance.tomlfile import write_config
from tests.support.loopback import loopback_client

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "rules" / "airflow-transient"
SECRETS = {
    "AIRFLOW_PASSWORD": "admin",
    "SLACK_BOT_TOKEN": "xoxb-acceptance-1",
    "PAGERDUTY_ROUTING_KEY": "R0UT1NGK3Y".ljust(32, "0"),
}
QUICK_POLICY: dict[str, Any] = {"look_delay": "200ms", "look_again": "1s", "look_again_max": "2s", "lateness": "0s"}
"""Decisions within seconds instead of minutes."""
SESSION = "2s"
"""The embedded broker lets the first member of a group wait for half of it."""
RETRY_RULE = """
[[rule]]
id = "reset"
summary = "Run a task again that lost its connection"
owner = "acceptance"
severity = "warning"
mode = "act"
on = "task.failed_finally"
where = { "error.message" = { matches = 'reset by peer' } }

[[rule.do]]
action = "airflow.retry"
max_attempts = 2
backoff = { initial = "1s", factor = 1, max = "1s", jitter = 0 }
verify = "20s"

[[rule.otherwise]]
action = "page"
to = "default"
"""


def clock() -> Instant:
    """The machine's clock."""
    return time.time_ns() // 1000


async def eventually(condition: Callable[[], Any], what: str = "", seconds: float = 30.0) -> Any:
    """The first truthy answer of the condition (a function, or one that gives an awaitable). Fails after `seconds`.

    An AssertionError or a lost connection inside counts as 'not yet' and is shown when the time is over.
    """
    until, last = time.monotonic() + seconds, None
    while True:
        try:
            found = condition()
            last = await found if inspect.isawaitable(found) else found
            if last:
                return last
        except (AssertionError, httpx.TransportError) as error:
            last = error
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}; last: {last!r}")
        await asyncio.sleep(0.05)


# -- the daemon ---------------------------------------------------------------------------------------------------


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every process of remediator gets: where the package is, and the secrets."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **SECRETS, **(more or {})}


class DaemonProcess:
    """`remediator run` in a process of its own, its log in a file beside the configuration.

    `async with` starts it and waits until it says that it runs; leaving kills it if nobody stopped it.
    module: what runs instead of `remediator`, such as 'remediator.testing.crash'.
    """

    serial = 0

    def __init__(self, config: Path, env: Mapping[str, str] | None = None, module: str = "remediator") -> None:
        DaemonProcess.serial += 1
        self.config = config
        self.log = config.with_name(f"daemon-{DaemonProcess.serial}.log")
        self.module = module
        self._env = environment(env)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.started()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the daemon was not started"
        return self._process

    async def start(self) -> None:
        """Start it; it may still be on its way when this returns."""
        with self.log.open("wb") as out:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self.module, "run", "--config", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=self._env, cwd=self.config.parent,
                start_new_session=True,
            )  # fmt: skip

    async def started(self, seconds: float = 30.0) -> None:
        """Until it says that it runs. Fails at once, with its output, if it ends instead."""
        await eventually(lambda: self.lines("daemon.started") or self.process.returncode is not None,
                         f"the daemon runs: {self.text}", seconds)  # fmt: skip
        assert self.lines("daemon.started"), f"the daemon ended with {self.process.returncode}: {self.text}"

    async def wait(self, seconds: float = 30.0) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    async def stop(self, seconds: float = 15.0) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait(seconds)

    async def kill(self) -> None:
        """SIGKILL, if it still runs, and with it what it has begun."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Its log lines of that name, all without one. What is no JSON is left out."""
        found = []
        for line in self.text.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and event in ("", line.get("event"))]

    @property
    def url(self) -> str:
        """Where its API listens."""
        return str(self.lines("http.listening")[-1]["url"])

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """GET from its API."""
        return await self.request("GET", path, **more)

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any call of its API."""
        async with loopback_client(self.url, timeout=20) as client:
            return await client.request(method, path, **more)

    async def status(self) -> dict[str, Any]:
        """GET /api/v1/status"""
        response = await self.get("/api/v1/status")
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def incidents(self) -> list[dict[str, Any]]:
        """All incidents, also the resolved ones."""
        return list((await self.get("/api/v1/incidents", params={"all": "true", "limit": 500})).json()["incidents"])

    async def story(self, incident_id: str) -> dict[str, Any]:
        """Everything that is known of one incident."""
        return dict((await self.get(f"/api/v1/incidents/{incident_id}/explain")).json())

    async def settled(self, records: int, seconds: float = 60.0) -> None:
        """Until so many records were read and everything journalled is decided and performed."""
        await eventually(lambda: self._is_settled(records), f"{records} records are read and dealt with", seconds)

    async def _is_settled(self, records: int) -> bool:
        read = await self.metric("remediator_records_total")
        status = await self.status()
        waiting = sum(states.get(state, 0) for states in status["outbox"].values() for state in ("pending", "claimed"))
        assert read >= records, f"{read:g} of {records} records"
        assert not status["journal"]["lag_entries"], status["journal"]
        assert not waiting, status["outbox"]
        return True

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = (await self.get("/metrics")).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)


async def command(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run `remediator ARGUMENTS`: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "remediator", *arguments, env=environment(env),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


# -- what is around it --------------------------------------------------------------------------------------------

PlanFor = Callable[[DagRun, TaskInstance], Plan]


class Site:
    """One Airflow (a stand-in that lives), one topic, PagerDuty and Slack; and the settings of a daemon for them."""

    def __init__(self, folder: Path, bootstrap: str, topic: str, state: FleetState, plan_for: PlanFor) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.topic = topic
        self.state = state
        self.said: list[tuple[bytes, bytes]] = []
        """Every (key, value) that the stand-in emitted."""
        self.world = World(state, plan_for, self._emit)
        self.api = FleetApi(state, clock)
        self.receiver = Receiver()
        self.api_url = ""
        self.receiver_url = ""
        self.muted = False
        """While set, what the stand-in emits is kept in `said` only."""
        self._records: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()

    def _emit(self, key: bytes, value: bytes) -> None:
        self.said.append((key, value))
        if not self.muted:
            self._records.put_nowait((key, value))

    async def pump(self) -> None:
        """Bring what the stand-in emits to the broker."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=False) as producer:
            while True:
                waiting = [await self._records.get()]
                while not self._records.empty():
                    waiting.append(self._records.get_nowait())
                await asyncio.gather(*[await producer.send(self.topic, value, key=key) for key, value in waiting])

    @contextlib.asynccontextmanager
    async def feeding(self, partitions: int = 2) -> AsyncIterator[None]:
        """Create the topic, and bring there what the stand-in emits until left."""
        await create_topics(self.bootstrap, {self.topic: partitions})
        async with _running(self.pump()):
            yield

    async def produce(self, records: Iterable[tuple[bytes | None, bytes]], partition: int | None = None) -> None:
        """Bring records (key, value) to the broker, and wait until it has them."""
        await produce(self.bootstrap, self.topic, ((key, value, partition) for key, value in records))

    def settings(self, **sections: Any) -> dict[str, Any]:
        """The daemon's settings by section; `sections` replaces whole ones."""
        return {
            "store": {"url": f"sqlite:///{self.folder}/remediator.db"},
            "feed": [
                {"name": "main", "bootstrap_servers": [self.bootstrap], "topics": [self.topic], "group": self.topic,
                 "codec": "openlineage", "start": "earliest", "lateness": "0s", "session": SESSION},
            ],
            "deployment": [self.deployment()],
            "receiver": [
                {"name": "pd", "kind": "pagerduty", "routing_key": {"env": "PAGERDUTY_ROUTING_KEY"},
                 "api_url": self.receiver_url},
                {"name": "chat", "kind": "slack", "token": {"env": "SLACK_BOT_TOKEN"},
                 "api_url": f"{self.receiver_url}/api/"},
            ],
            "routes": {"default": {"destinations": [
                {"kind": "pagerduty", "receiver": "pd"},
                {"kind": "slack", "receiver": "chat", "channel": "#alerts"},
            ], "pages_per_hour": 10_000}},
            "rules": sections.get("rules") or {"paths": [self.rules()]},
            "policy": QUICK_POLICY,
            "http": {"port": free_port()},
            "dispatcher": {"poll": "100ms", "changes_per_minute": 10_000},
            **sections,
        }  # fmt: skip

    def deployment(self, **more: Any) -> dict[str, Any]:
        """The section of the one Airflow."""
        return {
            "name": "prod", "feed": "main", "namespaces": [self.state.namespace], "ceiling": "act",
            "log_hosts": ["airflow.example", "127.0.0.1"],
            "api": {"url": self.api_url, "username": "admin", "password": {"env": "AIRFLOW_PASSWORD"}},
            **more,
        }  # fmt: skip

    def rules(self, text: str = RETRY_RULE, name: str = "rules") -> Path:
        """A folder of its own with one rule file; written anew if the text is another."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "rules.toml").write_text(text)
        return folder

    def config(self, **sections: Any) -> Path:
        """The settings, written down."""
        return write_config(self.folder, self.settings(**sections))

    @property
    def pages(self) -> int:
        """How often a person was woken."""
        return self.receiver.pagerduty.pages

    @property
    def clears(self) -> int:
        """Clears that had an effect."""
        return self.state.clears

    def pages_about(self, text: str) -> int:
        """How often a person was woken with a summary that contains the text."""
        return sum(text in alert.summary for alert in self.receiver.pagerduty.alerts)


@contextlib.asynccontextmanager
async def site(
    folder: Path,
    bootstrap: str,
    *,
    state: FleetState | None = None,
    plan_for: PlanFor = lambda run, instance: SUCCEEDS,
    partitions: int = 2,
    create: bool = True,
) -> AsyncIterator[Site]:
    """Everything around one daemon, with a topic of its own; the stand-in lives until left.

    create: make the topic now; else `feeding` does it later.
    """
    place = Site(folder, bootstrap, f"events-{uuid.uuid4().hex[:10]}", state or FleetState("airflow-prod"), plan_for)
    async with contextlib.AsyncExitStack() as stack:
        place.api_url = await stack.enter_async_context(serving_fleet(place.api))
        stack.callback(place.receiver.release)
        place.receiver_url = (await stack.enter_async_context(serving(place.receiver.app()))).url
        await stack.enter_async_context(driving([place.world], clock))
        if create:
            await stack.enter_async_context(place.feeding(partitions))
        yield place


@contextlib.asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def produce(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None, int | None]]) -> None:
    """Send records (key, value, partition or None to hash the key), and wait until the broker has them all."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False) as producer:
        sent: Sequence[Any] = [
            await producer.send(topic, value, key=key, partition=partition) for key, value, partition in records
        ]
        await asyncio.gather(*sent)
