"""Daily DAGs with nothing to do: their dagruns succeed at once, and are made to fail by marking, at no cost."""

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range(17):
    with DAG(
        f"kill_{number}",
        schedule="@daily",
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        default_args={"owner": "suite", "retries": 0},
    ) as made:
        EmptyOperator(task_id="work")
    globals()[made.dag_id] = made
