"""What a simulated plant is made of: times, topic, rules and policy, and how its records are read. No state."""

from __future__ import annotations

import msgspec

from remediator.codecs.deployments import DeploymentBinding, DeploymentMap
from remediator.model.event import Event
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.record import DEAD_LETTER_HEAD_BYTES, DeadLetter, Record
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.rules.spec import Backoff, Compound, Rule, Selector, Sequence, Step, Window
from remediator.runtime.controller import Controller
from remediator.runtime.intake import Intake
from remediator.store.memory import MemoryStore
from remediator.testing.simulation.outside import SimulatedRetries

START: Instant = 1_790_000_000 * SECOND
TROUBLE: Duration = 7 * MINUTE
"""How long faults are injected; everything that was begun must be settled after."""
REST: Duration = 17 * MINUTE
STEP: Duration = 5 * SECOND
FOR_EVER: Instant = 2**62
REST_STEP: Duration = 14 * SECOND
"""Shorter than a lease, so that its holder keeps it."""
TOPIC = "events"
WATCHED = "gamma"
"""The deployment without an API."""
FEED = "feed"
REPAIR = "repair"
"""A DAG that is only triggered."""
MAX_ATTEMPTS = 2
PER_HOUR = 3
CHANGES_PER_MINUTE = 5
CONCURRENT_CHANGES = 3
LOG = (Step("log"),)
DETECTING = 4
"""Every so many seeds have rules over time too, which makes them a few times slower."""
OFFERS = frozenset({"finish:after", "postpone:after"})
NO_STALL = "tell.asked"
"""Between the last check of a claim and the call no client can be protected from standing still."""


def transient_rule() -> Rule:
    """Retries lost connections, then pages."""
    return Rule(
        id="lost-connection",
        on=("task.failed_finally",),
        mode=Mode.ACT,
        where={"error.message": {"matches": "(?i)connection reset"}},
        budget=(Budget(per_hour=PER_HOUR),),
        do=(Step("airflow.retry", max_attempts=MAX_ATTEMPTS, backoff=Backoff(5 * SECOND), verify=3 * MINUTE),),
        otherwise=(Step("page", to="default"),),
    )


def observing_rule() -> Rule:
    """Matches everything and must change nothing."""
    return Rule(id="observer", on=("task.failed_finally",), priority=90, do=(Step("airflow.retry"),))


def detectors() -> tuple[Rule, ...]:
    """Rules over time that only observe: they must change nothing, and remember the same whatever was killed."""
    final = Selector(("task.failed_finally",))
    return (
        Rule("many", on=final.on, per=("deployment",), window=Window(2 * MINUTE, at_least=3), do=LOG),
        Rule(
            "share",
            on=("dagrun.failed",),
            per=("deployment", "dag_id"),
            window=Window(2 * MINUTE, of=Selector(("dagrun.*",)), ratio=0.5, min_sample=2),
            hold_for=20 * SECOND,
            do=LOG,
        ),
        Rule(
            "again",
            per=("deployment", "dag_id", "task_id"),
            sequence=Sequence(3 * MINUTE, (Selector(("task.success",)), Selector(("task.failed",)))),
            once_within=MINUTE,
            do=LOG,
        ),
        Rule("both", per=("deployment",), compound=Compound(4 * MINUTE, ("many", "again"), 2), do=LOG),
    )


def plant_policy(ceilings: dict[str, Mode]) -> Policy:
    """Short times, so that a seed is a few thousand steps."""
    both = (Destination("pagerduty.page", "pager"), Destination("slack.message", "chat", "#data"))
    return Policy(
        deployments={
            name: DeploymentPolicy(name, FEED, ceiling, has_api=name != WATCHED) for name, ceiling in ceilings.items()
        },
        routes={
            "default": Route("default", both, fallback="backup"),
            "backup": Route("backup", (Destination("pagerduty.page", "backup-pager"),)),
        },
        hold_max=3 * MINUTE,
        changes_per_minute=CHANGES_PER_MINUTE,
        concurrent_changes=CONCURRENT_CHANGES,
        breaker_rest=20 * SECOND,
        breaker_rest_max=MINUTE,
        proposal_expiry=3 * MINUTE,
        blind_after=2 * MINUTE,
        sweep_every=30 * SECOND,
        told_look_every=2 * MINUTE,
        sweep_overlap=30 * SECOND,
        action_expiry=6 * MINUTE,
        self_alert_every=5 * MINUTE,
    )


class Parts(msgspec.Struct, frozen=True):
    """What a deliberate fault may replace."""

    store: type[MemoryStore] = MemoryStore
    controller: type[Controller] = Controller
    retries: type[SimulatedRetries] = SimulatedRetries
    restoring: type[MemoryStore] = MemoryStore


def plant_intake(names: list[str]) -> Intake:
    """Reads the plant's records; each namespace is the deployment of that name."""
    bindings = [DeploymentBinding(name, (name,), ()) for name in names]
    return Intake(FEED, _decode, DeploymentMap(bindings).assign, _dead_letter)


def hash_of(text: str) -> int:
    """A DAG's usual partition."""
    return sum(text.encode()) % 2


_decoder = msgspec.json.Decoder(Event)


def _decode(record: Record) -> list[Event] | str:
    try:
        return [_decoder.decode(record.value or b"")]
    except msgspec.DecodeError as error:
        return str(error)


def _dead_letter(feed: str, record: Record, reason: str) -> DeadLetter:
    value = record.value or b""
    return DeadLetter(
        feed, record.topic, record.partition, record.offset, record.timestamp, reason, len(value),
        value[:DEAD_LETTER_HEAD_BYTES],
    )  # fmt: skip
