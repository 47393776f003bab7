"""`[[timeline]]` of *.test.toml: a story over time as data engineers write it, read into values. Pure.

What a step may say, in the order in which it is done at `at`:

    api      = "down" | "up"                     of all deployments, or { prod = "down" }
    truth    = { dag_id, run_id, state, tasks }  what the scheduler answers from now on; one or a list
    outcome  = { page = "refused: gone" }        what becomes of such actions from now on
    press    = "freeze" | "thaw"                 or "approve" | "reject", of every open proposal
    feed     = "stops" | "reads on"
    event    = { type = "check.failed", … }      or events = [ … ]; with repeat = { times = 3, every = "10s" }
    expect   = …                                 all that happened since the last one: see testfile_wanted
"""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.model.event import Event
from remediator.model.outcome import Delivered, FinalOutcome, Refused, Unknown
from remediator.model.policy import DeploymentPolicy, Mode
from remediator.model.time import DAY, MILLISECOND, Duration, Instant, format_duration, parse_instant
from remediator.model.truth import DagRunTruth, TaskTruth
from remediator.rules.testfile_event import event_data, numbered, read_instant, to_event
from remediator.rules.testfile_wanted import ACTIONS, OUTCOMES, Names, Wanted, read_wanted
from remediator.rules.toml import Table, listing, near, show

STARTS = "2026-11-23T08:00:00Z"
"""A Monday morning, unless the timeline says otherwise."""
DEPLOYMENT = "prod"
MAX_TIMELINES = 1_000
MAX_STEPS = 1_000
MAX_EVENTS = 10_000
MAX_DEPLOYMENTS = 100
LONGEST: Duration = 30 * DAY
FINAL_TYPE = "task.failed_finally"
RUN_STATES = ("queued", "running", "success", "failed", "gone")
TASK_STATES = ("queued", "scheduled", "running", "deferred", "restarting", "up_for_retry", "up_for_reschedule",
               "upstream_failed", "failed", "skipped", "success", "removed", "none")  # fmt: skip
WELL = frozenset({"success", "skipped", "removed"})
"""States in which a task instance is on no list of what is not well."""


class Said(msgspec.Struct, frozen=True):
    """An event that is told at `at` (since the start). final: a failure that the scheduler has as the last try."""

    at: Duration
    event: Event
    final: bool = False


class Moment(msgspec.Struct, frozen=True):
    """One `[[timeline.step]]`; `at` is since the start. api: deployment ('' for all) -> does it answer?"""

    at: Duration
    line: int
    api: dict[str, bool]
    truths: tuple[DagRunTruth, ...]
    outcomes: dict[str, FinalOutcome]
    press: str
    feed: str
    said: tuple[Said, ...]
    wanted: tuple[Wanted, ...] | None

    @property
    def until(self) -> Duration:
        """When all of it was told."""
        return max((said.at for said in self.said), default=self.at)


class TimelineTest(msgspec.Struct, frozen=True):
    """One `[[timeline]]`. deployments: all that it names; their feed is the runner's. lateness: None: the usual one."""

    name: str
    file: str
    line: int
    start: Instant
    lateness: Duration | None
    deployments: dict[str, DeploymentPolicy]
    steps: tuple[Moment, ...]


def timelines_of(root: Table, names: Names) -> list[TimelineTest]:
    """The timelines of a file's top table; faults are kept in its document."""
    tables = root.tables("timeline")
    if len(tables) > MAX_TIMELINES:
        root.fault("timeline", f"{len(tables):,} timelines", f"at most {MAX_TIMELINES:,}")
    return [_Reader(table, names).read() for table in tables[:MAX_TIMELINES]]


