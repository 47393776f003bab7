"""The night as a table: what happens in every DAG, and how remediator has to treat it. Data and its words alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Treatment(StrEnum):
    """What people and Airflow saw of remediator."""

    LEFT_ALONE = "left alone"
    HEALED = "healed"
    PAGED = "paged"
    FOUND = "found by the reconciler, and paged"
    THEIRS = "left to the person who cleared it"


@dataclass(frozen=True)
class Row:
    """One dagrun of the night.

    run_type, date: which of its DAG's dagruns, where several are. ends: the dagrun's state at last. clears: asked for
    by remediator. rules: that answered, sorted. tries: 'task' or 'task[map_index]' -> how many, of some tasks.
    """

    dag: str
    happens: str
    treatment: Treatment
    ends: str
    clears: int
    pages: int
    why: str
    rules: tuple[str, ...] = ()
    tries: dict[str, int] = field(default_factory=dict)
    run_type: str = "manual"
    date: str = ""

    @property
    def name(self) -> str:
        return "-".join(
            part for part in (self.dag, self.run_type if self.run_type != "manual" else "", self.date) if part
        )


LEFT_ALONE, HEALED, PAGED, FOUND, THEIRS = Treatment
NETWORK = ("transient-network",)
MEMORY = ("out-of-memory-error", "out-of-memory-killed")
UNKNOWN = ("unclassified",)

NIGHT = (
    Row("orders_daily", "everything succeeds", LEFT_ALONE, "success", 0, 0, "nothing failed"),
    Row("flaky_ingest", "a timeout, and Airflow's own retry succeeds", LEFT_ALONE, "success", 0, 0,
        "a failure that Airflow retries is not final", tries={"fetch": 2, "store": 1}),
    Row("heartbeat_etl", "the same in a scheduled dagrun", LEFT_ALONE, "success", 0, 0,
        "a failure that Airflow retries is not final", tries={"read": 2}, run_type="scheduled"),
    Row("crm_sync", "the connection is lost in both of Airflow's tries, then it is back", HEALED, "success", 1, 0,
        "a lost connection is worth another try", NETWORK, {"pull": 3, "merge": 1, "publish": 1}),
    Row("crm_second", "the connection is lost in the first two tries", HEALED, "success", 2, 0,
        "a first retry in vain leaves two more", NETWORK, {"pull": 3}),
    Row("crm_gone", "the connection is lost for good", PAGED, "failed", 3, 1,
        "after three retries in vain a person is asked", NETWORK, {"pull": 4}),
    Row("feature_build", "three tasks run out of memory, each in its own way", PAGED, "failed", 0, 3,
        "the same data needs the same memory again", MEMORY, {"build_matrix": 1, "real_limit": 1, "child_oom": 1}),
    Row("schema_drift", "a KeyError in both of Airflow's tries", PAGED, "failed", 0, 1,
        "no rule knows a fault of the code: never retried, always told", UNKNOWN, {"parse": 2}),
    Row("slow_report", "a task takes longer than its execution_timeout", PAGED, "failed", 0, 1,
        "what is too slow stays too slow", UNKNOWN, {"times_out": 1}),
    Row("stuck_report", "a dagrun runs on, far beyond what was agreed", PAGED, "success", 0, 1,
        "the rule says that a person is told while it still runs", ("stuck-run",), {"hangs": 1}),
    Row("late_report", "a dagrun succeeds, but after its deadline", PAGED, "success", 0, 1,
        "nothing is to be done again, but somebody waited for it", ("missed-deadline",), {"renders": 1}),
    Row("partition_load", "one of six mapped task instances finds a wrong checksum", PAGED, "failed", 0, 1,
        "no rule knows it", UNKNOWN, {f"load[{index}]": 1 for index in range(6)}),
    Row("partition_sync", "one of three mapped task instances loses its connection", HEALED, "success", 1, 0,
        "that map index alone is cleared", NETWORK, {"sync[0]": 1, "sync[1]": 2, "sync[2]": 1, "merge": 1}),
    Row("inventory_producer", "it writes an asset", LEFT_ALONE, "success", 0, 0, "nothing failed"),
    Row("stock_mart_build", "a dagrun started by that asset loses its connection", HEALED, "success", 1, 0,
        "a dagrun without a logical date is healed like any other", NETWORK, {"build": 2}, "asset_triggered"),
    Row("stock_report", "what waits for the healed dagrun's asset is started", LEFT_ALONE, "success", 0, 0,
        "nothing failed", tries={"render": 1}, run_type="asset_triggered"),
    Row("branchy", "a branch, skips, and a failure that is final in the first of three tries", PAGED, "failed", 0, 1,
        "Airflow does not retry it, and no rule knows it", UNKNOWN, {"fail_no_retry": 1}),
    Row("killed_job", "a task is killed in its last try: no event of the task", FOUND, "failed", 0, 1,
        "the end of its DAG leaves a failure unaccounted for, and a look finds it", UNKNOWN, {"killed": 1}),
    Row("killed_early", "a task is killed, its DAG runs on: no event at all", FOUND, "failed", 0, 1,
        "the sweep finds it, long before the DAG's end", UNKNOWN, {"killed": 1}),
    Row("killed_twice", "a task is killed in both of its tries, only the first is announced", FOUND, "failed", 0, 1,
        "the first is Airflow's to retry, the second is found", UNKNOWN, {"killed": 2}),
    Row("manual_export", "a dagrun started by hand fails as its conf says", PAGED, "failed", 0, 1, "no rule knows it",
        UNKNOWN, {"export": 1}),
    Row("manual_export", "a dagrun that another DAG started", LEFT_ALONE, "success", 0, 0, "nothing failed",
        run_type="operator_triggered"),
    Row("parent_trigger", "it waits for the dagrun that it started", LEFT_ALONE, "success", 0, 0, "nothing failed"),
    Row("daily_revenue", "a day of a backfill", LEFT_ALONE, "success", 0, 0, "nothing failed",
        tries={"compute": 1}, run_type="backfill", date="2026-01-02"),
    Row("daily_revenue", "the day of the backfill whose file came late", HEALED, "success", 1, 0,
        "the rule has this day processed again", ("late-file",), {"compute": 2}, "backfill", "2026-01-03"),
    Row("daily_revenue", "the last day of the backfill", LEFT_ALONE, "success", 0, 0, "nothing failed",
        tries={"compute": 1}, run_type="backfill", date="2026-01-04"),
    Row("dq_orders", "two checks of data fail", PAGED, "failed", 0, 2, "data does not get better by another try",
        UNKNOWN, {"check_columns": 1, "check_table": 1, "assert_rows_fail": 1}),
    Row("crm_person", "a person clears while remediator still waits", THEIRS, "success", 0, 0,
        "somebody else was first, and one clear is enough", ("person-first",), {"pull": 2}),
)  # fmt: skip
RACE = Row("crm_race", "a person and remediator clear at the same moment", THEIRS, "success", 0, 0, "one of them wins",
           tries={"pull": 2})  # fmt: skip
"""In no table: which of the two wins is not said. treatment and clears: if the person does."""
