"""The DAGs of the suite as Airflow 2 spells them. A file named like the dagrun in $HEAL_DIR ends a failure."""

import datetime
import os
import time

import pendulum
from airflow.decorators import dag, task
from airflow.operators.python import get_current_context

START = pendulum.datetime(2026, 1, 1, tz="UTC")
FEW = 4
BAD = {"partition_load": (2,), "partitions_load": (1, 2), "swept_load": (2,)}


def is_healed():
    return os.path.exists(os.path.join(os.environ["HEAL_DIR"], get_current_context()["run_id"]))


@dag(
    dag_id="crm_sync",
    schedule=None,
    start_date=START,
    tags=["crm", "tier1"],
    default_args={"owner": "crm", "retries": 1, "retry_delay": datetime.timedelta(seconds=1)},
)
def crm_sync():
    """pull fails through both of its tries; merge and publish are upstream_failed."""

    @task
    def pull():
        if not is_healed():
            raise ConnectionError("connection reset by peer")
        return "ok"

    @task
    def merge(x):
        print("merge", x)

    @task
    def publish():
        print("publish")

    merge(pull()) >> publish()


def partitions(name):
    @dag(dag_id=name, schedule=None, start_date=START, default_args={"owner": "platform", "retries": 0})
    def made():
        """Mapped: some indexes fail."""

        @task
        def parts():
            return list(range(FEW))

        @task
        def load(n):
            if n in BAD[name] and not is_healed():
                raise ValueError(f"partition {n}: checksum mismatch")
            return n

        @task
        def total(xs):
            print(sum(xs))

        total(load.expand(n=parts()))

    return made()


@dag(dag_id="long_job", schedule=None, start_date=START, default_args={"owner": "platform", "retries": 0})
def long_job():
    """One task that runs for a minute, unless it is ended."""

    @task
    def work():
        time.sleep(60)

    work()


@dag(dag_id="daily", schedule="@daily", start_date=START, catchup=False, is_paused_upon_creation=True)
def daily():
    """Succeeds at once; scheduled, so that a range has dates."""

    @task
    def work():
        print("work")

    work()


crm_sync()
long_job()
daily()
for name in BAD:
    globals()[name] = partitions(name)
