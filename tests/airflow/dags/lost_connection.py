"""A lost connection in the first tries, so many for each DAG; whatever comes after them succeeds."""

import pendulum
from airflow.sdk import DAG, get_current_context, task

NEVER = 1000
FAILING_TRIES = {"crm_second": 2, "crm_gone": NEVER, "crm_person": 1, "crm_race": 1, "crm_restart": 1, "crm_outage": 1}


def build(dag_id, failing):
    with DAG(
        dag_id,
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        tags=["crm", "tier1"],
        default_args={"owner": "crm", "retries": 0},
    ) as made:

        @task
        def pull():
            if get_current_context()["ti"].try_number <= failing:
                raise ConnectionError("connection reset by peer")

        pull()
    return made


for name, number in FAILING_TRIES.items():
    globals()[name] = build(name, number)