class _Reader:
    """Reads one timeline."""

    def __init__(self, table: Table, names: Names) -> None:
        self._table = table
        self._names = names
        self._deployments: dict[str, DeploymentPolicy] = {}
        self._defaults: dict[str, Any] = {}
        self._start: Instant = 0
        self._events = 0

    def read(self) -> TimelineTest:
        table = self._table
        table.require("step")
        name = table.text("name", max_length=200) or f"timeline {table.line}"
        self._start = read_instant(table, "starts", table.raw("starts") or parse_instant(STARTS))
        lateness = table.duration("lateness", 0, 0, DAY) if table.raw("lateness") is not None else None
        self._read_deployments(table.table("deployments"))
        self._defaults = self._read_defaults(table.table("defaults"))
        steps = self._steps(table.tables("step"))
        table.close()
        return TimelineTest(name, table.document.file, table.line, self._start, lateness, self._deployments, steps)

    # -- what holds for the whole timeline ------------------------------------------------------------------------

    def _read_deployments(self, table: Table) -> None:
        if len(table.data) > MAX_DEPLOYMENTS:
            table.fault("", f"{len(table.data)} deployments", f"at most {MAX_DEPLOYMENTS}")
        for name in list(table.data)[:MAX_DEPLOYMENTS]:
            one = table.table(name)
            serves = one.texts("serves")
            self._deployments[name] = DeploymentPolicy(
                name, "", one.enum("ceiling", Mode.ACT), one.boolean("api", not serves), one.texts("log_hosts"), serves
            )
            one.close()

    def _read_defaults(self, table: Table) -> dict[str, Any]:
        event_data(Table(table.document, {"type": "", **table.data}, table.path, table.name), without=("time",))
        return table.data

    def _deployment(self, table: Table, data: dict[str, Any]) -> str:
        """Where something happens: what it says, the timeline's default, its only deployment, or 'prod'."""
        known, is_complete = self._deployments, "deployments" in self._table
        name = data.get("deployment") or self._defaults.get("deployment")
        if not isinstance(name, str) or not name:
            if is_complete and len(known) > 1:
                table.fault("", "no deployment", f"a deployment: {listing(known)}")
            name = next(iter(known)) if is_complete and known else DEPLOYMENT
        if is_complete and known and name not in known:
            table.fault("deployment", f"unknown deployment {show(name)}", listing(known), near(name, known))
        known.setdefault(name, DeploymentPolicy(name, "", Mode.ACT))
        return name

    # -- steps ----------------------------------------------------------------------------------------------------

    def _steps(self, tables: list[Table]) -> tuple[Moment, ...]:
        if len(tables) > MAX_STEPS:
            self._table.fault("step", f"{len(tables):,} steps", f"at most {MAX_STEPS:,}")
        steps: list[Moment] = []
        for table in tables[:MAX_STEPS]:
            reached = steps[-1].until if steps else 0
            steps.append(self._step(table, reached))
        if tables and steps[-1].wanted is None:
            tables[-1].fault("", "no expect in the last step", "expect: what comes of it must be said")
        return tuple(steps)

    def _step(self, table: Table, reached: Duration) -> Moment:
        table.require("at")
        at = table.duration("at", reached, 0, LONGEST)
        if at < reached:
            table.fault(
                "at", show(table.data["at"]), f"no earlier than what was told before it: {format_duration(reached)}"
            )
            at = reached
        step = Moment(
            at=at,
            line=table.line,
            api=self._api(table),
            truths=tuple(self._truth(one) for one in table.table_or_tables("truth", MAX_EVENTS)),
            outcomes=_outcomes(table.table("outcome")),
            press=table.choice("press", "", ("freeze", "thaw", "approve", "reject")),
            feed=table.choice("feed", "", ("stops", "reads on")),
            said=self._said(table, at),
            wanted=read_wanted(table, self._names),
        )
        table.close()
        return step

    def _api(self, table: Table) -> dict[str, bool]:
        if not isinstance(table.raw("api"), dict):
            return {"": word == "up"} if (word := table.choice("api", "", ("down", "up"))) else {}
        inner = table.table("api")
        found = {name: inner.choice(name, "up", ("down", "up")) == "up" for name in inner.data}
        for name in found:
            self._deployment(inner, {"deployment": name})
        return found

    def _truth(self, table: Table) -> DagRunTruth:
        place = {key: table.text(key) or str(self._defaults.get(key, "")) for key in ("dag_id", "run_id")}
        for key, value in place.items():
            if not value:
                table.require(key)
        tasks = tuple(self._task(one) for one in table.tables("tasks"))
        unwell = [task for task in tasks if task.state not in WELL]
        failed = any(task.state == "failed" for task in unwell)
        usual = "failed" if failed else "running" if unwell else "success"
        state = table.choice("state", usual, RUN_STATES)
        deployment = self._deployment(table, {"deployment": table.text("deployment")})
        table.close()
        known = "" if state == "gone" else state
        well = tuple(task for task in tasks if task.state in WELL)
        return DagRunTruth(deployment, place["dag_id"], place["run_id"], known, tuple(unwell), proved=well)

    def _task(self, table: Table) -> TaskTruth:
        table.require("task_id", "state")
        task = TaskTruth(
            table.text("task_id"),
            table.choice("state", "failed", TASK_STATES),
            table.integer("try_number", 1, 1, 10_000),
            map_index=table.integer("map_index", -1, -1, 1_000_000),
            operator=table.text("operator"),
        )
        table.close()
        return task

    # -- events ---------------------------------------------------------------------------------------------------

    def _said(self, table: Table, at: Duration) -> tuple[Said, ...]:
        if "event" in table and "events" in table:
            table.fault("events", "event and events", "one of them")
        repeat = table.table("repeat")
        times = repeat.integer("times", 1, 1, MAX_EVENTS) if "repeat" in table else 1
        every = repeat.duration("every", 0, MILLISECOND, LONGEST)
        repeat.close()
        several = table.table_or_tables("events", MAX_EVENTS)
        tables = [table.table("event")] if table.raw("event") is not None else several
        if "repeat" in table:
            repeat.require("times", "every")
            if not tables:
                table.fault("repeat", "no event", "repeat of an event")
        self._events += times * len(tables)
        if self._events > MAX_EVENTS:
            table.fault("", f"{self._events:,} events in the timeline", f"at most {MAX_EVENTS:,}")
            return ()
        templates = [(one, data) for one in tables if (data := self._data(one)) is not None]
        found: list[Said] = []
        for number in range(1, times + 1):
            told = at + (number - 1) * every
            each = (self._one(one, data, told, number if "repeat" in table else 0) for one, data in templates)
            said = [one for one in each if one is not None]
            found += said
            if len(said) < len(templates):
                break  # each further one would have the same faults
        return tuple(found)

    def _data(self, table: Table) -> dict[str, Any] | None:
        merged = Table(table.document, {**self._defaults, **table.data}, table.path, table.name)
        data = event_data(merged, further=("final", "happened"), without=("time",))
        if data is None:
            return None
        if data["type"] == FINAL_TYPE:
            table.fault("type", show(FINAL_TYPE), 'type = "task.failed" with final = true: finality is found, not told')
        data["deployment"] = self._deployment(table, data)
        if merged.boolean("final", False):
            self._check_final(table, data)
        return data

    def _check_final(self, table: Table, data: dict[str, Any]) -> None:
        if data["type"] != "task.failed":
            table.fault("final", f"final with {show(data['type'])}", 'final with type = "task.failed"')
        missing = [key for key in ("dag_id", "run_id", "task_id") if key not in data]
        if missing:
            table.fault("final", f"no {listing(missing)}", "final with dag_id, run_id and task_id")
        deployment = self._deployments.get(data["deployment"])
        if deployment is not None and not deployment.has_api:
            allowed = "a deployment with API; without one finality is inferred, from retries or a dagrun.failed"
            table.fault("final", f"final in {data['deployment']}, which has none", allowed)
        data.setdefault("try_number", 1)

    def _one(self, table: Table, data: dict[str, Any], told: Duration, number: int) -> Said | None:
        happened = table.duration("happened", told, 0, LONGEST) if "happened" in table else told
        filled = numbered(data, number) if number else data
        event = to_event(table, filled, self._start + happened)
        return None if event is None else Said(told, event, table.boolean("final", False))


def _outcomes(table: Table) -> dict[str, FinalOutcome]:
    """'refused: why', 'unknown: why', 'delivered' or 'delivered: what it was before' by kind of action."""
    found: dict[str, FinalOutcome] = {}
    for kind in table.data:
        if kind not in ACTIONS:
            table.raw(kind)
            table.fault("", f"unknown action {show(kind)}", listing(ACTIONS), near(kind, ACTIONS))
            continue
        word, _, reason = table.text(kind).partition(":")
        if word not in OUTCOMES and isinstance(table.data[kind], str):
            table.fault(kind, show(table.data[kind]), f'{listing(OUTCOMES)}, such as "refused: no such channel"',
                        near(word, OUTCOMES))  # fmt: skip
        found[kind] = _outcome(word, reason.strip() or word)
    return found


def _outcome(word: str, reason: str) -> FinalOutcome:
    if word == "delivered":
        return Delivered(detail=reason, before="" if reason == word else reason)
    return Refused(reason) if word == "refused" else Unknown(reason)
