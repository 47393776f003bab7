"""Every change and every telling: the rule that makes it, its requests, and how often its target may see it.

The table only. `kill_run` kills a daemon at each point of each row, `test_kill_table` says what must hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from remediator.demo.cluster.app import Cluster
from remediator.demo.endpoint.app import Endpoint
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.state import PoolSize
from remediator.model.action import Guarantee
from remediator.model.time import DAY, format_instant
from tests.acceptance.harness import Site, clock

AROUND = ("intent:before", "intent:after", "call:before", "call:after", "outcome:after")
"""Moments that every action passes, besides those of its requests."""
SEEN: dict[Guarantee, range] = {
    Guarantee.KEYED: range(1, 2),
    Guarantee.PROVABLE: range(1, 2),
    Guarantee.AT_LEAST_ONCE: range(1, 3),
}
"""How often a target may see what is done under a guarantee and killed once: exactly once, or once or twice."""
TODAY = clock() // DAY * DAY
API = "/api/v2"


@dataclass
class Around:
    """Everything outside of the daemon."""

    site: Site
    cluster: Cluster
    keyed: Endpoint
    keyless: Endpoint


Count = Callable[[Around, str], Mapping[str, int]]
"""What the target itself has seen on behalf of a DAG's failure, and how often."""


@dataclass(frozen=True)
class Row:
    """step: the rule's. calls: label of an action -> its requests, if nobody kills it.

    counted: gives each of `effects` once or, if the guarantee allows it, twice. prepare: makes what it is about.
    heals: does it end the incident?
    """

    step: str
    guarantee: Guarantee
    calls: Mapping[str, tuple[str, ...]]
    counted: Count
    effects: tuple[str, ...]
    prepare: Callable[[Around, str], None] = lambda around, dag: None
    heals: bool = False
    needs_approval: bool = False

    @property
    def kind(self) -> str:
        """What its step is called; of one that tells people, its executor."""
        return self.step.partition('"')[2].partition('"')[0]

    def points(self) -> list[str]:
        """Every point at which it is killed."""
        return [f"{label} {moment}" for label, calls in self.calls.items() for moment in moments(len(calls))]

    def failures(self) -> int:
        """So many that each of its actions is killed at one point, and the last one nowhere."""
        return 1 + max(len(moments(len(calls))) for calls in self.calls.values())


def moments(calls: int) -> list[str]:
    """Around the action and its requests."""
    return [*AROUND, *(f"{number}:{when}" for number in range(1, calls + 1) for when in ("sent", "answered"))]


# -- what the targets count ---------------------------------------------------------------------------------------


def clears(around: Around, dag: str) -> Mapping[str, int]:
    """Of each dagrun."""
    return Counter(record.run_id for record in around.site.state.clear_records if record.dag_id == dag)


def created(around: Around, dag: str) -> Mapping[str, int]:
    """Dagruns that nobody but an action creates."""
    runs = (run.run_id for run in around.site.state.runs.values() if run.dag_id == dag)
    return Counter("created" for run_id in runs if run_id.startswith("remediator__"))


def reprocessed(around: Around, dag: str) -> Mapping[str, int]:
    return {**clears(around, dag), **created(around, dag)}


def backfills(around: Around, dag: str) -> Mapping[str, int]:
    return Counter("backfill" for each in around.site.state.backfills.values() if each.dag_id == dag)


def asked(event: str, of: str, names: Mapping[str, str], around: Around, dag: str) -> Mapping[str, int]:
    """Lines of the event log about this DAG or pool, named by a text that is in them."""
    lines = [f"{line.dag_id} {line.extra}" for line in around.site.state.log if line.event == event]
    mine = [line for line in lines if of.format(dag=dag) in line]
    return Counter(name for line in mine for text, name in names.items() if text in line)


def scalings(around: Around, dag: str) -> Mapping[str, int]:
    workload = around.cluster.state.workloads["crew", "deployments", dag]
    return Counter(f"to {replicas}" for replicas in workload.history[1:])


def taken(which: str, around: Around, dag: str) -> Mapping[str, int]:
    endpoint: Endpoint = getattr(around, which)
    return Counter("taken" for each in endpoint.taken if each.body["dag"] == dag)


