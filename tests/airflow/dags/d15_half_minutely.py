"""A DAG with a schedule of its own: its connection is lost in every dagrun's first try, and Airflow's own retry heals.

A recorded scenario. Paused until a test lets it run.
"""

import datetime

import pendulum
from airflow.sdk import dag, get_current_context, task


@dag(
    dag_id="heartbeat_etl",
    schedule=datetime.timedelta(seconds=30),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["volume", "tier3"],
    default_args={"owner": "platform", "retries": 1, "retry_delay": datetime.timedelta(seconds=1)},
)
def heartbeat_etl():
    @task
    def read():
        if get_current_context()["ti"].try_number == 1:
            raise OSError(110, "Connection timed out")

    read()


heartbeat_etl()
