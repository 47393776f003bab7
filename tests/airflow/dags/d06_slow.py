"""A task over its execution_timeout, one that is stuck, and a dagrun that succeeds after its deadline.

The last two wait until a file named like the dagrun is in $HEAL_DIR. Recorded scenarios.
"""

import datetime
import os
import time

import pendulum
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, get_current_context, task

STUCK_SECONDS = 240
KWARGS = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["reporting", "tier3"],
    "default_args": {"owner": "bi", "retries": 0},
}
DEADLINE = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=datetime.timedelta(seconds=2),
    callback=AsyncCallback("callbacks.deadline_missed"),
)


def wait_for_release():
    released = os.path.join(os.environ["HEAL_DIR"], get_current_context()["run_id"])
    until = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < until and not os.path.exists(released):
        time.sleep(0.5)


with DAG("slow_report", **KWARGS):

    @task(execution_timeout=datetime.timedelta(seconds=2))
    def times_out():
        time.sleep(60)

    times_out()

with DAG("stuck_report", **KWARGS):

    @task
    def hangs():
        wait_for_release()

    hangs()

with DAG("late_report", deadline=DEADLINE, **KWARGS):

    @task
    def renders():
        wait_for_release()

    renders()
