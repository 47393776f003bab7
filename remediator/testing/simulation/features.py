"""What a seed's story has beside failures and faults: approvals, pauses, a restore, maintenance, and what they need.

Owns the choice and what it makes of rules and policy. No state; its own random numbers, so that it moves no others.
"""

from __future__ import annotations

from random import Random

import msgspec

from remediator.model.policy import Maintenance, Mode, Policy
from remediator.model.time import MINUTE, SECOND, Duration
from remediator.rules.spec import Backoff, Rule, Step
from remediator.testing.simulation.layout import REPAIR, START, TROUBLE, transient_rule
from remediator.testing.simulation.runs import POOL

PLAIN = 3
"""Every so many seeds have none of it."""
UNDO_AFTER: Duration = 90 * SECOND
FEW_SLOTS = 2
NEVER_TAG = "remediator:never"
POOL_ERROR = "AirflowException: the small pool is full"
PAUSE_ERROR = "FloodError: too many rows"
RERUN_ERROR = "StaleInput: the input changed"
TRIGGER_ERROR = "MissingPartition: nothing there"
CHANGE_ERRORS = (POOL_ERROR, PAUSE_ERROR, RERUN_ERROR, TRIGGER_ERROR)


class Features(msgspec.Struct, frozen=True, omit_defaults=True):
    """approves: whose mode asks people, 'rule' or 'beta'. breaker_sample: 0 for the policy's. maintenance: of alpha.

    pages_per_hour: 0 for the usual. mapped: how many indexes one task has. never: a DAG that is tagged, ''.
    """

    approves: str = ""
    breaker_sample: int = 0
    pauses: bool = False
    restores: bool = False
    maintenance: tuple[Duration, Duration] | None = None
    pages_per_hour: int = 0
    changes: bool = False
    mapped: int = 0
    never: str = ""


def choose(seed: int) -> Features:
    """What is in the story of this seed."""
    if seed % PLAIN == 0:
        return Features()
    random = Random(f"features of {seed}")  # noqa: S311  (repeatable, not secret)
    begin = random.randrange(TROUBLE // 2)
    return Features(
        approves=random.choice(["", "", "rule", "beta"]),
        breaker_sample=random.choice([0, 0, 2]),
        pauses=random.random() < 0.3,
        restores=random.random() < 0.2,
        maintenance=(begin, begin + random.randrange(30 * SECOND, TROUBLE // 2)) if random.random() < 0.2 else None,
        pages_per_hour=random.choice([0, 0, 0, 1, 2]),
        changes=random.random() < 0.35,
        mapped=random.choice([0, 0, 0, 0, 0, 0, 8, 30]),
        never=random.choice(["", "", "", "dag1"]),
    )


def rules_of(features: Features) -> tuple[Rule, ...]:
    """What responds."""
    mode = Mode.APPROVE if features.approves == "rule" else Mode.ACT
    first = msgspec.structs.replace(transient_rule(), mode=mode)
    return (first, *_changing_rules()) if features.changes else (first,)


def _changing_rules() -> tuple[Rule, ...]:
    retry = Step("airflow.retry", max_attempts=1, backoff=Backoff(5 * SECOND), verify=3 * MINUTE)
    return (
        _rule("fewer-slots", "pool is full",
              Step("airflow.pool", params={"pool": POOL, "slots": FEW_SLOTS}, undo_after=UNDO_AFTER), retry),
        _rule("stop-the-flood", "too many rows", Step("airflow.pause", undo_after=UNDO_AFTER), Step("page", "default")),
        _rule("again-from-the-start", "input changed", Step("airflow.rerun", verify=3 * MINUTE)),
        _rule("repair", "nothing there", Step("airflow.trigger", params={"dag_id": REPAIR}), Step("page", "default")),
    )  # fmt: skip


def _rule(name: str, message: str, *do: Step) -> Rule:
    return Rule(
        id=name,
        on=("task.failed_finally",),
        mode=Mode.ACT,
        where={"error.message": {"matches": message}},
        do=do,
        otherwise=(Step("page", to="default"),),
    )


def policy_of(features: Features, policy: Policy) -> Policy:
    """The usual policy with what the story needs."""
    changed = policy
    if features.maintenance is not None:
        begin, end = features.maintenance
        window = Maintenance(("alpha",), START + begin, START + end, "an upgrade")
        changed = msgspec.structs.replace(changed, maintenance=(window,))
    if features.breaker_sample:
        changed = msgspec.structs.replace(changed, breaker_sample=features.breaker_sample)
    if features.pages_per_hour:
        routes = {
            name: msgspec.structs.replace(route, pages_per_hour=features.pages_per_hour)
            for name, route in changed.routes.items()
        }
        changed = msgspec.structs.replace(changed, routes=routes)
    return changed
