"""One night: every DAG of the table runs on the real Airflow at once, and one daemon treats them all.

Owns what is done and what is written down of it. Judges nothing: that is for whoever reads `Seen`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.receiver.app import Receiver
from remediator.web.server import serving
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.daemon import PACKS, Daemon
from tests.airflow.eventually import eventually
from tests.airflow.patient import admitted
from tests.airflow.real_airflow import PASSWORD, PERSON, USERNAME, RealAirflow
from tests.airflow.table import NIGHT, RACE
from tests.airflow.table import Row as Expected
from tests.airflow.topic import clear_numbers, lineage_of, said

Row = dict[str, Any]
OWN_RULES = Path(__file__).parent / "rules"
NIGHT_SECONDS = 240.0
MOMENT_SECONDS = 0.01
BY_HAND = "by hand"
STARTED_OTHERWISE = ("heartbeat_etl", "stock_mart_build", "stock_report", "daily_revenue")
BACKFILL = {"dag_id": "daily_revenue", "from_date": "2026-01-02T00:00:00Z", "to_date": "2026-01-04T00:00:00Z"}
ROWS = (*NIGHT, RACE)


@dataclass
class Seen:
    """What was seen of one dagrun: in Airflow, by people, and in the daemon's own stories.

    clears: every one that was asked for. paged_at: the dagrun's state when the first page came. tries: how many, of the
    row's tasks. note: on the first of them. clear_number: how often the dagrun was cleared, as Airflow counts. lineage:
    eventTypes of its tasks.
    """

    state: str = "no dagrun"
    run_id: str = ""
    clears: list[Row] = field(default_factory=list)
    pages: list[Row] = field(default_factory=list)
    paged_at: str = ""
    tries: dict[str, int] = field(default_factory=dict)
    stories: list[Row] = field(default_factory=list)
    lineage: list[str] = field(default_factory=list)
    clear_number: int = 0
    note: str = ""

    @property
    def reasons(self) -> set[str]:
        return {decision["reason"] for story in self.stories for decision in story["decisions"]}


@dataclass
class Night:
    """What is left of it: of each row by name, pages that belong to no row, and the end of the daemon's log."""

    seen: dict[str, Seen]
    other_pages: list[Row]
    log: str
    seconds: float = 0.0


async def lived(airflow: RealAirflow, broker: EmbeddedBroker, folder: Path) -> Night:
    """Run it. What does not come to its expected end within NIGHT_SECONDS is written down as it is then."""
    airflow.revive()
    receiver = Receiver()
    async with (
        await admitted(airflow.url, USERNAME, PASSWORD) as http,
        await admitted(airflow.url, PERSON, PASSWORD) as by_hand,
        serving(receiver.app()) as people,
    ):
        packs = (*(path for path in sorted(PACKS.iterdir()) if path.is_dir()), OWN_RULES)
        daemon = Daemon(folder, broker.bootstrap, airflow.url, people.url, packs=packs, first_wait="3s")
        api = AirflowApi(http)
        await api.forget()
        try:
            await daemon.start()
            return await Watch(airflow, api, AirflowApi(by_hand), daemon, receiver, broker).night()
        finally:
            await daemon.stop()
            receiver.release()
            await api.forget()