def posts(around: Around, dag: str) -> Mapping[str, int]:
    """A message, and how often its last text says what the first did not: it is edited in place."""
    mine = [message for message in around.site.receiver.slack.messages if f"{dag}." in message.history[0]]
    return Counter("post" for _ in mine) + Counter("edited" for one in mine if one.text != one.history[0])


def alerts(around: Around, dag: str) -> Mapping[str, int]:
    """How often a person is woken, and how many alerts are resolved."""
    mine = [alert for alert in around.site.receiver.pagerduty.alerts if f"{dag}." in alert.summary]
    return Counter("woken" for _ in mine) + Counter("resolved" for alert in mine if not alert.open)


# -- what there must be before ------------------------------------------------------------------------------------


def days(around: Around, dag: str) -> None:
    """Two of three days have a dagrun; the third has none."""
    state = around.site.state
    state.add_dag(DagSpec(dag, (TaskSpec("load"),), every=DAY))
    for day in (3, 1):
        run = state.add_run(dag, f"day-{day}", clock(), logical_date=TODAY - day * DAY)
        for task in run.tasks.values():
            task.state, task.try_number = "success", 1
        state.set_run_state(run, "success", clock())


def schedule(around: Around, dag: str) -> None:
    around.site.state.add_dag(DagSpec(dag, (TaskSpec("load"),), every=DAY))


def paused_consumer(around: Around, dag: str) -> None:
    around.site.state.add_dag(DagSpec(f"{dag}-consumer", (TaskSpec("load"),)))
    around.site.state.paused.add(f"{dag}-consumer")


def pool(around: Around, dag: str) -> None:
    around.site.state.pools[dag] = PoolSize(dag, 4)


def workers(around: Around, dag: str) -> None:
    around.cluster.state.add("crew", "deployments", dag, 2)


RANGE = f'since = "{format_instant(TODAY - 3 * DAY)}"\nuntil = "{{until}}"'
PAUSES = {'"is_paused": true': "paused", '"is_paused": false': "unpaused"}
RUN = f"{API}/dags/DAG/dagRuns"
POOL_CALLS = (f"GET {API}/pools/DAG", f"PATCH {API}/pools/DAG")
PAUSE_CALLS = (f"GET {API}/dags/DAG", f"PATCH {API}/dags/DAG")
SCALE = "/apis/apps/v1/namespaces/crew/deployments/DAG/scale"

