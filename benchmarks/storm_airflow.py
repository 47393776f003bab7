"""An Airflow in a storm, in memory and on a virtual clock, behind the session that the real API client speaks through.

Owns the scheduler's truth and counts every call. Answers at once and never tires: generous to whoever asks much.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from random import Random
from typing import Any
from urllib.parse import unquote

import msgspec

from remediator.actions.airflow.errors import Answered
from remediator.actions.airflow.rows import DagRunRow, TaskInstanceRow
from remediator.actions.airflow.session import Answer, Params
from remediator.model.event import ErrorInfo, Event
from remediator.model.time import MILLISECOND, MINUTE, SECOND, Duration, Instant, format_instant, parse_instant

RUN = "scheduled__2026-11-23T06:00:00+00:00"
PAGE_MAX = 100
"""Airflow gives no more rows of a page unless it is configured otherwise."""
PLATFORM = "ConnectionRefusedError: [Errno 111] Connection refused"
BUG = "KeyError: 'customer_id'"
_NOTHING = ("pools", "import_errors", "dag_runs", "task_instances", "event_logs", "dags")
_HEALTHY = {"status": "healthy"}
_DAG = re.compile(r"/dags/[^/]+$")
_ROUTE = re.compile(
    r"/api/v2/dags/(?P<dag>[^/]+)(?:/dagRuns(?:/(?P<run>[^/]+)"
    r"(?:/taskInstances(?:/(?P<task>[^/]+)(?P<log>/logs/\d+)?)?(?P<listed>$)?)?)?)?$"
)


class Instance(msgspec.Struct):
    """One task instance. bug: it fails whatever the platform does."""

    task_id: str
    bug: bool
    number: int
    state: str | None = "running"
    try_number: int = 1
    note: str | None = None
    ended_at: Instant | None = None
    updated_at: Instant = 0
    clears: int = 0


class Run(msgspec.Struct):
    """The one dagrun of a DAG; its tasks do not depend on each other."""

    dag_id: str
    instances: dict[str, Instance]
    state: str = "running"
    ended_at: Instant | None = None
    updated_at: Instant = 0


Pair = tuple[Run, Instance]


class Clear(msgspec.Struct, frozen=True):
    """One effective clear."""

    at: Instant
    dag_id: str
    task_ids: tuple[str, ...]


class Size(msgspec.Struct, frozen=True):
    """dags * tasks fail for the platform, and one more task in each of `bugs` DAGs for a bug."""

    dags: int = 200
    tasks: int = 50
    bugs: int = 50


class StormAirflow:
    """Every task runs when the platform breaks at `began`, and fails within a minute. `emit` takes each event."""

    def __init__(self, size: Size, began: Instant, lasts: Duration, emit: Callable[[Event], None]) -> None:
        self.now = began
        self.clears: list[Clear] = []
        self.calls: Counter[str] = Counter()
        self.by_minute: Counter[int] = Counter()
        self.tries = 0
        self.recovered: list[Instant] = []
        """When each failed task became well, in order of time."""
        self.under_way: dict[int, set[tuple[str, str]]] = {}
        """Number of a clear -> its task instances that have not ended since."""
        self.most_under_way = 0
        self._ends = began + lasts
        self._began = began
        self._emit = emit
        self._random = Random(7)
        self._queue: list[tuple[Instant, int, Callable[[], None]]] = []
        self._serial = 0
        self.runs = {f"dag_{number:03}": self._run(number, size) for number in range(size.dags)}

    def _run(self, number: int, size: Size) -> Run:
        names = [(f"task_{task:02}", False) for task in range(size.tasks)]
        names += [("buggy", True)] if number < size.bugs else []
        run = Run(f"dag_{number:03}", {name: Instance(name, bug, self._next()) for name, bug in names})
        for one in run.instances.values():
            self._at(self._began + self._random.randrange(MINUTE), partial(self._fail, run, one, one.number))
        return run

    # -- time -----------------------------------------------------------------------------------------------------

    def advance(self, now: Instant) -> None:
        """Let happen what is due, each at its own time."""
        while self._queue and self._queue[0][0] <= now:
            self.now, _, happen = heapq.heappop(self._queue)
            happen()
        self.now = now

    @property
    def is_quiet(self) -> bool:
        """Does nothing happen by itself any more?"""
        return not self._queue

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _at(self, moment: Instant, happen: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (moment, self._next(), happen))

    def _later(self, low: Duration, high: Duration, happen: Callable[[], None]) -> None:
        self._at(self.now + self._random.randrange(low, high), happen)

    # -- running --------------------------------------------------------------------------------------------------

    def _start(self, run: Run, one: Instance, number: int) -> None:
        if one.number != number:
            return
        self.tries += 1
        one.try_number += 1
        self._become(one, "running")
        if one.bug or self.now < self._ends:
            self._later(5 * SECOND, 15 * SECOND, lambda: self._fail(run, one, number))
        else:
            self._later(20 * SECOND, 40 * SECOND, lambda: self._succeed(run, one, number))

    def _fail(self, run: Run, one: Instance, number: int) -> None:
        """The event comes first, the record 0.1 to 5 s later, as measured with Airflow 3.3.2."""
        kind, _, message = (BUG if one.bug else PLATFORM).partition(": ")
        self._tell("task.failed", run, one, ErrorInfo(type=kind, message=message))
        self._later(100 * MILLISECOND, 5 * SECOND, lambda: self._record(run, one, number))

    def _record(self, run: Run, one: Instance, number: int) -> None:
        if one.number == number:
            self._become(one, "failed")
            self._end(run, one)

    def _succeed(self, run: Run, one: Instance, number: int) -> None:
        if one.number == number:
            self._become(one, "success")
            self.recovered.append(self.now)
            self._tell("task.success", run, one)
            self._end(run, one)

    def _become(self, one: Instance, state: str | None) -> None:
        one.state, one.updated_at = state, self.now
        one.ended_at = self.now if state in ("failed", "success") else None

    def _end(self, run: Run, one: Instance) -> None:
        for number, left in list(self.under_way.items()):
            left.discard((run.dag_id, one.task_id))
            if not left:
                del self.under_way[number]
        states = {each.state for each in run.instances.values()}
        if states <= {"failed", "success"}:
            run.state = "failed" if "failed" in states else "success"
            run.ended_at = run.updated_at = self.now
            self._emit(self._event(f"dagrun.{run.state}", run))

    def _tell(self, kind: str, run: Run, one: Instance, error: ErrorInfo | None = None) -> None:
        base = self._event(kind, run)
        self._emit(
            msgspec.structs.replace(base, task_id=one.task_id, try_number=one.try_number, retries=0, error=error)
        )

    def _event(self, kind: str, run: Run) -> Event:
        return Event(kind, self.now, source="storm", namespace="prod", dag_id=run.dag_id, run_id=RUN)

    # -- the session ----------------------------------------------------------------------------------------------

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """As `session.Caller` has it."""
        return self._counted(self._answer(method, path, dict(params), body))

    async def write(
        self, method: str, path: str, *, params: Params = (), body: Any = None, begin_by: float | None = None
    ) -> Answer:
        """As `session.Caller` has it."""
        return self._counted(self._answer(method, path, dict(params), body))

    async def tail(self, path: str, *, params: Params, accept: str, keep: int) -> Answer:
        """As `session.Caller` has it."""
        return self._counted(("log", b'{"event": "the task failed"}'))

    async def close(self) -> None:
        """Nothing to close."""

    def _counted(self, answer: tuple[str, bytes]) -> Answer:
        self.calls[answer[0]] += 1
        self.by_minute[(self.now - self._began) // MINUTE] += 1
        return Answer(200, answer[1], formatdate(self.now // SECOND, usegmt=True))

    def _answer(self, method: str, path: str, params: dict[str, str], body: Any) -> tuple[str, bytes]:
        if path.endswith("/clearTaskInstances"):
            return self._clear(unquote(path.split("/")[4]), body)
        if path.endswith("/taskInstances/list"):
            return "task list", _page(list(self._listed(body)), body["page_limit"], 0)
        if _DAG.search(path):
            return "DAG", msgspec.json.encode({"dag_id": path.rpartition("/")[2], "is_paused": False, "tags": []})
        found = _ROUTE.match(path)
        if found is None or path.endswith("/dags"):
            return "health and version", msgspec.json.encode(_healthy())
        dag, run, task = (unquote(found[name] or "") for name in ("dag", "run", "task"))
        if task:
            return "task instance", msgspec.json.encode(_row(self._known(dag), self._known(dag).instances[task]))
        if run not in ("", "~"):
            return self._of_run(self._known(dag), path, params)
        return self._of_all(path, params)

    def _known(self, dag_id: str) -> Run:
        if dag_id not in self.runs:
            raise Answered(404, f"The Dag with ID: `{dag_id}` was not found")
        return self.runs[dag_id]

    def _of_run(self, run: Run, path: str, params: dict[str, str]) -> tuple[str, bytes]:
        if not path.endswith("/taskInstances"):
            return "dagrun", msgspec.json.encode(_run_row(run))
        rows: list[Pair] = [(run, one) for one in run.instances.values()]
        return "task instances of a dagrun", _page(rows, int(params["limit"]), int(params["offset"]))

    def _of_all(self, path: str, params: dict[str, str]) -> tuple[str, bytes]:
        if params.get("state") != "failed":
            return "health and version", msgspec.json.encode(_healthy())
        since, until = parse_instant(params["updated_at_gte"]), params.get("updated_at_lte")
        end = parse_instant(until) if until else self.now
        limit, offset = int(params["limit"]), int(params["offset"])
        if path.endswith("/taskInstances"):
            return "sweep", _page(list(self._failed_tasks(since, end)), limit, offset)
        failed = [run for run in self.runs.values() if run.state == "failed" and since <= run.updated_at <= end]
        rows = [_run_row(run) for run in failed[offset : offset + min(limit, PAGE_MAX)]]
        return "sweep", msgspec.json.encode({"dag_runs": rows, "total_entries": len(failed)})

    def _failed_tasks(self, since: Instant, until: Instant) -> Iterator[Pair]:
        for run in self.runs.values():
            for one in run.instances.values():
                if one.state == "failed" and since <= one.updated_at <= until:
                    yield run, one

    def _listed(self, body: dict[str, Any]) -> Iterator[Pair]:
        for dag_id in body["dag_ids"]:
            run = self.runs[dag_id]
            yield from ((run, one) for one in run.instances.values() if one.state in body.get("state", [one.state]))

    def _clear(self, dag_id: str, body: dict[str, Any]) -> tuple[str, bytes]:
        run = self._known(dag_id)
        chosen = [run.instances[name] for name in body["task_ids"] if run.instances[name].state == "failed"]
        if not body["dry_run"] and chosen:
            self._cleared(run, chosen, body["note"])
        rows: list[Pair] = [(run, one) for one in chosen]
        return "dry run of a clear" if body["dry_run"] else "clear", _page(rows, PAGE_MAX, 0)

    def _cleared(self, run: Run, chosen: list[Instance], note: str) -> None:
        self.clears.append(Clear(self.now, run.dag_id, tuple(one.task_id for one in chosen)))
        self.under_way[len(self.clears)] = {(run.dag_id, one.task_id) for one in chosen}
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        for one in chosen:
            one.number, one.note, one.clears = self._next(), note, one.clears + 1
            self._become(one, None)
            self._later(SECOND, 4 * SECOND, partial(self._start, run, one, one.number))
        run.state, run.ended_at, run.updated_at = "running", None, self.now


def _row(run: Run, one: Instance) -> TaskInstanceRow:
    ended = format_instant(one.ended_at) if one.ended_at is not None else None
    return TaskInstanceRow(
        id=str(one.number), task_id=one.task_id, dag_id=run.dag_id, dag_run_id=RUN, state=one.state,
        try_number=one.try_number, max_tries=one.try_number, end_date=ended, note=one.note,
    )  # fmt: skip


def _run_row(run: Run) -> DagRunRow:
    ended = format_instant(run.ended_at) if run.ended_at is not None else None
    return DagRunRow(dag_run_id=RUN, dag_id=run.dag_id, state=run.state, end_date=ended)


def _page(rows: list[Pair], limit: int, offset: int) -> bytes:
    shown = [_row(run, one) for run, one in rows[offset : offset + min(limit, PAGE_MAX)]]
    return msgspec.json.encode({"task_instances": shown, "total_entries": len(rows)})


def _healthy() -> dict[str, Any]:
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return {"total_entries": 0, **{name: [] for name in _NOTHING}, **dict.fromkeys(parts, _HEALTHY)}
