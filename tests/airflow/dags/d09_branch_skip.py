"""A branch, skips, and a failure that is final in the first of three tries. A recorded scenario."""

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


@dag(
    dag_id="branchy",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["misc", "tier3"],
    default_args={"owner": "platform", "retries": 2},
)
def branchy():
    @task.branch
    def choose():
        return "left"

    @task
    def left():
        raise AirflowSkipException("nothing to do for this partition")

    @task
    def right():
        print("right")

    @task(trigger_rule="none_failed")
    def join():
        print("join")

    @task
    def fail_no_retry():
        raise AirflowFailException("contract violated: column price is null in 17 rows")

    choose() >> [left(), right()] >> join() >> fail_no_retry()


branchy()
