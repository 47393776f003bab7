"""A chain of assets: the second DAG is started by what the first one wrote, the third by what the second one wrote.

A recorded scenario, but that the second DAG's task loses its connection in its first try.
"""

import pendulum
from airflow.sdk import DAG, Asset, get_current_context, task

INVENTORY = Asset(name="inventory", uri="postgres://dwh.example:5432/shop/public/inventory")
MART = Asset(name="stock_mart", uri="postgres://dwh.example:5432/shop/mart/stock")
KWARGS = {
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "tags": ["assets", "tier1"],
    "default_args": {"owner": "supply", "retries": 0},
}

with DAG("inventory_producer", schedule=None, **KWARGS):

    @task(outlets=[INVENTORY])
    def write_inventory(*, outlet_events):
        outlet_events[INVENTORY].extra = {"rows": 512, "watermark": "2026-01-01"}

    write_inventory()

with DAG("stock_mart_build", schedule=[INVENTORY], **KWARGS):

    @task(inlets=[INVENTORY], outlets=[MART])
    def build():
        if get_current_context()["ti"].try_number == 1:
            raise ConnectionResetError(104, "Connection reset by peer")

    build()

with DAG("stock_report", schedule=[MART], **KWARGS):

    @task(inlets=[MART])
    def render():
        print("report")

    render()
