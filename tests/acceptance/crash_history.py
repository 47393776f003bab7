"""What happened before the daemon looked: twenty thousand records of a busy Airflow, some of them of trouble.

Made by the stand-in's own scheduler in virtual time, so that the same beginning gives the same records. Owns which
failures there are and what must come of each; runs nothing of remediator.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from remediator.demo.fleet.plan import SUCCEEDS, DagSpec, Failure, Plan, TaskSpec
from remediator.demo.fleet.state import DagRun, FleetState, TaskInstance
from remediator.demo.fleet.world import World
from remediator.model.time import MILLISECOND, SECOND, Instant

NAMESPACE = "airflow-prod"
LENGTH = 600 * SECOND
TAIL = 60 * SECOND
"""How long before the end of the history the last dagrun begins: all of them are over then."""
TROUBLE_SHARE = 150
"""One dagrun with trouble for so many records."""
TASKS = (
    TaskSpec("extract", ("load",), 1, SECOND),
    TaskSpec("load", ("publish",), 1, SECOND),
    TaskSpec("publish", (), 0, SECOND),
)
RULES = """
[[rule]]
id = "reset"
summary = "Run a task again that lost its connection, and say so"
owner = "crash"
mode = "act"
on = "task.failed_finally"
where = { "error.message" = { matches = 'reset by peer' } }

[[rule.do]]
action = "notify"
to = "chat"

[[rule.do]]
action = "airflow.retry"
max_attempts = 2
backoff = { initial = "1s", factor = 1, max = "1s", jitter = 0 }
verify = "20s"

[[rule.otherwise]]
action = "page"
to = "default"
"""


class Trouble(StrEnum):
    """What goes wrong with one DAG's only dagrun."""

    HEALS = "heals"
    """Fails for good by something passing; one clear heals it."""
    STUBBORN = "stubborn"
    """Looks passing and is not: two clears in vain, then a person."""
    BROKEN = "broken"
    """A fault of the code: a person at once."""
    KILLED = "killed"
    """Killed on its last try: no task event tells of it. A person at once."""
    RETRIED = "retried"
    """Airflow's own retry heals it: nobody has to do anything."""


TURNS = (
    Trouble.HEALS, Trouble.BROKEN, Trouble.RETRIED, Trouble.HEALS, Trouble.KILLED, Trouble.BROKEN, Trouble.HEALS,
    Trouble.STUBBORN, Trouble.HEALS, Trouble.RETRIED,
)  # fmt: skip
CLEARS = {Trouble.HEALS: 1, Trouble.STUBBORN: 2}
PAGED = (Trouble.STUBBORN, Trouble.BROKEN, Trouble.KILLED)
CHATTED = (Trouble.HEALS, *PAGED)
RESET = Failure("ConnectionResetError", "[Errno 104] Connection reset by peer")
PLANS: dict[Trouble, Plan] = {
    Trouble.HEALS: Plan(RESET, heals_after_clears=1),
    Trouble.STUBBORN: Plan(RESET),
    Trouble.BROKEN: Plan(Failure("KeyError", "'customer_id'")),
    Trouble.KILLED: Plan(Failure("", "", silent=True)),
    Trouble.RETRIED: Plan(RESET, heals_after_tries=1),
}


@dataclass(frozen=True)
class Expected:
    """What must have come of all troubles in the end."""

    clears: int
    pages: int
    posts: int
    healed: int


