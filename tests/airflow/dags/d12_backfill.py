"""A daily DAG for backfills. The file of 2026-01-03 is late: it is missing in that day's first try.

A recorded scenario.
"""

import pendulum
from airflow.sdk import dag, task


@dag(
    dag_id="daily_revenue",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["finance", "tier1"],
    default_args={"owner": "finance", "retries": 0},
)
def daily_revenue():
    @task
    def compute(logical_date=None, ti=None):
        if f"{logical_date:%Y-%m-%d}" == "2026-01-03" and ti.try_number == 1:
            raise FileNotFoundError(2, "No such file or directory", "s3://lake/raw/revenue/2026-01-03.csv")
        print("revenue", logical_date)

    compute()


daily_revenue()
