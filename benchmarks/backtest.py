"""Events per second of a backtest under 1,000 rules, in turns with the raw decode loop over the same lines.

    python -m benchmarks.backtest [--quick] [--report]

Lines: events recorded from Airflow 3.3.2, cycled, each cycle with dagruns and times of its own; every tenth is a
failure, and most failures stay unresolved. They meet the shipped rules that retry, and then all shipped packs, of which
some keep state, both with rules that never fit up to 1,000. Events: small ones, read beforehand, of which 1 % match.
The raw loop decodes each line into events and drops them. All in one process; a backtest's time is that from the first
line (or event) to its outcome, compiling of rules included.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from benchmarks import report, workload
from remediator.backtest.policy import load_open
from remediator.backtest.reading import LineReader, decoding
from remediator.backtest.report import FIRINGS, Outcome
from remediator.backtest.run import decide, rare_collections
from remediator.backtest.spool import Spool
from remediator.backtest.survey import Survey
from remediator.codecs.registry import CODECS
from remediator.model.policy import Mode
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, RuleSetSpec, Step

RULES = 1_000
CYCLE = timedelta(minutes=27)
"""A little longer than the recording."""
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
PACK = "airflow-transient"
ALL_PACKS = "lines, all packs"
AIMS = {"lines": 25_000, "events": 100_000}
_JOB = re.compile(r'"name": "([a-z_]+)')


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    lines: int = 20_000
    events: int = 60_000
    rounds: int = 3


QUICK = Size(lines=6_000, events=15_000, rounds=1)


class Spent(msgspec.Struct, frozen=True):
    """What `count` lines or events cost; firings: how many the backtest found."""

    count: int
    wall_s: float
    cpu_s: float
    firings: int = 0

    @property
    def rate(self) -> float:
        """Per second of wall time."""
        return self.count / self.wall_s

    @property
    def us(self) -> float:
        """Microseconds of CPU each."""
        return self.cpu_s / self.count * 1e6


def timed(work: Callable[[], Outcome | None], count: int) -> Spent:
    """Run it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = work()
    firings = outcome.count(*FIRINGS) if outcome is not None else 0
    return Spent(count, time.perf_counter() - wall, time.process_time() - cpu, firings)


# -- what is measured ---------------------------------------------------------------------------------------------


def raw(lines: Sequence[bytes]) -> None:
    """The least that reading them takes."""
    reader = LineReader(decoding(CODECS["auto"]()))
    for line in lines:
        reader.line(line)


def survey_of(spec: RuleSetSpec, lines: Sequence[bytes], spool: Spool) -> Survey:
    """The first pass."""
    reader, survey = LineReader(decoding(CODECS["auto"]())), Survey(RuleSet(spec).wants, None, spool)
    with rare_collections():
        for number, line in enumerate(lines, 1):
            survey.take(reader.line(line), number)
    survey.finish()
    return survey


def whole(spec: RuleSetSpec, lines: Sequence[bytes]) -> Outcome:
    """A backtest of these lines."""
    with Spool() as spool:
        return decide(spec, survey_of(spec, lines, spool))


# -- what it is measured with -------------------------------------------------------------------------------------


def recorded_lines(count: int) -> list[bytes]:
    """Recorded events as lines in the order of their times."""
    recorded = workload._recorded()
    first, lines = min(at for at, _, _ in recorded), list[bytes]()
    for number in range(count):
        cycle, place = divmod(number, len(recorded))
        at, key, text = recorded[place]
        at = at - first + BEGIN + CYCLE * cycle
        value = workload._fresh(text, cycle, f"fleet-{cycle % workload.FLEET}", at)
        lines.append(_line(number, at, value, key))
    return lines


def small_lines(count: int) -> list[bytes]:
    """Small CloudEvents as lines."""
    until = BEGIN + timedelta(milliseconds=count)
    return [
        _line(number, BEGIN + timedelta(milliseconds=number), value)
        for number, (_, value) in enumerate(workload.small(1).messages(count, until))
    ]


def _line(number: int, at: datetime, value: bytes, key: str = "") -> bytes:
    record = {"topic": "t", "partition": 0, "offset": number, "key": key, "headers": [],
              "timestamp_ms": round(at.timestamp() * 1000) + 5, "value": value.decode()}  # fmt: skip
    return json.dumps(record).encode()


