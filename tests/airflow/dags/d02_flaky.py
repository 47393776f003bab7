"""Transient failure, recovered by Airflow's own retry."""

import datetime

import pendulum
from airflow.sdk import dag, get_current_context, task


@dag(
    dag_id="flaky_ingest",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["ingest", "tier2"],
    default_args={"owner": "ingest", "retries": 2, "retry_delay": datetime.timedelta(seconds=2)},
)
def flaky_ingest():
    @task
    def fetch():
        ti = get_current_context()["ti"]
        if ti.try_number == 1:
            raise TimeoutError("HTTPSConnectionPool(host='api.partner.example', port=443): Read timed out.")
        return 42

    @task
    def store(n):
        print("stored", n)

    store(fetch())


flaky_ingest()
