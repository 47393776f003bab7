"""One real Airflow 2 for the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remediator.demo.broker import free_port
from tests.airflow2.real_airflow2 import RealAirflow2, is_installed, venv
from tests.support.postgres import postgres


@pytest.fixture(scope="session")
def airflow2_database() -> Iterator[str]:
    """The URL of an empty PostgreSQL."""
    if not is_installed():
        pytest.skip(f"NO AIRFLOW 2: make airflow2-venv (looked in {venv()})")
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def real_airflow2(airflow2_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow2]:
    """A healthy Airflow 2 that knows every DAG of dags/."""
    airflow = RealAirflow2(tmp_path_factory.mktemp("airflow2"), airflow2_database, free_port())
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
