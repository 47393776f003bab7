"""A real Airflow with LocalExecutor on a PostgreSQL given to it, its OpenLineage provider writing to a Kafka topic.

Owns its processes, its home folder and their end; every socket is on loopback. Knows nothing of remediator.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path

from tests.airflow import processes
from tests.airflow.processes import Processes

DAGS = Path(__file__).parent / "dags"
PLUGINS = Path(__file__).parent / "plugins"
NAMESPACE = "airflow-suite"
TOPIC = "openlineage.events"
PARTITIONS = 3
USERNAME = "admin"
PASSWORD = "admin"
PERSON = "person"
"""A second admin of the same password: whoever clears by hand."""
MIGRATE_SECONDS = 120.0
HEALTHY = ("metadatabase", "scheduler", "dag_processor")
PARTS = {
    "api": ("api-server",),
    # Without --skip-serve-logs its log server listens on every address.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag_processor": ("dag-processor",),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def venv() -> Path:
    """Where Airflow is installed: $REMEDIATOR_AIRFLOW_VENV, or where `make airflow-venv` puts it."""
    return processes.venv("REMEDIATOR_AIRFLOW_VENV", "airflow-venv")


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
        environment = _environment(home, database, bootstrap, ports) | _side_files(self.heal_dir)
        self._processes = Processes(venv(), home, self.url, environment, PARTS)

    def start(self) -> None:
        """Create the database, start every part and wait until all say that they are healthy. Raises AirflowFailed."""
        began = time.monotonic()
        for folder in ("logs", "heal"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps({USERNAME: PASSWORD, PERSON: PASSWORD}))
        self._processes.once("migrate", MIGRATE_SECONDS, "db", "migrate")
        self.revive()
        self._processes.until(self._has_dags, "knows its DAGs")
        self.start_seconds = time.monotonic() - began

    def revive(self, *names: str) -> None:
        """Start every part that does not run, as whoever runs an Airflow does, and wait for its health.

        names: these parts alone; then it is waited for until the API answers.
        """
        self._processes.revive(self._answers if names else self._is_healthy, *names)

    def kill(self, *names: str) -> None:
        """End these parts and every process of theirs by SIGKILL, as a power cut does: the scheduler's tasks too."""
        self._processes.kill(*names)

    def stop(self) -> None:
        """End every process of it. Idempotent."""
        self._processes.stop()

    def answers(self, method: str, path: str) -> list[int]:
        """The statuses of all calls of this route up to now, from the api-server's access log."""
        # "… method=POST path=/api/v2/… query=… status_code=200", coloured for a terminal that is not there
        text = _COLOURS.sub("", (self.home / "logs" / "api.log").read_text(errors="replace"))
        route = re.compile(rf"method={method} path={re.escape(path)} .*?status_code=(\d+)")
        return [int(status) for status in route.findall(text)]

    def _answers(self) -> bool:
        return self._processes.ask("GET", "/api/v2/monitor/health") is not None

    def _is_healthy(self) -> bool:
        said = self._processes.ask("GET", "/api/v2/monitor/health")
        return said is not None and all(said[part]["status"] == "healthy" for part in HEALTHY)

    def _has_dags(self) -> bool:
        admitted = self._processes.ask("POST", "/auth/token", json={"username": USERNAME, "password": PASSWORD})
        if admitted is None:
            return False
        headers = {"Authorization": f"Bearer {admitted['access_token']}"}
        said = self._processes.ask("GET", "/api/v2/dags?limit=100", headers=headers)
        known = {dag["relative_fileloc"] for dag in (said or {"dags": ()})["dags"]}
        return known == {path.name for path in DAGS.glob("*.py")}


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
        "CORE__PLUGINS_FOLDER": str(PLUGINS),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "6",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin,{PERSON}:admin",
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
    return processes.environment(venv(), home, settings)


def _side_files(folder: Path) -> dict[str, str]:
    """What the DAGs are told of their surroundings."""
    database = {"conn_type": "sqlite", "host": str(folder / "dq.db")}
    return {"HEAL_DIR": str(folder), "AIRFLOW_CONN_DQ_SQLITE": json.dumps(database)}
