"""The contract of the Airflow stand-in, run over a real Airflow."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.airflow.airflow_api import AirflowApi
from tests.airflow.real_airflow import PASSWORD, USERNAME, RealAirflow

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
CONTRACT = "tests/contract/airflow"
BOUND_SECONDS = 400.0
PREPARED = 14
"""Dagruns that fail while the first tests run: a real one takes its time to fail."""


async def test_the_real_airflow_keeps_the_contract_of_the_stand_in(real_airflow: RealAirflow, api: AirflowApi) -> None:
    """In a pytest of its own: the backends of that suite are chosen when it is collected."""
    run_ids = [await api.trigger("crm_sync") for _ in range(PREPARED)]
    environment = os.environ | {
        "AIRFLOW_URL": real_airflow.url,
        "AIRFLOW_USER": USERNAME,
        "AIRFLOW_PASSWORD": PASSWORD,
        "AIRFLOW_DAILY_DAG": "daily_job",
        "AIRFLOW_FAILED": " ".join(run_ids),
        "PYTEST_ADDOPTS": "",
    }
    command = ["-m", "pytest", "-q", "-m", "airflow", "-p", "no:cacheprovider", "--durations=5", CONTRACT]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    assert " skipped" not in text, text[-2000:]
