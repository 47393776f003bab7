"""A fleet as people run it, from a seed: three deployments, eight DAGs each, and what goes wrong in them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from remediator.demo.fleet.plan import SUCCEEDS, DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, TaskInstance
from remediator.demo.fleet.world import World
from remediator.model.time import MILLISECOND, SECOND, Duration, Instant, format_instant


class Fate(StrEnum):
    """How one dagrun goes."""

    SUCCESS = "success"
    AIRFLOW_RETRY = "airflow_retry"
    """Fails once and heals by Airflow's own retry: nobody has to do anything."""
    TRANSIENT = "transient"
    """Fails for good by something passing: a clear heals it."""
    STUBBORN = "stubborn"
    """Looks passing, does not heal: ends with a person."""
    PERMANENT = "permanent"
    """A fault of code or data: ends with a person at once."""
    OOM = "oom"
    """Runs out of memory, raised as an exception without text."""
    KILLED = "killed"
    """Killed on its last try: no task event, only the dagrun fails."""


WEIGHTS: dict[Fate, int] = {
    Fate.SUCCESS: 70,
    Fate.AIRFLOW_RETRY: 9,
    Fate.TRANSIENT: 10,
    Fate.STUBBORN: 2,
    Fate.PERMANENT: 5,
    Fate.OOM: 2,
    Fate.KILLED: 2,
}
TRANSIENT_FAILURES = (
    Failure("ConnectionResetError", "[Errno 104] Connection reset by peer"),
    Failure("socket.gaierror", "[Errno -3] Temporary failure in name resolution"),
    Failure(
        "requests.exceptions.HTTPError", "429 Client Error: Too Many Requests for url: https://api.example/v1/rows"
    ),
    Failure("psycopg2.OperationalError", "server closed the connection unexpectedly"),
    Failure("TimeoutError", "The read operation timed out"),
)
PERMANENT_FAILURES = (
    Failure("KeyError", "'customer_id'"),
    Failure("ValueError", "checksum mismatch: expected 5f2c, found 91aa"),
    Failure("pyarrow.lib.ArrowInvalid", "schema at index 1 was different: amount: int64 vs amount: string"),
)
OOM_FAILURE = Failure("MemoryError", "")
KILL = Failure("", "", silent=True)
RETRIES = 1


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stand-in: its name, its OpenLineage namespace and its DAGs."""

    name: str
    namespace: str
    dags: tuple[DagSpec, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One dagrun that will happen."""

    deployment: str
    dag_id: str
    run_id: str
    at: Instant
    fate: Fate


_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "prod-eu": (
        ("billing_daily", "finance"),
        ("crm_sync", "crm"),
        ("orders_export", "commerce"),
        ("ledger_close", "finance"),
        ("fraud_features", "risk"),
        ("stock_levels", "supply"),
        ("web_sessions", "web"),
        ("gdpr_erasure", "legal"),
    ),
    "prod-us": (
        ("billing_daily", "finance"),
        ("ads_spend", "marketing"),
        ("payments_settle", "payments"),
        ("inventory_sync", "supply"),
        ("support_tickets", "support"),
        ("email_metrics", "marketing"),
        ("tax_report", "finance"),
        ("device_events", "iot"),
    ),
    "analytics": (
        ("mart_revenue", "bi"),
        ("mart_customers", "bi"),
        ("churn_training", "ml"),
        ("feature_store", "ml"),
        ("experiment_stats", "growth"),
        ("kpi_board", "bi"),
        ("search_index", "search"),
        ("data_quality", "platform"),
    ),
}
_TASKS = (
    TaskSpec("extract", ("transform",), RETRIES, SECOND),
    TaskSpec("transform", ("publish",), RETRIES, SECOND),
    TaskSpec("publish", (), 0, SECOND),
)
_BREAKS_AT: dict[Fate, str] = {
    Fate.AIRFLOW_RETRY: "extract",
    Fate.TRANSIENT: "extract",
    Fate.STUBBORN: "extract",
    Fate.PERMANENT: "transform",
    Fate.OOM: "transform",
    Fate.KILLED: "publish",
}


