"""ConnectionError('connection reset by peer') through all tries, until a file named like the dagrun is in $HEAL_DIR.

The same DAG under several names, so that tests can let it fail side by side.
"""

import datetime
import os

import pendulum
from airflow.sdk import DAG, get_current_context, task

DAG_IDS = ("crm_sync", "crm_wanted")


def build(dag_id):
    with DAG(
        dag_id,
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        tags=["crm", "tier1"],
        default_args={"owner": "crm", "retries": 1, "retry_delay": datetime.timedelta(seconds=1)},
    ) as made:

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
    return made


for name in DAG_IDS:
    globals()[name] = build(name)
