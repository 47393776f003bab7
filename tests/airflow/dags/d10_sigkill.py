"""A task process killed by SIGKILL, as the kernel's OOM killer does it, on its last try: Airflow emits no event."""

import os
import signal

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="killed_job",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["ml", "tier2"],
    default_args={"owner": "ml-platform", "retries": 0},
)
def killed_job():
    @task
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def after():
        print("never")

    killed() >> after()


killed_job()