def fleet() -> tuple[Deployment, ...]:
    """The three deployments."""
    return tuple(
        Deployment(name, f"airflow-{name}", tuple(DagSpec(dag_id, _TASKS, owner, (owner,)) for dag_id, owner in dags))
        for name, dags in _NAMES.items()
    )


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in [start, start + length): every DAG runs once per `every`, at its own offset.

    The same seed gives the same dagruns with the same fates, in every process.
    opening: (deployment, DAG, fate) of first dagruns that are not left to the seed.
    """

    seed: int
    start: Instant
    length: Duration
    every: Duration = 8 * SECOND
    opening: tuple[tuple[str, str, Fate], ...] = ()

    def slots(self) -> Iterator[Slot]:
        """Every dagrun, deployment by deployment."""
        for deployment in fleet():
            for dag in deployment.dags:
                yield from self._slots_of(deployment.name, dag.dag_id)

    def fate(self, deployment: str, dag_id: str, number: int) -> Fate:
        """What becomes of a DAG's dagrun of this number."""
        for opened, dag, fate in self.opening:
            if number == 0 and (opened, dag) == (deployment, dag_id):
                return fate
        point = self.draw(sum(WEIGHTS.values()), "fate", deployment, dag_id, number)
        for fate, weight in WEIGHTS.items():
            point -= weight
            if point < 0:
                return fate
        return Fate.SUCCESS

    def plan_for(self, deployment: str) -> PlanOf:
        """The life of each task instance of one deployment."""
        fates = {(slot.dag_id, slot.run_id): slot.fate for slot in self.slots() if slot.deployment == deployment}
        return PlanOf(self, deployment, fates)

    def play(self, world: World, deployment: str) -> None:
        """Let all dagruns of one deployment begin at their times."""
        known = next(each for each in fleet() if each.name == deployment)
        for dag in known.dags:
            world.state.add_dag(dag)
            for slot in self._slots_of(deployment, dag.dag_id):
                world.run_dag(slot.dag_id, slot.run_id, slot.at)

    def _slots_of(self, deployment: str, dag_id: str) -> Iterator[Slot]:
        first = self.start + self.draw(self.every, "offset", deployment, dag_id)
        for number, moment in enumerate(range(first, self.start + self.length, self.every)):
            run_id = f"scheduled__{format_instant(moment).replace('Z', '+00:00')}"
            yield Slot(deployment, dag_id, run_id, moment, self.fate(deployment, dag_id, number))

    def draw(self, below: int, *of: object) -> int:
        """A number in [0, below) that only the seed and `of` decide."""
        digest = blake2b(repr((self.seed, *of)).encode(), digest_size=8).digest()
        return int.from_bytes(digest) % below


@dataclass(frozen=True, slots=True)
class PlanOf:
    """(dagrun, task instance) -> Plan, by the fate of the dagrun."""

    scenario: Scenario
    deployment: str
    fates: dict[tuple[str, str], Fate]

    def __call__(self, run: DagRun, instance: TaskInstance) -> Plan:
        fate = self.fates.get((run.dag_id, run.run_id), Fate.SUCCESS)
        if _BREAKS_AT.get(fate) != instance.task_id:
            return SUCCEEDS
        failures = PERMANENT_FAILURES if fate is Fate.PERMANENT else TRANSIENT_FAILURES
        chosen = failures[self._draw(len(failures), "failure", run)]
        announce = 100 * MILLISECOND + self._draw(5 * SECOND, "announce", run)
        return _plan(fate, chosen, announce)

    def _draw(self, below: int, what: str, run: DagRun) -> int:
        return self.scenario.draw(below, what, self.deployment, run.dag_id, run.run_id)


def _plan(fate: Fate, failure: Failure, announce: Duration) -> Plan:
    plans: dict[Fate, Plan] = {
        Fate.AIRFLOW_RETRY: Plan(failure, heals_after_tries=1, announce=announce),
        Fate.TRANSIENT: Plan(failure, heals_after_clears=1, announce=announce),
        Fate.STUBBORN: Plan(failure, announce=announce),
        Fate.PERMANENT: Plan(failure, announce=announce),
        Fate.OOM: Plan(OOM_FAILURE, announce=announce),
        Fate.KILLED: Plan(KILL, announce=announce),
    }
    return plans.get(fate, SUCCEEDS)
