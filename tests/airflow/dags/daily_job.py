"""A daily DAG whose one task is over in a moment, for backfills of any date since 2024."""

import time

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="daily_job",
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"owner": "platform", "retries": 0},
)
def daily_job():
    @task
    def work():
        time.sleep(0.1)

    work()


daily_job()
