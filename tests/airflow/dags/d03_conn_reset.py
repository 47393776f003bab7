"""ConnectionError('connection reset by peer') through all tries, until a file named like the dagrun is in $HEAL_DIR."""

import datetime
import os

import pendulum
from airflow.sdk import dag, get_current_context, task


@dag(
    dag_id="crm_sync",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["crm", "tier1"],
    default_args={"owner": "crm", "retries": 1, "retry_delay": datetime.timedelta(seconds=1)},
)
def crm_sync():
    @task
    def pull():
        if not os.path.exists(os.path.join(os.environ["HEAL_DIR"], get_current_context()["run_id"])):
            raise ConnectionError("connection reset by peer")
        return "ok"

    @task
    def merge(x):
        print("merge", x)

    @task
    def publish():
        print("publish")

    merge(pull()) >> publish()


crm_sync()
