"""The daemon as a subprocess of its own, with SQLite, packs as they are shipped and the real Airflow.

Owns its configuration, its process and the way to ask it over HTTP. Looks into none of its insides.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from remediator.demo.broker import free_port
from tests.airflow.eventually import eventually
from tests.airflow.real_airflow import NAMESPACE, PASSWORD, TOPIC, USERNAME

ROOT = Path(__file__).parents[2]
PACKS = ROOT / "rules"
TRANSIENT = (PACKS / "airflow-transient",)
STOP_SECONDS = 20.0
COMMAND = ("-m", "remediator", "run")

Row = dict[str, Any]

CONFIG = """
[store]
url = "sqlite:///{folder}/remediator.db"

[[feed]]
name = "main"
bootstrap_servers = ["{bootstrap}"]
topics = ["{topic}"]
group = "{group}"
lateness = "2s"

[[deployment]]
name = "real"
feed = "main"
namespaces = ["{namespace}"]
ceiling = "act"

[deployment.api]
url = "{airflow}"
api_version = "{api_version}"
username = "{username}"
password = {{ env = "SUITE_AIRFLOW_PASSWORD" }}

[[receiver]]
name = "team-slack"
kind = "slack"
token = {{ env = "SUITE_SLACK_TOKEN" }}
api_url = "{receiver}/api/"

[[receiver]]
name = "oncall"
kind = "pagerduty"
routing_key = {{ env = "SUITE_ROUTING_KEY" }}
api_url = "{receiver}"

[routes.default]
destinations = [
  {{ kind = "slack", receiver = "team-slack", channel = "alerts" }},
  {{ kind = "pagerduty", receiver = "oncall" }},
]

[policy]
look_delay = "2s"
look_again = "1s"
sweep_every = "5s"

[rules]
paths = ["rules"]

[http]
port = {port}
"""


class Daemon:
    """One remediator with a store of its own.

    packs: folders of rules, or rules: their text. first_wait: before a first retry.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        airflow: str,
        receiver: str,
        *,
        packs: Sequence[Path] = TRANSIENT,
        first_wait: str = "3s",
        rules: str = "",
        api_version: str = "v2",
    ) -> None:
        self.folder = folder
        self._port = free_port()
        self._config = folder / "remediator.toml"
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if rules:
            (folder / "rules").mkdir()
            (folder / "rules" / "own.toml").write_text(rules)
        else:
            write_rules(folder / "rules", packs, first_wait)
        self._config.write_text(
            CONFIG.format(
                folder=folder,
                bootstrap=bootstrap,
                topic=TOPIC,
                group=f"suite-{self._port}",
                namespace=NAMESPACE,
                airflow=airflow,
                api_version=api_version,
                username=USERNAME,
                receiver=receiver,
                port=self._port,
            )
        )

    async def start(self) -> None:
        """Start it and wait until it decides and has read its feed."""
        environment = os.environ | {
            "SUITE_AIRFLOW_PASSWORD": PASSWORD,
            "SUITE_SLACK_TOKEN": "xoxb-suite",
            "SUITE_ROUTING_KEY": "suite-routing-key",
        }
        with (self.folder / "daemon.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *COMMAND, "--config", str(self._config),
                cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        began = datetime.now(UTC)
        await eventually(lambda: self.has_read_up_to(began), what=f"daemon ready: {self.log_tail()}")

    async def stop(self) -> None:
        """End it as an operator does, unless it has ended. Raises AssertionError if that took too long or failed."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"did not stop within {STOP_SECONDS:g} s: {self.log_tail()}") from None
        assert code == 0, self.log_tail()

    async def has_read_up_to(self, moment: datetime) -> bool:
        """Has it read its whole feed up to this moment, and decided on all of it?"""
        assert self._process is not None
        assert self._process.returncode is None, f"the daemon ended: {self.log_tail()}"
        status = await self._ask("/api/v1/status")
        if status is None or not status["leader"] or status["journal"]["lag_entries"]:
            return False
        watermark = status["feeds"]["main"]["watermark"]
        return watermark is not None and datetime.fromisoformat(watermark) > moment

    async def settled(self) -> None:
        """Wait until it has read and decided everything that happened up to now."""
        moment = datetime.now(UTC)
        await eventually(lambda: self.has_read_up_to(moment), what=f"the feed read up to {moment}")

    async def incident_of(self, run_id: str) -> Row | None:
        """The incident that this dagrun belongs to, with decisions and actions, if there is one."""
        mine = [one for one in await self.incidents() if run_id in one.get("dagruns", ())]
        assert len(mine) <= 1, mine
        return await self.story(mine[0]["id"]) if mine else None

    async def incidents(self) -> list[Row]:
        """All there are and were, latest first; none while it does not answer."""
        found = await self._ask("/api/v1/incidents?all=true&limit=500")
        return [] if found is None else list(found["incidents"])

    async def story(self, incident_id: str) -> Row | None:
        """{'incident', 'decisions', 'actions', …}; None while it does not answer."""
        return await self._ask(f"/api/v1/incidents/{incident_id}/explain")

    def log_tail(self) -> str:
        return (self.folder / "daemon.log").read_text(errors="replace")[-4000:]

    async def _ask(self, path: str) -> Row | None:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
                answer = await http.get(f"http://127.0.0.1:{self._port}{path}")
        except httpx.TransportError:
            return None
        found: Row | None = answer.json() if answer.status_code == 200 else None
        return found


def write_rules(folder: Path, packs: Sequence[Path], first_wait: str) -> None:
    """The packs as they are, but that a retry that would wait for half a minute or more waits for `first_wait`."""
    for path in (path for pack in packs for path in pack.glob("*.toml") if not path.name.endswith(".test.toml")):
        text, changed = re.subn(r'(initial|max) = "(?:30s|\d+m)"', rf'\1 = "{first_wait}"', path.read_text())
        assert changed or "airflow.retry" not in text or path.parent.parent != PACKS, path
        placed = folder / path.parent.name / path.name
        placed.parent.mkdir(parents=True, exist_ok=True)
        placed.write_text(text)
