"""A storm: 10,000 tasks fail within a minute for one fault of the platform, 50 more for bugs. Who does what about it?

    python -m benchmarks.storm [--quick] [--report]

The platform's fault lasts five minutes; every try that begins meanwhile fails. The whole daemon with its SQLite store
runs on a virtual clock against an Airflow in memory that counts every call. Calls take no virtual time and nothing ever
tires, which is generous to whoever asks much. Budgets and caps are counted by the target; one that does not hold ends
the benchmark with exit code 1.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from benchmarks import report
from benchmarks.storm_airflow import Size
from benchmarks.storm_plant import BEGAN, DEPLOYMENT, FEED, Plant
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from remediator.rules.load import load_rules
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step

PACK = Path(__file__).resolve().parent.parent / "rules" / "airflow-transient"
UNTIL: Duration = 75 * MINUTE
"""Long enough for a breaker's rest and for a proposal's expiry."""
ENDLESS: Duration = 15 * MINUTE
"""Of who retries bugs for ever: long after the fault is over."""
PER_HOUR = 3
"""What the rule of the pack allows for each task."""
APPROVED_AT: Duration = 6 * MINUTE
NO_LIMIT = 1_000_000_000
MEMORY_MAX_MIB = 400
"""More than the daemon may grow by: a bound, well above what was measured."""
QUICK = Size(dags=20, tasks=50, bugs=5)


class Contender(msgspec.Struct, frozen=True):
    """kind: 'none', 'unlimited' or 'remediator', which alone has limits."""

    name: str
    kind: str
    breaker: bool = True
    approve_at: Duration = 0
    until: Duration = UNTIL

    @property
    def braked(self) -> bool:
        return self.kind == "remediator"


CONTENDERS = (
    Contender("no daemon", "none"),
    Contender("unlimited retry", "unlimited", until=ENDLESS),
    Contender("remediator as shipped", "remediator"),
    Contender("… a person says yes after 6 min", "remediator", approve_at=APPROVED_AT),
    Contender("… without its breaker", "remediator", breaker=False),
)


class Result(msgspec.Struct, frozen=True):
    """What one contender came to. Times: minutes after the outbreak, -1: never. *_most: the most that was counted."""

    name: str
    failed: int
    recovered: int
    half_min: float
    last_min: float
    clears: int
    tries: int
    bug_clears: int
    calls: dict[str, int]
    calls_a_minute_most: int
    asked: dict[str, tuple[int, int]]
    pages: int
    messages: int
    edits: int
    task_hour_most: int
    minute_most: int
    under_way_most: int
    clear_most: int
    page_hour_most: int
    memory_mib: float
    outbreak_s: float
    wall_s: float
    cpu_s: float
    faults: tuple[str, ...] = ()


# -- who competes -------------------------------------------------------------------------------------------------


def spec_of(contender: Contender) -> RuleSetSpec | None:
    """The rules and the policy of a contender."""
    if contender.kind == "none":
        return None
    policy = policy_of(contender)
    rules = load_rules([PACK], policy).rules if contender.braked else (_retry_everything(),)
    return RuleSetSpec(rules, policy)


def policy_of(contender: Contender) -> Policy:
    """As shipped, or without any limit."""
    both = (Destination("pagerduty.page", "pager"), Destination("slack.message", "chat", "#data"))
    policy = Policy(
        deployments={DEPLOYMENT: DeploymentPolicy(DEPLOYMENT, FEED, Mode.ACT)},
        routes={"default": Route("default", both)},
    )
    if contender.braked:
        return policy if contender.breaker else msgspec.structs.replace(policy, breaker_rate=0.0)
    return msgspec.structs.replace(
        policy, budget_cap=Budget(), blast_radius=0, changes_per_minute=NO_LIMIT, concurrent_changes=NO_LIMIT,
        breaker_rate=0.0, incident_expiry=DAY,
    )  # fmt: skip


def _retry_everything() -> Rule:
    at_once = Backoff(SECOND, 1.0, SECOND, 0.0)
    step = Step("airflow.retry", max_attempts=NO_LIMIT, backoff=at_once)
    return Rule("retry-everything", on=("task.failed_finally",), mode=Mode.ACT, do=(step,))


# -- one run ------------------------------------------------------------------------------------------------------


def run(contender: Contender, size: Size) -> Result:
    """In a process of its own, whose memory is nobody else's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        per_minute = Policy().changes_per_minute if contender.braked else NO_LIMIT
        plant = Plant(size, spec_of(contender), Path(folder), per_minute, contender.approve_at)
        asyncio.run(plant.run(contender.until))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    result = _result(contender, size, plant, grown, wall, cpu)
    return msgspec.structs.replace(result, faults=tuple(broken(contender, size, result)))