ROWS: dict[str, Row] = {
    "retry": Row(
        'action = "airflow.retry"\nbackoff = { initial = "1s", factor = 1, max = "1s", jitter = 0 }',
        Guarantee.PROVABLE,
        {"airflow.retry": (
            f"GET {RUN}/fails/taskInstances/load",
            f"GET {RUN}/fails",
            f"GET {API}/eventLogs",
            f"POST {API}/dags/DAG/clearTaskInstances",
            f"POST {API}/dags/DAG/clearTaskInstances",
        )},
        clears, ("fails",), heals=True,
    ),
    "rerun": Row(
        'action = "airflow.rerun"',
        Guarantee.PROVABLE,
        {"airflow.rerun": (
            f"GET {RUN}/fails",
            f"POST {RUN}/fails/clear",
            f"GET {RUN}/fails/taskInstances/load",
            f"GET {API}/eventLogs",
            f"POST {RUN}/fails/clear",
        )},
        clears, ("fails",), heals=True,
    ),
    "reprocess": Row(
        f'action = "airflow.reprocess"\n{RANGE.format(until=format_instant(TODAY))}',
        Guarantee.PROVABLE,
        {"airflow.reprocess": (
            f"GET {API}/dags/DAG",
            f"GET {RUN}",
            f"POST {API}/backfills/dry_run",
            f"POST {API}/dags/~/dagRuns/~/taskInstances/list",
            f"GET {API}/dags/DAG/tasks",
            f"POST {RUN}/day-3/clear",
            f"POST {RUN}/day-1/clear",
            f"POST {RUN}",
        )},
        reprocessed, ("day-3", "day-1", "created"), prepare=days,
    ),
    "backfill": Row(
        f'action = "airflow.backfill"\nreprocess = "none"\n{RANGE.format(until=format_instant(TODAY - 2 * DAY))}',
        Guarantee.PROVABLE,
        {"airflow.backfill": (
            f"GET {API}/backfills",
            f"POST {API}/backfills/dry_run",
            f"GET {API}/dags/DAG/tasks",
            f"POST {API}/backfills",
        )},
        backfills, ("backfill",), prepare=schedule,
    ),
    "trigger": Row(
        'action = "airflow.trigger"\ndag_id = "{event.dag_id}"',
        Guarantee.KEYED,
        {"airflow.trigger": (f"GET {API}/dags/DAG", f"GET {RUN}/remediator__ACTION", f"POST {RUN}")},
        created, ("created",),
    ),
    "pause": Row(
        'action = "airflow.pause"\nundo_after = "1s"',
        Guarantee.PROVABLE,
        {"airflow.pause": PAUSE_CALLS, "airflow.pause undo": (PAUSE_CALLS[0], f"GET {API}/eventLogs", PAUSE_CALLS[1])},
        partial(asked, "patch_dag", "{dag} {{", PAUSES), ("paused", "unpaused"),
    ),
    "resume": Row(
        'action = "airflow.resume"\ndag_id = "{event.dag_id}-consumer"',
        Guarantee.PROVABLE,
        {"airflow.resume": tuple(f"{call}-consumer" for call in PAUSE_CALLS)},
        partial(asked, "patch_dag", "{dag}-consumer {{", PAUSES), ("unpaused",), prepare=paused_consumer,
    ),
    "pool": Row(
        'action = "airflow.pool"\npool = "{event.dag_id}"\nslots = 8\nonly_if = 4\nundo_after = "1s"',
        Guarantee.PROVABLE,
        {"airflow.pool": POOL_CALLS, "airflow.pool undo": POOL_CALLS},
        partial(asked, "patch_pool", '"pool_name": "{dag}"', {'"slots": 8': "to 8", '"slots": 4': "to 4"}),
        ("to 8", "to 4"), prepare=pool,
    ),
    "mark": Row(
        'action = "airflow.mark"\nstate = "success"',
        Guarantee.PROVABLE,
        {"airflow.mark": (f"GET {RUN}/fails/taskInstances/load", f"PATCH {RUN}/fails/taskInstances/load")},
        partial(asked, "patch_task_instance", "{dag} {{", {'"new_state": "success"': "marked"}), ("marked",),
        needs_approval=True,
    ),
    "scale": Row(
        'action = "kubernetes.scale"\nnamespace = "crew"\nkind = "Deployment"\nname = "{event.dag_id}"\n'
        'replicas = 5\nonly_if = 2\nundo_after = "1s"',
        Guarantee.PROVABLE,
        {"kubernetes.scale": (f"GET {SCALE}", f"PATCH {SCALE}"),
         "kubernetes.scale undo": (f"GET {SCALE}", f"PATCH {SCALE}")},
        scalings, ("to 5", "to 2"), prepare=workers,
    ),
    "keyed": Row(
        'action = "http.request"\nendpoint = "keyed"\nbody = { dag = "{event.dag_id}" }',
        Guarantee.KEYED,
        {"http.request keyed": ("POST /keyed",)},
        partial(taken, "keyed"), ("taken",),
    ),
    "keyless": Row(
        'action = "http.request"\nendpoint = "keyless"\nbody = { dag = "{event.dag_id}" }',
        Guarantee.AT_LEAST_ONCE,
        {"http.request keyless": ("POST /keyless",)},
        partial(taken, "keyless"), ("taken",),
    ),
    "slack": Row(
        'action = "notify"\nto = "chat"',
        Guarantee.PROVABLE,
        {"slack.message post": ("POST /api/chat.postMessage",), "slack.message edit": ("POST /api/chat.update",)},
        posts, ("post", "edited"),
    ),
    "pagerduty": Row(
        'action = "page"\nto = "pager"',
        Guarantee.KEYED,
        {"pagerduty.page trigger": ("POST /v2/enqueue",), "pagerduty.page resolve": ("POST /v2/enqueue",)},
        alerts, ("woken", "resolved"),
    ),
}  # fmt: skip
"""Its DAGs are called '<row>-<number>': DAG in the requests. ACTION: the action's id."""
