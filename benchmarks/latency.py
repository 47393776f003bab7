"""From the sending of an event to the call of its action's executor, at 1,000 records per second.

    python -m benchmarks.latency [--quick] [--kafka] [--report]

The whole daemon in this process, the producer in another, both on this machine's clock. One record of a hundred
matches a rule that leads to a `log` action. Each run has a topic and a store of its own; its first seconds are dropped.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import report, workload
from benchmarks.rig import Rig, config_of
from benchmarks.throughput import WORK
from benchmarks.workload import EVERY, PARTITIONS
from remediator.config.settings import FetchLimits
from remediator.demo.broker import EmbeddedBroker, create_topics
from remediator.model.action import Action, Guarantee, LogLine
from remediator.model.outcome import Delivered, Outcome
from remediator.model.time import MILLISECOND
from remediator.rules.index import RuleSet
from remediator.runtime.app import _loop_factory as loop_factory

RATE = 1_000
RULES = 1_000
DROPPED_S = 5.0
SETTLE_S = 2.0
WAITS_MS = {"embedded": (10,)}
WITH_KAFKA_MS = {"embedded": (10, 500), "kafka": (500,)}
"""fetch_max_wait: the embedded broker does not wake a waiting fetch when records come, so that it is waited out."""


class Probe:
    """The `log` executor that only notes how long ago its event was sent."""

    guarantee = Guarantee.AT_LEAST_ONCE

    def __init__(self) -> None:
        self.samples: list[tuple[int, float]] = []
        """(sent, in nanoseconds; milliseconds until the call)."""

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        arrived = time.time_ns()
        if isinstance(action.params, LogLine):
            sent = action.params.incident.title.rpartition(" ")[2]
            if sent.isdecimal():
                self.samples.append((int(sent), (arrived - int(sent)) / 1e6))
        return Delivered()


async def measure(seconds: float, runs: int, waits_ms: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Every figure of the report: broker and wait -> one table of figures for each run."""
    WORK.mkdir(exist_ok=True)
    figures: dict[str, Any] = {"machine": report.machine(), "settings": _settings(seconds, runs), "runs": {}}
    for kind, waits in waits_ms.items():
        async with _broker(kind) as bootstrap:
            for wait in waits:
                figures["runs"][f"{kind}, fetch_max_wait {wait} ms"] = [
                    await _run(bootstrap, f"{kind}-{wait}-{number}", wait, seconds) for number in range(runs)
                ]
    return figures


@asynccontextmanager
async def _broker(kind: str) -> AsyncIterator[str]:
    if kind == "embedded":
        async with EmbeddedBroker() as broker:
            yield broker.bootstrap
        return
    from tests.support.kafka import ApacheKafka, install

    with tempfile.TemporaryDirectory(dir=WORK, prefix="kafka-") as home:
        kafka = ApacheKafka(await install(), Path(home) / "kafka")
        await kafka.start()
        try:
            yield kafka.bootstrap
        finally:
            await kafka.stop()


async def _run(bootstrap: str, name: str, wait_ms: int, seconds: float) -> dict[str, float]:
    load = workload.small(RULES)
    await create_topics(bootstrap, {name: PARTITIONS})
    probe = Probe()
    with tempfile.TemporaryDirectory(dir=WORK, prefix="bench-") as folder:
        fetch = FetchLimits(max_wait=wait_ms * MILLISECOND)
        config = config_of(load, bootstrap, name, Path(folder), name, fetch)
        rig = Rig(config, RuleSet(load.spec), {"log": probe})
        async with rig.running():
            await rig.opened.wait()
            await asyncio.sleep(SETTLE_S)
            cpu, begun = time.process_time(), time.time_ns()
            await _produce(bootstrap, name, seconds)
            spent = time.process_time() - cpu
            await asyncio.sleep(SETTLE_S)
    late = sorted(ms for sent, ms in probe.samples if sent - begun > DROPPED_S * 1e9)
    if len(probe.samples) < RATE * seconds / EVERY * 0.99 or len(late) < 2:
        raise RuntimeError(f"{len(probe.samples)} of {RATE * seconds / EVERY:.0f} actions were performed")
    cuts = statistics.quantiles(late, n=100)
    return {"samples": len(late), "p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2),
            "us_cpu": round(spent / (RATE * seconds) * 1e6, 1)}  # fmt: skip


async def _produce(bootstrap: str, topic: str, seconds: float) -> None:
    arguments = ("-m", "benchmarks.producer", bootstrap, topic, str(RATE), str(seconds))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    if await process.wait() != 0:
        raise RuntimeError("the producer failed")


def _settings(seconds: float, runs: int) -> dict[str, Any]:
    return {
        "records_per_s": RATE,
        "matching": "1 %",
        "rules": RULES,
        "partitions": PARTITIONS,
        "acks": 1,
        "seconds": f"{seconds:g}, of which the first {DROPPED_S:g} are dropped",
        "runs": runs,
        "store": "SQLite, WAL, synchronous FULL",
    }


def told(figures: dict[str, Any]) -> str:
    """The report as markdown."""
    rows = [
        [name, *(report.spread([run[column] for run in runs]) for column in ("p50_ms", "p99_ms", "us_cpu"))]
        for name, runs in figures["runs"].items()
    ]
    return "\n\n".join(
        [
            f"# Latency, {figures['machine']['date']}",
            f"Machine: {report.settings_line(figures['machine'])}. Settings: "
            f"{report.settings_line(figures['settings'])}.",
            "From the producer's clock at sending to the executor's call. Median (least–greatest) of the runs. "
            "CPU: of the daemon's process, per record sent.",
            report.table(["broker", "p50 ms", "p99 ms", "µs CPU per record"], rows),
        ]
    )


def main() -> None:
    """Measure, print, and keep the report if asked to."""
    parser = report.parser_of("Latency from an event's sending to its action.", "one run of 12 s for each setting")
    parser.add_argument(
        "--kafka",
        action="store_true",
        help="also with the shipped wait, and with Apache Kafka (Java, fetched by Maven)",
    )
    options = parser.parse_args()
    seconds, runs = (12.0, 1) if options.quick else (30.0, 3)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        figures = runner.run(measure(seconds, runs, WITH_KAFKA_MS if options.kafka else WAITS_MS))
    report.finish("latency", told(figures), figures, keep=options.report)


if __name__ == "__main__":
    main()