def _result(contender: Contender, size: Size, plant: Plant, grown: float, wall: float, cpu: float) -> Result:
    airflow, people = plant.airflow, plant.people
    wells = airflow.recovered
    by_task: dict[tuple[str, str], list[Instant]] = {}
    for clear in airflow.clears:
        for task_id in clear.task_ids:
            by_task.setdefault((clear.dag_id, task_id), []).append(clear.at)
    failed = size.dags * size.tasks
    return Result(
        name=contender.name,
        failed=failed,
        recovered=len(wells),
        half_min=_minutes(wells[failed // 2 - 1]) if len(wells) >= failed // 2 else -1,
        last_min=_minutes(wells[-1]) if wells else -1,
        clears=len(airflow.clears),
        tries=airflow.tries,
        bug_clears=sum("buggy" in clear.task_ids for clear in airflow.clears),
        calls=dict(airflow.calls.most_common()),
        calls_a_minute_most=max(airflow.by_minute.values(), default=0),
        asked={kind: (one.wanted, one.goes) for kind, one in sorted(plant.asked.items())},
        pages=len(people.paged),
        messages=people.posts,
        edits=people.edits,
        task_hour_most=max((most_within(times, HOUR) for times in by_task.values()), default=0),
        minute_most=most_within([clear.at for clear in airflow.clears], MINUTE),
        under_way_most=airflow.most_under_way,
        clear_most=max((len(clear.task_ids) for clear in airflow.clears), default=0),
        page_hour_most=most_within(sorted(people.paged.values()), HOUR),
        memory_mib=round(grown, 1),
        outbreak_s=round(plant.outbreak_s, 1),
        wall_s=round(wall, 1),
        cpu_s=round(cpu, 1),
    )


def most_within(times: Sequence[Instant], length: Duration) -> int:
    """The most of these moments, in order, that lie within any such length."""
    first = most = 0
    for index, at in enumerate(times):
        while times[first] <= at - length:
            first += 1
        most = max(most, index - first + 1)
    return most


def broken(contender: Contender, size: Size, result: Result) -> list[str]:
    """Every limit that did not hold, as the target counted."""
    if not contender.braked:
        return []
    policy = policy_of(contender)
    pages = pages_per_hour(contender)
    limits = {
        "clears of one task in an hour": (result.task_hour_most, PER_HOUR),
        "clears in a minute": (result.minute_most, policy.changes_per_minute),
        "clears under way at once": (result.under_way_most, policy.concurrent_changes),
        "task instances of one clear": (result.clear_most, policy.blast_radius),
        "clears of tasks with a bug": (result.bug_clears, 0),
        "pages of incidents in an hour": (result.page_hour_most - _digests(result, pages), pages),
        "goes per look": (result.asked["airflow.look"][1] * 10, result.asked["airflow.look"][0]),
        "MiB of memory": (round(result.memory_mib), MEMORY_MAX_MIB),
    }
    if size != Size():  # few looks do not go together
        del limits["goes per look"]
    return [f"{what}: {found}, allowed {allowed}" for what, (found, allowed) in limits.items() if found > allowed]


def pages_per_hour(contender: Contender) -> int:
    """Of the one route."""
    return policy_of(contender).routes["default"].pages_per_hour


def _digests(result: Result, pages: int) -> int:
    """One page says what else would have paged."""
    return 1 if result.page_hour_most > pages else 0


def _minutes(at: Instant) -> float:
    return round((at - BEGAN) / MINUTE, 1)


# -- the report ---------------------------------------------------------------------------------------------------

HEAD = ("", "recovered", "half / last after min", "clears", "tries", "of bugs", "API calls", "most a minute", "pages",
        "messages", "memory MiB", "s for 2 min", "s in all")  # fmt: skip


def row(result: Result) -> list[str]:
    """One line of the table."""
    times = f"{_time(result.half_min)} / {_time(result.last_min)}"
    numbers = (result.clears, result.tries, result.bug_clears, sum(result.calls.values()), result.calls_a_minute_most,
               result.pages, result.messages)  # fmt: skip
    return [result.name, f"{result.recovered:,} of {result.failed:,}", times, *(f"{one:,}" for one in numbers),
            f"{result.memory_mib:,.0f}", f"{result.outbreak_s:,.0f}", f"{result.wall_s:,.0f}"]  # fmt: skip


def _time(minutes: float) -> str:
    return "never" if minutes < 0 else f"{minutes:.1f}"


def limits_row(contender: Contender, result: Result) -> list[str]:
    """What was counted of what is limited."""
    pages = f"of {pages_per_hour(contender)} + a digest"
    policy = policy_of(contender)
    looks, goes = result.asked["airflow.look"]
    return [
        result.name,
        f"{result.task_hour_most} of {PER_HOUR}" if contender.braked else f"{result.task_hour_most:,}",
        f"{result.minute_most} of {policy.changes_per_minute}" if contender.braked else f"{result.minute_most:,}",
        f"{result.under_way_most} of {policy.concurrent_changes}" if contender.braked else f"{result.under_way_most:,}",
        f"{result.clear_most} of {policy.blast_radius}" if contender.braked else f"{result.clear_most:,}",
        f"{result.page_hour_most:,} {pages}" if contender.braked else f"{result.page_hour_most:,}",
        f"{looks:,} in {goes:,}",
    ]


def text_of(results: Sequence[Result], contenders: Sequence[Contender], size: Size) -> str:
    """The report, to read."""
    machine = report.machine()
    del machine["aiokafka"]
    some = list(zip(contenders, results, strict=True))
    limited = [limits_row(one, result) for one, result in some if one.kind != "none"]
    faults = [f"* **{result.name}: {fault}**" for result in results for fault in result.faults]
    lines = [
        f"# Storm, {machine['date']}",
        "",
        f"Machine: {report.settings_line(machine)}. Store SQLite, synchronous NORMAL.",
        "",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        "",
        f"{size.dags} DAGs of {size.tasks} tasks, {size.bugs} more tasks with a bug; pack airflow-transient, one "
        f"deployment, {UNTIL // MINUTE} virtual minutes ({ENDLESS // MINUTE} of the unlimited retry, which has no end)."
        " Tries: begun after the outbreak. Of bugs: clears of tasks with a bug. Memory: the most that the process grew "
        "by, the stand-in and the topic included. s for 2 min: wall "
        "time that the first two virtual minutes took, in which everything fails.",
        "",
        report.table(HEAD, [row(result) for result in results]),
        "",
        "What the target counted at most, of what is allowed; looks wanted, and in how many goes they were asked:",
        "",
        report.table(
            ("", "clears of a task, 1 h", "clears, 1 min", "under way", "tasks of a clear", "pages, 1 h", "looks"),
            limited,
        ),
        "",
        *(faults or ["Every budget and cap held."]),
        "",
        "API calls by kind:",
        "",
        *(
            f"* {one.name}: {', '.join(f'{kind} {count:,}' for kind, count in one.calls.items())}"
            for one in results
            if one.calls
        ),
    ]
    return "\n".join(lines)


def grown(whole: Result, size: Size) -> str:
    """What a quarter of the storm needs, to tell what memory grows with."""
    quarter = Size(size.dags // 4, size.tasks, size.bugs // 4)
    small = alone(CONTENDERS[2], quarter)
    return (
        f"\n\nMemory of remediator as shipped: {small.memory_mib:.0f} MiB with {small.failed:,} failed tasks, "
        f"{whole.memory_mib:.0f} MiB with {whole.failed:,}."
    )


def alone(contender: Contender, size: Size) -> Result:
    """Run it in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, contender, size).result()


def main() -> int:
    """Run every contender, print the table; exit code 1 if a limit did not hold."""
    given, _ = report.parser_of(__doc__ or "", "a tenth of the storm").parse_known_args()
    size = QUICK if given.quick else Size()
    results = []
    for contender in CONTENDERS:
        results.append(alone(contender, size))
        print(*row(results[-1]), *results[-1].faults, sep=" | ", flush=True)
    text = text_of(results, CONTENDERS, size) + grown(results[2], size)
    figures = {"machine": report.machine(), "results": [msgspec.to_builtins(one) for one in results]}
    report.finish("storm", text, figures, keep=given.report)
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
