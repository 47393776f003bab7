"""Checks of data: of a column and of a table with common.sql on SQLite, and an assertion in OpenLineage's facets.

A recorded scenario.
"""

import os
import sqlite3

import pendulum
from airflow.providers.common.sql.operators.sql import SQLColumnCheckOperator, SQLTableCheckOperator
from airflow.sdk import DAG, BaseOperator, task

DATABASE = os.path.join(os.environ["HEAL_DIR"], "dq.db")


class AssertRows(BaseOperator):
    """A number of rows, reported in the dataQualityAssertions and dataQualityMetrics facets."""

    def __init__(self, minimum, **kwargs):
        super().__init__(**kwargs)
        self.minimum = minimum
        self.found = None

    def execute(self, context):
        self.found = sqlite3.connect(DATABASE).execute("select count(*) from orders").fetchone()[0]
        if self.found < self.minimum:
            raise ValueError(f"data quality: orders has {self.found} rows, expected at least {self.minimum}")

    def get_openlineage_facets_on_complete(self, ti):
        return self._lineage(True)

    def get_openlineage_facets_on_failure(self, ti):
        return self._lineage(False)

    def _lineage(self, success):
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
        from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as metrics

        said = assertions.Assertion(assertion="row_count", success=success, column=None)
        facets = {
            "dataQualityMetrics": metrics.DataQualityMetricsInputDatasetFacet(columnMetrics={}, rowCount=self.found),
            "dataQualityAssertions": assertions.DataQualityAssertionsDatasetFacet(assertions=[said]),
        }
        return OperatorLineage(inputs=[InputDataset("sqlite", "main.orders", facets={}, inputFacets=facets)])


with DAG(
    "dq_orders",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["dq", "tier1"],
    default_args={"owner": "dq", "retries": 0},
):

    @task
    def prepare():
        database = sqlite3.connect(DATABASE)
        database.execute("drop table if exists orders")
        database.execute("create table orders(id integer, amount real)")
        rows = [(number, None if number % 9 == 0 else number * 1.5) for number in range(1, 21)]
        database.executemany("insert into orders values(?,?)", rows)
        database.commit()

    columns = {"id": {"unique_check": {"equal_to": 0}}, "amount": {"null_check": {"equal_to": 0}}}
    checks = {"row_count": {"check_statement": "count(*) >= 10"}}
    prepare() >> [
        SQLColumnCheckOperator(task_id="check_columns", conn_id="dq_sqlite", table="orders", column_mapping=columns),
        SQLTableCheckOperator(task_id="check_table", conn_id="dq_sqlite", table="orders", checks=checks),
        AssertRows(task_id="assert_rows_fail", minimum=1000),
    ]
