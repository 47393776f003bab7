"""The contract of the Airflow stand-in, run over a real Airflow."""

from __future__ import annotations

import pytest

from tests.airflow.airflow_api import AirflowApi
from tests.airflow.contract_run import keeps_the_contract
from tests.airflow.real_airflow import PASSWORD, USERNAME, RealAirflow

pytestmark = pytest.mark.airflow

PREPARED = 14
"""Dagruns that fail while the first tests run: a real one takes its time to fail."""


async def test_the_real_airflow_keeps_the_contract_of_the_stand_in(real_airflow: RealAirflow, api: AirflowApi) -> None:
    environment = {
        "AIRFLOW_URL": real_airflow.url,
        "AIRFLOW_USER": USERNAME,
        "AIRFLOW_PASSWORD": PASSWORD,
        "AIRFLOW_DAILY_DAG": "daily_job",
    }
    failed = [await api.trigger("crm_sync") for _ in range(PREPARED)]
    await keeps_the_contract("airflow", failed, environment)
