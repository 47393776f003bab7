"""Task processes killed by SIGKILL, as the kernel's OOM killer does it: on its last try Airflow emits no event of it.

A recorded scenario, each case a DAG of its own. killed_early runs on until a file named like the dagrun is in
$HEAL_DIR, so that its DAG's end announces nothing either.
"""

import datetime
import os
import signal
import time

import pendulum
from airflow.sdk import DAG, get_current_context, task

WAIT_SECONDS = 240
KWARGS = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["ml", "tier2"],
    "default_args": {"owner": "ml-platform", "retries": 0},
}

with DAG("killed_job", **KWARGS):

    @task
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def after():
        print("never")

    killed() >> after()

with DAG("killed_early", **KWARGS):

    @task(task_id="killed")
    def killed_early():
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def goes_on():
        released = os.path.join(os.environ["HEAL_DIR"], get_current_context()["run_id"])
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until and not os.path.exists(released):
            time.sleep(0.5)

    killed_early()
    goes_on()

with DAG("killed_twice", **KWARGS):

    @task(task_id="killed", retries=1, retry_delay=datetime.timedelta(seconds=1))
    def killed_twice():
        os.kill(os.getpid(), signal.SIGKILL)

    killed_twice()
