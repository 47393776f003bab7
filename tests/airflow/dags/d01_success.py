"""Everything succeeds: Bash, a task group, inlets and outlets. A recorded scenario."""

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, dag, task, task_group

RAW = Asset(name="raw_orders", uri="s3://lake/raw/orders/")


@dag(
    dag_id="orders_daily",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sales", "tier1"],
    default_args={"owner": "sales-data", "retries": 0},
)
def orders_daily():
    extract = BashOperator(task_id="extract", bash_command="echo extracted 1200 rows", outlets=[RAW])

    @task_group
    def transform():
        @task(inlets=[RAW])
        def clean():
            return {"rows": 1198}

        clean()

    extract >> transform()


orders_daily()
