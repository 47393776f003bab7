"""A dagrun started by hand with a conf, and one started by another DAG's task. A recorded scenario."""

import pendulum
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, task

KWARGS = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["adhoc", "tier3"],
    "default_args": {"owner": "ops", "retries": 0},
}

with DAG(
    "manual_export",
    params={"region": Param("eu", type="string"), "fail": Param(False, type="boolean")},
    **KWARGS,
):

    @task
    def export(params=None, dag_run=None):
        print(params, dag_run.conf)
        if params["fail"]:
            raise RuntimeError("export failed on request")

    export()

with DAG("parent_trigger", **KWARGS):
    TriggerDagRunOperator(
        task_id="fire_child",
        trigger_dag_id="manual_export",
        conf={"region": "us"},
        wait_for_completion=True,
        poke_interval=2,
    )
