"""Dynamic task mapping: 6 instances, map_index 3 fails."""

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="partition_load",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["load", "tier2"],
    default_args={"owner": "platform", "retries": 0},
)
def partition_load():
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


partition_load()
