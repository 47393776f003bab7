"""Deterministic failure, KeyError (schema drift), also in Airflow's own retry. What is downstream: upstream_failed."""

import datetime

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, task


@dag(
    dag_id="schema_drift",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["billing", "tier1"],
    default_args={"owner": "billing", "retries": 1, "retry_delay": datetime.timedelta(seconds=1)},
)
def schema_drift():
    @task
    def parse():
        row = {"cust_id": 7, "amount": 12.5}
        return row["customer_id"]

    @task
    def enrich(x):
        print(x)

    @task
    def report():
        print("report")

    @task(trigger_rule="all_done")
    def cleanup():
        print("cleanup")

    e = enrich(parse())
    e >> report() >> cleanup()
    e >> EmptyOperator(task_id="marker")


schema_drift()
