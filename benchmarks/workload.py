"""What the benchmarks feed: recorded Airflow events made fresh, and small CloudEvents under many rules.

Owns the records and the rules that belong to them. Measures nothing.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from remediator.config.settings import Deployment
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.rules.load import load_rules
from remediator.rules.spec import Rule, RuleSetSpec, Step

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "data" / "corpus" / "openlineage-airflow-3.3.2.ndjson.gz"
FEED = "bench"
PARTITIONS = 4
FLEET = 20
"""Deployments that the recorded events are spread over."""
DAGS = 500
CHECKS = 20
LIMIT = 1_000
TOO_MUCH = 5_000
EVERY = 100
"""One record of so many matches a rule."""
MATCHING_DAGS = 10
"""Rules 0 to 9 are in every rule set and take all matches: the records are the same whatever the number of rules."""
PADDING = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "

Message = tuple[int, bytes]
"""(partition, value)."""


class Workload(msgspec.Struct, frozen=True):
    """messages: how to make the first n records, their event times ending at a moment."""

    name: str
    spec: RuleSetSpec
    deployments: tuple[Deployment, ...]
    messages: Callable[[int, datetime], Iterator[Message]]


def corpus() -> Workload:
    """Events recorded from Airflow 3.3.2, cycled: each cycle with dagruns, lineage runs and times of its own."""
    names = [f"fleet-{number}" for number in range(FLEET)]
    policy = _policy(names)
    return Workload(
        name="corpus",
        spec=RuleSetSpec(load_rules([ROOT / "rules"], policy).rules, policy),
        deployments=tuple(Deployment(name, FEED, namespaces=(name,)) for name in names),
        messages=_corpus_messages,
    )


def small(rules: int) -> Workload:
    """CloudEvents of 600 bytes; 1 % of them match, whatever the number of rules."""
    policy = _policy(["small"])
    return Workload(
        name=f"small-{rules}",
        spec=RuleSetSpec(tuple(_small_rule(number) for number in range(rules)), policy),
        deployments=(Deployment("small", FEED, namespaces=("bench",)),),
        messages=_small_messages,
    )


def small_event(number: int, at: datetime, subject: str, *, matches: bool) -> bytes:
    """One CloudEvent of about 600 bytes. One that matches exceeds the limit of a rule among the first ten."""
    kind = ("task.started", "task.success", "task.started", "task.success", "check.failed")[number % 5]
    dag = number // EVERY % MATCHING_DAGS if matches else number * 7919 % DAGS
    data = {
        "dag_id": f"dag_{dag:03}",
        "run_id": f"scheduled__{number // 50:07}",
        "task_id": f"task_{number % 50}",
        "try_number": 1,
        "operator": "SQLColumnCheckOperator",
        "owner": "data-platform",
        "check": f"check_{0 if matches else number * 31 % CHECKS}",
        "value": TOO_MUCH if matches else number % LIMIT,
        "note": "",
    }
    event = {
        "specversion": "1.0",
        "id": f"{number:012}",
        "type": "check.failed" if matches else kind,
        "source": "bench",
        "subject": subject,
        "time": at.isoformat(),
        "data": data,
    }
    short = 600 - len(json.dumps(event))
    data["note"] = (PADDING * 8)[: max(short, 0)]
    return json.dumps(event).encode()


def _policy(deployments: list[str]) -> Policy:
    return Policy(
        deployments={name: DeploymentPolicy(name, FEED, ceiling=Mode.ACT) for name in deployments},
        routes={
            name: Route(name, (Destination("log"),)) for name in ("default", "data-oncall", "ops")
        },
    )  # fmt: skip


def _small_rule(number: int) -> Rule:
    """Each asks for type, DAG and check, and then for a number: what it costs is found by the index."""
    dag, check = number % DAGS, number // DAGS % CHECKS
    on = "check.failed" if number < MATCHING_DAGS or number % 2 else "task.started"
    where = {"dag_id": f"dag_{dag:03}", "attributes.check": f"check_{check}", "attributes.value": {"gt": LIMIT}}
    return Rule(id=f"rule-{number:05}", on=(on,), mode=Mode.ACT, where=where, do=(Step("log", to="ops"),))


def _small_messages(count: int, until: datetime) -> Iterator[Message]:
    for number in range(count):
        at = until - timedelta(milliseconds=count - number)
        matches = number % EVERY == 0
        subject = f"table_{number // EVERY % 80 if matches else number % 1000}"
        yield number % PARTITIONS, small_event(number, at, subject, matches=matches)


# -- recorded events ----------------------------------------------------------------------------------------------

_TIME = re.compile(r'"eventTime": "([^"]+)"')
_RUN_ID = re.compile(r'"run_id": "([^"]+)"')
_LINEAGE_RUN = re.compile(r'"runId": "[0-9a-f]{8}')


def _corpus_messages(count: int, until: datetime) -> Iterator[Message]:
    recorded = _recorded()
    shift = until - max(at for at, _, _ in recorded)
    for number in range(count):
        cycle, place = divmod(number, len(recorded))
        at, key, text = recorded[place]
        deployment = f"fleet-{cycle % FLEET}"
        yield zlib.crc32(f"{deployment}{key}".encode()) % PARTITIONS, _fresh(text, cycle, deployment, at + shift)


def _recorded() -> list[tuple[datetime, str, str]]:
    """(event time, key, value) of every record that has a value."""
    found = []
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["value"] and (said := _TIME.search(record["value"])):
                at = datetime.fromisoformat(said[1].replace("Z", "+00:00")).astimezone(UTC)
                found.append((at, record["key"] or "", record["value"]))
    return found


def _fresh(text: str, cycle: int, deployment: str, at: datetime) -> bytes:
    text = _TIME.sub(f'"eventTime": "{at.isoformat()}"', text, count=1)
    text = _RUN_ID.sub(rf'"run_id": "\g<1>~{cycle}"', text)
    text = _LINEAGE_RUN.sub(f'"runId": "{cycle:08x}', text)
    return text.replace('"namespace": "airflow-local"', f'"namespace": "{deployment}"').encode()
