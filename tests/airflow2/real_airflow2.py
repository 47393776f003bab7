"""A real Airflow 2 with LocalExecutor on a PostgreSQL given to it, its API open to basic credentials.

Owns its home folder and what it runs with; every socket is on loopback. Knows nothing of remediator.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from tests.airflow import processes
from tests.airflow.processes import Processes

DAGS = Path(__file__).parent / "dags"
DAG_COUNT = 6
"""How many DAGs the files there define."""
USERNAME = "admin"
PASSWORD = "admin"
VIEWER = "viewer"
"""Another user, of the same password, who may change nothing."""
MIGRATE_SECONDS = 120.0
USERS_SECONDS = 60.0
BASIC = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth"


def venv() -> Path:
    """Where Airflow 2 is installed: $REMEDIATOR_AIRFLOW2_VENV, or where `make airflow2-venv` puts it."""
    return processes.venv("REMEDIATOR_AIRFLOW2_VENV", "airflow2-venv")


def is_installed() -> bool:
    return (venv() / "bin" / "airflow").exists()


class RealAirflow2:
    """webserver and scheduler. `heal_dir`: a file named like a dagrun there lets its tasks succeed.

    database: 'postgresql://…', empty. port: the webserver's, which has the API.
    """

    def __init__(self, home: Path, database: str, port: int) -> None:
        self.home = home
        self.heal_dir = home / "heal"
        self.url = f"http://127.0.0.1:{port}"
        self.start_seconds = 0.0
        environment = _environment(home, database) | {"HEAL_DIR": str(self.heal_dir)}
        parts = {
            "webserver": ("webserver", "--hostname", "127.0.0.1", "--port", str(port), "--workers", "1"),
            # Without --skip-serve-logs its log server listens on every address.
            "scheduler": ("scheduler", "--skip-serve-logs"),
        }
        self._processes = Processes(venv(), home, self.url, environment, parts)

    def start(self) -> None:
        """Create database and users, start every part and wait until it knows its DAGs. Raises AirflowFailed."""
        began = time.monotonic()
        for folder in ("logs", "plugins", "heal"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        self._processes.once("migrate", MIGRATE_SECONDS, "db", "migrate")
        who = ("--username", USERNAME, "--password", PASSWORD, "--role", "Admin")
        named = ("--firstname", USERNAME, "--lastname", USERNAME, "--email", "admin@example.org")
        self._processes.once("users", USERS_SECONDS, "users", "create", *who, *named)
        self._processes.revive(self._is_healthy)
        self._processes.until(self._has_dags, "knows its DAGs")
        # The webserver has made the roles by now, which the command line does not.
        self._processes.until(self._has_viewer, "knows its users")
        self.start_seconds = time.monotonic() - began

    def stop(self) -> None:
        """End every process of it. Idempotent."""
        self._processes.stop()

    def _is_healthy(self) -> bool:
        said = self._processes.ask("GET", "/api/v1/health")
        return said is not None and all(said[part]["status"] == "healthy" for part in ("metadatabase", "scheduler"))

    def _has_dags(self) -> bool:
        said = self._processes.ask("GET", "/api/v1/dags", auth=(USERNAME, PASSWORD))
        return said is not None and said["total_entries"] == DAG_COUNT

    def _has_viewer(self) -> bool:
        viewer = {"username": VIEWER, "password": PASSWORD, "roles": [{"name": "Viewer"}], "email": "v@example.org"}
        body = {**viewer, "first_name": VIEWER, "last_name": VIEWER}
        return self._processes.ask("POST", "/api/v1/users", json=body, auth=(USERNAME, PASSWORD)) is not None


def _environment(home: Path, database: str) -> dict[str, str]:
    settings = {
        "CORE__DAGS_FOLDER": str(DAGS),
        "CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "6",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "API__AUTH_BACKENDS": BASIC,
        "DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql:", "postgresql+psycopg2:", 1),
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "60",
        "SCHEDULER__PARSING_PROCESSES": "1",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        "WEBSERVER__SECRET_KEY": secrets.token_hex(32),
    }
    return processes.environment(venv(), home, settings)
