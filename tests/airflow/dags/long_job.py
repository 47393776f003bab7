"""One task that runs for a minute, unless it is ended."""

import time

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="long_job",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"owner": "platform", "retries": 0},
)
def long_job():
    @task
    def work():
        time.sleep(60)

    work()


long_job()
