"""Events per second of `remediator rules test` with 1,000 generated rules, stage by stage.

    python -m benchmarks.rules_test [--quick] [--report]

Rules and tests are written to files and read again, as the command does. Every tenth rule keeps state. match: events
that are decoded already, 1 % of which meet a rule, against the rules alone. cases: the same as `[[case]]`, run.
timelines: stories of 20 events each over the real core, 15 of them noise and 5 that make a window fire and page.
Wall time of one process; reading and compiling are told apart from running.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks import report
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules
from remediator.rules.testfile import Case
from remediator.testing.ruletest import Test, load_tests, run_tests

T = TypeVar("T")
RULES = 1_000
AIM = 100_000
STATEFUL = 10
"""One rule of so many keeps state."""
EVERY = 100
"""One event of so many matches a rule."""
MOST_CASES = 5_000
"""Of one file."""


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    cases: int = 20_000
    timelines: int = 500
    rounds: int = 3


QUICK = Size(cases=3_000, timelines=100, rounds=1)


def rules() -> Iterator[str]:
    """Each asks for a type, a DAG and a check, and then for a number."""
    for number in range(RULES):
        kind = "check.failed" if number % 2 else "task.started"
        state = 'per = ["dag_id"]\nwindow = { length = "10m", at_least = 5 }\n' if number % STATEFUL == 1 else ""
        yield f"""[[rule]]
id = "rule-{number:04}"
on = "{kind}"
where = {{ dag_id = "dag_{number}", "attributes.check" = "check_{number % 20}", "attributes.value" = {{ gt = 1000 }} }}
mode = "act"
{state}do = [{{ action = "page", to = "ops", text = "{{event.dag_id}}: {{firing.count}}" }}]
"""


def _event(number: int, *, rule: int | None) -> str:
    dag = rule if rule is not None else number * 7919 % RULES
    value = 5_000 if rule is not None else number % 1_000
    kind = "check.failed" if dag % 2 else "task.started"
    return (
        f'{{ type = "{kind}", dag_id = "dag_{dag}", run_id = "r{number}", subject = "table_{number % 80}", '
        f'attributes = {{ check = "check_{dag % 20}", value = {value} }} }}'
    )


def cases(count: int) -> Iterator[str]:
    """As many cases; one of a hundred meets a rule without state."""
    for number in range(count):
        rule = number // EVERY * 20 % RULES if number % EVERY == 0 else None
        expect = "unclassified" if rule is None else f"rule-{rule:04}"
        yield f'[[case]]\nevent = {_event(number, rule=rule)}\nexpect = "{expect}"\n'


def timelines(count: int) -> Iterator[str]:
    """As many stories, each about another rule with state, two minutes long."""
    for number in range(count):
        rule = number * STATEFUL % RULES + 1
        noise = ", ".join(_event(number * 15 + one, rule=None) for one in range(15))
        yield f"""[[timeline]]
[[timeline.step]]
at = "0s"
events = [{noise}]
[[timeline.step]]
at = "10s"
event = {_event(number, rule=rule)}
repeat = {{ times = 5, every = "10s" }}
[[timeline.step]]
at = "2m"
expect = [{{ fired = "rule-{rule:04}" }}, {{ action = "page", text = "dag_{rule}: 5" }}]
"""


def _write(folder: Path, size: Size) -> tuple[list[Path], list[Path]]:
    (folder / "rules.toml").write_text("".join(rules()))
    written = list(cases(size.cases))
    files = []
    for first in range(0, len(written), MOST_CASES):
        files.append(folder / f"cases-{first}.test.toml")
        files[-1].write_text("".join(written[first : first + MOST_CASES]))
    stories = folder / "stories.test.toml"
    stories.write_text("".join(timelines(size.timelines)))
    return files, [stories]


def measure(size: Size) -> dict[str, Any]:
    """Seconds and events per second of each stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case_files, story_files = _write(folder, size)
        load_s, rule_set = _timed(lambda: RuleSet(load_rules([folder], None)))
        read_cases_s, case_tests = _timed(lambda: load_tests(case_files, rule_set))
        read_stories_s, stories = _timed(lambda: load_tests(story_files, rule_set))
    events = [test.event for test in case_tests if isinstance(test, Case)]
    figures: dict[str, list[float]] = {"match": [], "cases": [], "timelines": []}
    for _ in range(size.rounds):
        seconds, _found = _timed(lambda: [rule_set.match(event) for event in events])
        figures["match"].append(len(events) / seconds)
        figures["cases"].append(_rate(rule_set, case_tests))
        figures["timelines"].append(_rate(rule_set, stories))
    return {
        "machine": report.machine(),
        "size": msgspec.structs.asdict(size),
        "load_s": round(load_s, 3),
        "read_us": {"cases": round(read_cases_s / len(events) * 1e6, 1),
                    "timelines": round(read_stories_s / (20 * len(stories)) * 1e6, 1)},
        "events_per_s": {stage: [round(one) for one in rates] for stage, rates in figures.items()},
    }  # fmt: skip


def _rate(rule_set: RuleSet, tests: list[Test]) -> float:
    seconds, results = _timed(lambda: list(run_tests(rule_set, tests)))
    wrong = [str(result) for result in results if not result.passed]
    if wrong:
        raise RuntimeError(wrong[0])
    return sum(result.events for result in results) / seconds


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    done = work()
    return time.perf_counter() - begun, done


def told(figures: dict[str, Any]) -> str:
    """The figures as text."""
    rates, read = figures["events_per_s"], figures["read_us"]
    middle = statistics.median(rates["match"])
    rows = [[stage, report.spread(each, 0), f"{1e6 / statistics.median(each):,.1f}"] for stage, each in rates.items()]
    return "\n".join(
        [
            f"## Rule tests: {RULES:,} rules, every tenth with state",
            "",
            report.settings_line(figures["machine"]),
            "",
            report.table(("stage", "events/s", "µs per event"), rows),
            "",
            f"Matching: {middle / AIM:.2f} of the aim of {AIM:,} events/s. Before the first test: rules are read and "
            f"compiled in {figures['load_s']:.2f} s; reading the TOML of tests takes {read['cases']:,.0f} µs per case "
            f"and {read['timelines']:,.0f} µs per event of a timeline.",
        ]
    )


def main() -> None:
    """Measure, print, and keep the report if asked to."""
    parser = report.parser_of("Events per second of `remediator rules test`.", "fewer tests, one round")
    options, _ = parser.parse_known_args()
    figures = measure(QUICK if options.quick else Size())
    report.finish("rules-test", told(figures), figures, keep=options.report)


if __name__ == "__main__":
    main()
