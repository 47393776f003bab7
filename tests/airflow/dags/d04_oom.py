"""Memory exhaustion in three shapes: MemoryError, a limit of the process, a killed child. A recorded scenario."""

import resource

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task


@dag(
    dag_id="feature_build",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["ml", "tier2"],
    default_args={"owner": "ml-platform", "retries": 0},
)
def feature_build():
    @task
    def build_matrix():
        raise MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64")

    @task
    def real_limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        return len(bytearray(3 << 30))

    BashOperator(task_id="child_oom", bash_command="sh -c 'kill -9 $$'")
    build_matrix()
    real_limit()


feature_build()
