"""Dynamic task mapping: 6 instances, map_index 3 fails; and 3 instances, map_index 1 loses its connection once.

The first is a recorded scenario.
"""

import pendulum
from airflow.sdk import DAG, get_current_context, task

KWARGS = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["load", "tier2"],
    "default_args": {"owner": "platform", "retries": 0},
}

with DAG("partition_load", **KWARGS):

    @task
    def parts():
        return list(range(6))

    @task(map_index_template="{{ 'part-' ~ task.op_kwargs['n'] }}")
    def load(n):
        if n == 3:
            raise ValueError(f"partition {n}: checksum mismatch, expected 9f2c got 0000")
        return n

    @task
    def total(xs):
        print(sum(xs))

    total(load.expand(n=parts()))

with DAG("partition_sync", **KWARGS):

    @task
    def sync(n):
        if n == 1 and get_current_context()["ti"].try_number == 1:
            raise BrokenPipeError(32, "Broken pipe")
        return n

    @task
    def merge(xs):
        print(sum(xs))

    merge(sync.expand(n=[0, 1, 2]))