def recorded_rules(pack: str) -> RuleSetSpec:
    """The shipped rules, and others up to 1,000 on the recorded DAGs that look at errors and never fit.

    pack: the folder below rules/ that is meant; '' for all, with those that keep state.
    """
    shipped = load_open([workload.ROOT / "rules" / pack])
    dags = sorted({found[1] for _, _, text in workload._recorded() if (found := _JOB.search(text))})
    more = tuple(_no_fit(number, dags[number % len(dags)]) for number in range(RULES - len(shipped.rules)))
    return RuleSetSpec(shipped.rules + more, shipped.policy)


def _no_fit(number: int, dag: str) -> Rule:
    final = number % 2 == 0
    where: dict[str, Any] = {"error.message": {"matches": f"needle {number}"}} if final else {"task_id": f"no-{number}"}
    return Rule(
        id=f"more-{number:04}",
        on=("task.failed_finally",) if final else ("task.success", "dagrun.failed"),
        mode=Mode.ACT,
        priority=10,
        where={"dag_id": dag, **where},
        do=(Step("log", to="default"),),
    )


# -- measuring ----------------------------------------------------------------------------------------------------


def measure(size: Size) -> dict[str, Any]:
    """Every figure of the report."""
    lines, rules, all_rules = recorded_lines(size.lines), recorded_rules(PACK), recorded_rules("")
    small, small_rules = small_lines(size.events), workload.small(RULES).spec
    runs: dict[str, list[Spent]] = {"raw lines": [], "lines": [], ALL_PACKS: [], "raw events": [], "events": []}
    with Spool() as spool:
        surveyed = survey_of(small_rules, small, spool)
        for _ in range(size.rounds):
            runs["raw lines"].append(timed(lambda: raw(lines), len(lines)))
            runs["lines"].append(timed(lambda: whole(rules, lines), len(lines)))
            runs[ALL_PACKS].append(timed(lambda: whole(all_rules, lines), len(lines)))
            runs["raw events"].append(timed(lambda: raw(small), len(small)))
            runs["events"].append(timed(lambda: decide(small_rules, surveyed), len(small)))
    return {
        "machine": report.machine(),
        "settings": {"rules": RULES, "lines": size.lines, "events": size.events, "rounds": size.rounds},
        "runs": {name: [msgspec.structs.asdict(one) for one in spent] for name, spent in runs.items()},
        "table": [_row(name, spent) for name, spent in runs.items()],
        "share": {name: _share(runs[name], runs[f"raw {name}"]) for name in AIMS},
    }


def _row(name: str, spent: Sequence[Spent]) -> list[str]:
    aim, firings = AIMS.get(name), spent[0].firings
    rate, us = (report.spread([one.rate for one in spent], 0), report.spread([one.us for one in spent]))
    return [name, rate, us, f"{aim:,}" if aim else "", f"{firings:,}" if firings else ""]


def _share(spent: Sequence[Spent], alone: Sequence[Spent]) -> float:
    """CPU of the backtest as a multiple of the raw loop's, turn by turn."""
    return round(statistics.median(one.us / other.us for one, other in zip(spent, alone, strict=True)), 2)


def told(figures: dict[str, Any]) -> str:
    """The report as text."""
    return "\n\n".join([
        "# Backtest",
        f"{report.settings_line(figures['machine'])}; {report.settings_line(figures['settings'])}",
        report.table(["", "per second", "µs CPU each", "aim per second", "firings"], figures["table"]),
        f"A backtest of lines takes {figures['share']['lines']} times the CPU of decoding them; deciding on events "
        f"that were read takes {figures['share']['events']} times the CPU of decoding those.",
    ])  # fmt: skip


def main() -> None:
    """Measure, print, and keep the report if asked to."""
    parser = report.parser_of("Events per second of a backtest.", "fewer lines, one round")
    options, _ = parser.parse_known_args()
    figures = measure(QUICK if options.quick else Size())
    report.finish("backtest", told(figures), figures, keep=options.report)


if __name__ == "__main__":
    main()