class History:
    """`records`: (key, value) in the order in which they were sent; `garbage` of them no codec can read."""

    def __init__(self, size: int, end: Instant, garbage: int = 12) -> None:
        self.troubles = {f"trouble_{n:03}": TURNS[n % len(TURNS)] for n in range(max(10, size // TROUBLE_SHARE))}
        self.size = size
        self.end = end
        self.garbage = garbage
        self.records: list[tuple[bytes, bytes]] = []

    def plan_for(self, run: DagRun, instance: TaskInstance) -> Plan:
        """The life of each task instance."""
        trouble = self.troubles.get(run.dag_id)
        return PLANS[trouble] if trouble is not None and instance.task_id == "load" else SUCCEEDS

    def happen(self, world: World, said: list[tuple[bytes, bytes]]) -> None:
        """Let it all happen: trouble in `world`, whose events are put into `said`, success in one that is forgotten."""
        quiet: list[tuple[bytes, bytes]] = []
        busy = World(FleetState(NAMESPACE), emit=lambda key, value: quiet.append((key, value)))
        begin = self.end - LENGTH
        self._schedule(world, list(self.troubles), begin, len(self.troubles))
        self._schedule(busy, [f"quiet_{n:02}" for n in range(20)], begin, self.size // 8 + 20)
        step = 2 * SECOND
        for now in range(begin, self.end + 1, step):
            world.advance(now)
            busy.advance(now)
            busy.state.prune(50)
            self.records += said + quiet
            said.clear()
            quiet.clear()
        self._gather()
        self._trim()
        self._spoil()

    def _schedule(self, world: World, dag_ids: list[str], begin: Instant, runs: int) -> None:
        for dag_id in dag_ids:
            world.state.add_dag(DagSpec(dag_id, TASKS, "crash"))
        for n in range(runs):
            at = begin + n * (LENGTH - TAIL) // runs // MILLISECOND * MILLISECOND
            dag_id = dag_ids[n % len(dag_ids)]
            world.run_dag(dag_id, f"scheduled__{n:05}", at)

    def _gather(self) -> None:
        """Bring the records of one trouble together.

        They are sent after all of it has happened: an end that the scheduler knows and that was not sent for seconds
        would rightly count as one that nobody announced.
        """
        of: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for key, value in self.records:
            of.setdefault(key, []).append((key, value))
        records, self.records = self.records, []
        for key, value in records:
            self.records += [(key, value)] if b"/quiet_" in key else of.pop(key, [])

    def _trim(self) -> None:
        """Leave out surplus records of quiet DAGs, latest first."""
        surplus = len(self.records) - (self.size - self.garbage)
        for place in range(len(self.records) - 1, -1, -1):
            if surplus > 0 and b"/quiet_" in self.records[place][0]:
                del self.records[place]
                surplus -= 1

    def _spoil(self) -> None:
        for n in range(self.garbage):
            place = self._boundary(n * len(self.records) // self.garbage)
            self.records.insert(place, (b"spoiled", b"\xff{not json %d" % n))

    def parts(self, count: int) -> list[list[tuple[bytes, bytes]]]:
        """The records in so many parts of nearly the same size, in order; no trouble is in two of them."""
        places = [self._boundary(n * len(self.records) // count) for n in range(count + 1)]
        return [self.records[begin:end] for begin, end in pairwise(places)]

    def _boundary(self, place: int) -> int:
        while 0 < place < len(self.records) and self.records[place][0] == self.records[place - 1][0]:
            place += 1
        return place

    @property
    def unannounced(self) -> set[str]:
        """The DAGs of whose failure no task event tells."""
        return {dag_id for dag_id, trouble in self.troubles.items() if trouble is Trouble.KILLED}

    @property
    def expected(self) -> Expected:
        """What must come of it."""
        of = Counter(self.troubles.values())
        return Expected(
            clears=sum(CLEARS[trouble] * of[trouble] for trouble in CLEARS),
            pages=sum(of[trouble] for trouble in PAGED),
            posts=sum(of[trouble] for trouble in CHATTED) + of[Trouble.STUBBORN],  # first told, later paged there
            healed=of[Trouble.HEALS],
        )


def ends(records: list[tuple[bytes, bytes]]) -> Counter[str]:
    """The terminal events among records: 'run id of OpenLineage/kind' -> how often it was sent."""
    found: Counter[str] = Counter()
    for _, value in records:
        try:
            event = json.loads(value)
        except ValueError:
            continue
        if event["eventType"] in ("COMPLETE", "FAIL"):
            found[f"{event['job']['name']}/{event['eventType']}/{event['eventTime']}"] += 1
    return found
