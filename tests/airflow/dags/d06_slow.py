"""A task over its execution_timeout, and one that is stuck until a file named like the dagrun is in $HEAL_DIR.

A recorded scenario.
"""

import datetime
import os
import time

import pendulum
from airflow.sdk import DAG, get_current_context, task

STUCK_SECONDS = 240
KWARGS = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["reporting", "tier3"],
    "default_args": {"owner": "bi", "retries": 0},
}

with DAG("slow_report", **KWARGS):

    @task(execution_timeout=datetime.timedelta(seconds=2))
    def times_out():
        time.sleep(60)

    times_out()

with DAG("stuck_report", **KWARGS):

    @task
    def hangs():
        released = os.path.join(os.environ["HEAL_DIR"], get_current_context()["run_id"])
        until = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < until and not os.path.exists(released):
            time.sleep(0.5)

    hangs()