class Watch:
    """Everybody who is awake in that night."""

    def __init__(
        self, airflow: RealAirflow, api: AirflowApi, person: AirflowApi, daemon: Daemon, receiver: Receiver,
        broker: EmbeddedBroker,
    ) -> None:  # fmt: skip
        self.airflow = airflow
        self.api = api
        self.person = person
        self.daemon = daemon
        self.receiver = receiver
        self.broker = broker
        self.paged_at: dict[str, str] = {}
        self.trouble: list[str] = []

    async def night(self) -> Night:
        began = datetime.now(UTC)
        async with asyncio.TaskGroup() as group:
            for work in (
                self.everything_starts, self.crm_is_back, self.a_deadline_passes, self.somebody_clears, self.two_clear,
                self.morning,
            ):  # fmt: skip
                group.create_task(self.noted(work))
        runs = await self.dagruns()
        seen = {row.name: await self.seen(row, runs) for row in ROWS}
        told = {page["dedup_key"] for one in seen.values() for page in one.pages}
        others = [page for page in triggers(self.receiver) if page["dedup_key"] not in told]
        log = "\n".join([*self.trouble, self.daemon.log_tail()])
        return Night(seen, others, log, (datetime.now(UTC) - began).total_seconds())

    async def noted(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong, the rows that it does not concern are judged all the same."""
        try:
            await work()
        except AssertionError as fault:
            self.trouble.append(f"{work.__name__}: {fault}")

    async def everything_starts(self) -> None:
        for dag_id in dict.fromkeys(row.dag for row in ROWS):
            if dag_id not in STARTED_OTHERWISE and dag_id != "crm_sync":
                conf = {"fail": True} if dag_id == "manual_export" else {}
                await self.api.trigger(dag_id, conf=conf)
        await self.api.backfill(BACKFILL)
        await self.api.pause("heartbeat_etl", paused=False)

    async def crm_is_back(self) -> None:
        """Once Airflow has given it up."""
        run_id = await self.api.trigger("crm_sync")
        await eventually(
            lambda: self.api.task("crm_sync", run_id, "pull"),
            lambda row: row["state"] == "failed", seconds=NIGHT_SECONDS, what="crm_sync given up",
        )  # fmt: skip
        (self.airflow.heal_dir / run_id).touch()

    async def a_deadline_passes(self) -> None:
        """Airflow's own, which its scheduler notices; the dagrun ends only then."""
        run_id = await self.run_of("late_report")
        await eventually(
            lambda: self.api.deadlines("late_report", run_id),
            lambda rows: any(row["missed"] for row in rows), seconds=NIGHT_SECONDS, what="a missed deadline",
        )  # fmt: skip
        (self.airflow.heal_dir / run_id).touch()

    async def somebody_clears(self) -> None:
        """While the daemon's own retry waits for its time. (A dagrun that is cleared while it ends may be lost.)"""
        run_id = await self.run_of("crm_person")
        await self.api.ends("crm_person", run_id, "failed")
        await eventually(lambda: self.is_remediated(run_id), seconds=NIGHT_SECONDS, what=f"a retry of {run_id} planned")
        await self.person.clear("crm_person", run_id, "pull", note=BY_HAND)

    async def two_clear(self) -> None:
        """The person at the moment at which the daemon has asked what its clear would touch."""
        run_id = await self.run_of(RACE.dag)
        await eventually(lambda: self.is_remediated(run_id), seconds=NIGHT_SECONDS, what=f"a retry of {run_id} planned")
        path = f"/api/v2/dags/{RACE.dag}/clearTaskInstances"
        await eventually(lambda: self.answers(path), pause=MOMENT_SECONDS, what="the daemon's dry run")
        await self.person.clear(RACE.dag, run_id, "pull", note=BY_HAND)

    async def answers(self, path: str) -> list[int]:
        return self.airflow.answers("POST", path)

    async def morning(self) -> None:
        """Wait until every row has come to its end, and release what hangs once people know of it."""
        await eventually(self.is_over, seconds=NIGHT_SECONDS, what="the end of the night")
        await self.daemon.settled()

    async def is_over(self) -> bool:
        runs = await self.dagruns()
        heartbeats = [run for run in runs if run["dag_id"] == "heartbeat_etl"]
        if heartbeats and heartbeats[-1]["state"] == "success":
            await self.api.pause("heartbeat_etl", paused=True)  # what has begun since stays where it is
        still_open = [one for one in await self.daemon.incidents() if one["phase"] != "resolved"]
        ended = [self.has_ended(row, found(row, runs), still_open) for row in ROWS]
        return all(ended)

    def has_ended(self, row: Expected, run: Row | None, still_open: Sequence[Row]) -> bool:
        if run is None:
            return False
        pages = about(row.dag, run["dag_run_id"], triggers(self.receiver))
        if pages:
            self.paged_at.setdefault(row.name, run["state"])
            (self.airflow.heal_dir / run["dag_run_id"]).touch()  # what hangs is let go: people know
        is_treated = row.pages > 0 or not about(row.dag, run["dag_run_id"], still_open)
        return run["state"] == row.ends and len(pages) >= row.pages and is_treated

    async def is_remediated(self, run_id: str) -> bool:
        story = await self.daemon.incident_of(run_id)
        return story is not None and any(one["reason"] == "retry_planned" for one in story["decisions"])

    async def run_of(self, dag_id: str) -> str:
        """The one dagrun of this DAG, once there is one."""
        runs = await eventually(lambda: self.dagruns(dag_id), what=f"a dagrun of {dag_id}", seconds=NIGHT_SECONDS)
        return str(runs[0]["dag_run_id"])

    async def dagruns(self, dag_id: str = "~") -> list[Row]:
        return await self.api.dagruns(dag_id)

    async def seen(self, row: Expected, runs: Sequence[Row]) -> Seen:
        run = found(row, runs)
        if run is None:
            return Seen()
        run_id = run["dag_run_id"]
        mine = about(row.dag, run_id, await self.daemon.incidents())
        stories = [story for one in mine if (story := await self.daemon.story(one["id"])) is not None]
        tasks = {name: await self.task(row.dag, run_id, name) for name in row.tries}
        lineage = await lineage_of(self.broker.bootstrap, run_id)
        return Seen(
            state=run["state"],
            run_id=run_id,
            clears=await self.api.all_clears(row.dag, run_id),
            pages=about(row.dag, run_id, triggers(self.receiver)),
            paged_at=self.paged_at.get(row.name, ""),
            tries={name: int(task["try_number"]) for name, task in tasks.items()},
            stories=stories,
            lineage=said(lineage, "TASK"),
            clear_number=max(clear_numbers(lineage), default=0),
            note=next((task["note"] or "" for task in tasks.values()), ""),
        )

    async def task(self, dag_id: str, run_id: str, name: str) -> Row:
        task_id, _, index = name.rstrip("]").partition("[")
        return await self.api.task(dag_id, run_id, task_id, int(index) if index else -1)


def found(row: Expected, runs: Sequence[Row]) -> Row | None:
    """The dagrun that the row is about: of a schedule's the first. runs: latest first."""
    for run in reversed(runs):
        is_of_day = not row.date or (run["logical_date"] or "").startswith(row.date)
        if is_of_day and (run["dag_id"], run["run_type"]) == (row.dag, row.run_type):
            return run
    return None


def triggers(receiver: Receiver) -> list[Row]:
    """Every trigger that PagerDuty got, repeats included."""
    return [event for event in receiver.pagerduty.events if event["event_action"] == "trigger"]


def about(dag_id: str, run_id: str, told: Sequence[Row]) -> list[Row]:
    """Pages, or incidents, that name this dagrun. (Those of a firing name it in their text or group alone.)"""
    return [one for one in told if names(json.dumps(one), dag_id, run_id)]


def names(text: str, dag_id: str, run_id: str) -> bool:
    return dag_id in text and (f'"{run_id}' in text or f" {run_id}" in text)
