"""A real Airflow with LocalExecutor on a PostgreSQL given to it, its OpenLineage provider writing to a Kafka topic.

Owns its processes, its home folder and their end; every socket is on loopback. Knows nothing of remediator.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

DAGS = Path(__file__).parent / "dags"
DAG_COUNT = 22
"""How many DAGs the files there define."""
NAMESPACE = "airflow-suite"
TOPIC = "openlineage.events"
PARTITIONS = 3
USERNAME = "admin"
PASSWORD = "admin"
MIGRATE_SECONDS = 120.0
START_SECONDS = 180.0
STOP_SECONDS = 6.0
HEALTHY = ("metadatabase", "scheduler", "dag_processor")
PARTS = {
    "api": ("api-server",),
    # Without --skip-serve-logs its log server listens on every address.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag_processor": ("dag-processor",),
}
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG = 1
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class AirflowFailed(Exception):  # noqa: N818  (what happened)
    """It did not start; the text ends with what its log says last."""


def venv() -> Path:
    """Where Airflow is installed: $REMEDIATOR_AIRFLOW_VENV, or where `make airflow-venv` puts it."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("REMEDIATOR_AIRFLOW_VENV") or Path(cache) / "remediator-tests" / "airflow-venv")


def is_installed() -> bool:
    return (venv() / "bin" / "airflow").exists()


class RealAirflow:
    """api-server, scheduler and dag-processor. `heal_dir`: a file named like a dagrun there lets its tasks succeed.

    database: 'postgresql://…', empty. ports: the API's and the scheduler's health check's.
    """

    def __init__(self, home: Path, database: str, bootstrap: str, ports: tuple[int, int]) -> None:
        self.home = home
        self.heal_dir = home / "heal"
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.start_seconds = 0.0
        self._environment = _environment(home, database, bootstrap, ports) | {"HEAL_DIR": str(self.heal_dir)}
        self._parts: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Create the database, start every part and wait until all say that they are healthy. Raises AirflowFailed."""
        began = time.monotonic()
        for folder in ("logs", "plugins", "heal"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps({USERNAME: PASSWORD}))
        if self._run("migrate", "db", "migrate").wait(MIGRATE_SECONDS) != 0:
            raise AirflowFailed(f"airflow db migrate failed: {self._tail('migrate')}")
        self.revive()
        self._until(self._has_dags, "knows its DAGs")
        self.start_seconds = time.monotonic() - began

    def revive(self) -> None:
        """Start every part that does not run, as whoever runs an Airflow does, and wait for its health."""
        ended = [name for name in PARTS if name not in self._parts or self._parts[name].poll() is not None]
        for name in ended:
            self._parts[name] = self._run(name, *PARTS[name])
        if ended:
            self._until(self._is_healthy, "healthy")

    def stop(self) -> None:
        """End every process of it: politely, then by force. Idempotent."""
        parts, self._parts = self._parts, {}
        for part in parts.values():
            part.terminate()
        until = time.monotonic() + STOP_SECONDS
        for part in parts.values():
            with suppress(subprocess.TimeoutExpired):
                part.wait(max(0.1, until - time.monotonic()))
        for part in parts.values():
            for pid in _session(part.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            part.wait(STOP_SECONDS)

    def answers(self, method: str, path: str) -> list[int]:
        """The statuses of all calls of this route up to now, from the api-server's access log."""
        # "… method=POST path=/api/v2/… query=… status_code=200", coloured for a terminal that is not there
        text = _COLOURS.sub("", (self.home / "logs" / "api.log").read_text(errors="replace"))
        route = re.compile(rf"method={method} path={re.escape(path)} .*?status_code=(\d+)")
        return [int(status) for status in route.findall(text)]

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(venv() / "bin" / "airflow"), *arguments],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + START_SECONDS
        while not holds():
            for name, part in self._parts.items():
                if part.poll() is not None:
                    raise AirflowFailed(f"{name} ended with {part.returncode}: {self._tail(name)}")
            if time.monotonic() > until:
                raise AirflowFailed(f"not {what} after {START_SECONDS:g} s: {self._tail('scheduler')}")
            time.sleep(0.2)

    def _is_healthy(self) -> bool:
        said = self._ask("GET", "/api/v2/monitor/health")
        return said is not None and all(said[part]["status"] == "healthy" for part in HEALTHY)

    def _has_dags(self) -> bool:
        admitted = self._ask("POST", "/auth/token", json={"username": USERNAME, "password": PASSWORD})
        if admitted is None:
            return False
        said = self._ask("GET", "/api/v2/dags", headers={"Authorization": f"Bearer {admitted['access_token']}"})
        return said is not None and said["total_entries"] == DAG_COUNT

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any] | None:
        try:
            answer = httpx.request(method, self.url + path, timeout=5, trust_env=False, **arguments)
        except httpx.TransportError:
            return None
        found: dict[str, Any] = answer.json() if answer.is_success else {}
        return found or None

    def _tail(self, name: str) -> str:
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")[-2000:]


def _environment(home: Path, database: str, bootstrap: str, ports: tuple[int, int]) -> dict[str, str]:
    secret = secrets.token_hex(64)
    transport = {
        "type": "kafka",
        "topic": TOPIC,
        "flush": True,
        "config": {"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": "8000"},
    }
    url = f"http://127.0.0.1:{ports[0]}"
    settings = {
        "CORE__DAGS_FOLDER": str(DAGS),
        "CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "6",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__LAZY_LOAD_PLUGINS": "True",
        "DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql:", "postgresql+psycopg2:", 1),
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("postgresql:", "postgresql+asyncpg:", 1),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(ports[0]),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secret,
        "API_AUTH__JWT_SECRET": secret,
        "SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(ports[1]),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "OPENLINEAGE__NAMESPACE": NAMESPACE,
        "OPENLINEAGE__TRANSPORT": json.dumps(transport),
    }
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["PATH"] = f"{venv() / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
    fixed = {"AIRFLOW_HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", "NO_PROXY": "127.0.0.1"}
    return kept | fixed | {f"AIRFLOW__{name}": value for name, value in settings.items()}


def _session(leader: int) -> Iterator[int]:
    """Every process of the session that this one leads; elsewhere than on Linux the leader alone."""
    if not Path("/proc").exists():
        yield leader
        return
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # "pid (name) state ppid pgrp session …", and a name may hold spaces and brackets
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(stat.parent.name)


def _end_with_parent() -> Callable[[], None] | None:
    """Have the kernel end the part with the test run, however that ends; elsewhere than on Linux `stop` has to do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
