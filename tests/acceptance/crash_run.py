"""One run of daemons over a history, killed at random or left alone, and all that came of it.

Owns killing and collecting. Judges nothing: the tests compare what is collected here.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.partitioner import murmur2

from remediator.demo.fleet.state import FleetState
from remediator.model.action import Message, Page, Params, Retry
from remediator.model.inputs import Entry, Fact
from remediator.model.time import Instant, format_instant
from remediator.runtime.replay import verify
from remediator.store.factory import open_store
from remediator.store.port import ActionRow, Store
from tests.acceptance.crash_history import NAMESPACE, RULES, History
from tests.acceptance.harness import DaemonProcess, Site, eventually, site, write_config

PARTITIONS = 3
MAX_ROWS = 1_000_000
FACT_KINDS = {"failed": "FAIL", "success": "COMPLETE", "skipped": "COMPLETE"}


@dataclass(frozen=True)
class Plan:
    """What is done to the daemons. lives: shortest and longest time between two kills, in seconds.

    is_static: Apache Kafka gives a restarted member its partitions at once if it has a name of its own; the embedded
    broker takes its time with names, and is told to forget silent members soon.
    """

    kills: int = 0
    daemons: int = 1
    seed: int = 1
    is_static: bool = False
    lives: tuple[float, float] = (0.4, 3.0)
    seconds: float = 120.0


@dataclass
class Came:
    """All that came of a run.

    effects: (kind, lane, what, state) of retries, pages and first messages. identities: their action ids, but for what
    was told of failures that no event announced: when such a one was found is part of its identity.
    """

    positions: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    facts: Counter[str] = field(default_factory=Counter)
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    dead_letters: list[tuple[int, int]] = field(default_factory=list)
    effects: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    identities: set[tuple[str, str]] = field(default_factory=set)
    incidents: set[tuple[Any, ...]] = field(default_factory=set)
    clears: int = 0
    duplicate_clears: int = 0
    people: dict[str, int] = field(default_factory=dict)
    heads: list[int] = field(default_factory=list)
    """The journal's head at each kill."""
    seconds: float = 0.0
    replayed: str = "not replayed"
    """What the replay of the journal found different, '' for nothing."""


async def run(folder: Path, bootstrap: str, url: str, size: int, end: Instant, plan: Plan) -> Came:
    """Let the daemons deal with a history of `size` records that ended at `end`, and collect what came of it."""
    history = _history(folder, size, end)
    state = FleetState(NAMESPACE)
    async with site(folder, bootstrap, state=state, plan_for=history.plan_for, partitions=PARTITIONS) as place:
        place.muted = True
        history.happen(place.world, place.said)
        place.said.clear()
        place.muted = False
        daemons = [
            DaemonProcess(write_config(folder, settings(place, url, n, plan), f"{n}.toml")) for n in range(plan.daemons)
        ]
        store = open_store(url)
        came = Came()
        began = time.monotonic()
        try:
            await asyncio.gather(*(daemon.start() for daemon in daemons))
            await daemons[0].started()
            await store.open()
            await _kill_and_restart(place, history, daemons, store, plan, came)
            await eventually(lambda: _is_over(place, store, history, daemons), "all is dealt with", plan.seconds)
            for daemon in daemons:
                assert await daemon.stop() == 0, daemon.text[-2_000:]
            came.seconds = time.monotonic() - began
            came.sent = history.records + place.said
            await _collect(place, store, came, history.unannounced)
        finally:
            for daemon in daemons:
                await daemon.kill()
            await store.close()
    return came


def _history(folder: Path, size: int, end: Instant) -> History:
    folder.mkdir(exist_ok=True)
    return History(size, end)


UNCAPPED = {"changes_per_minute": 10_000, "concurrent_changes": 10_000}
"""A day's troubles are told within seconds here; what is capped would only wait."""


def settings(place: Site, url: str, number: int, plan: Plan) -> dict[str, Any]:
    """A daemon's settings: quick in all that a crash makes others wait for."""
    chat = {"kind": "slack", "receiver": "chat", "channel": "#alerts"}
    own = place.settings()
    api, feed = own["deployment"][0]["api"], own["feed"][0]
    return place.settings(
        daemon={"lease": "2s"},
        policy={**own["policy"], "behind_after": "1h", "blind_after": "2h", "self_route": "self", **UNCAPPED},
        store={"url": url, "synchronous": "NORMAL"} if url.startswith("sqlite") else {"url": url},
        feed=[{**feed, **({"member": f"crash-{number}", "session": "6s"} if plan.is_static else {"session": "1s"})}],
        deployment=[{**own["deployment"][0], "api": {**api, "timeout": "1s"}}],
        receiver=[{**receiver, "timeout": "1s"} for receiver in own["receiver"]],
        routes={
            "default": {"destinations": [{"kind": "pagerduty", "receiver": "pd"}, chat], "pages_per_hour": 10_000},
            "chat": {"destinations": [chat]},
            "self": {"destinations": [{"kind": "log"}]},
        },
        rules={"paths": [place.rules(RULES)], "reload": False},
        http={"enabled": False},
        dispatcher={"poll": "100ms", "changes_per_minute": 10_000, "claim": "4s"},
    )


async def _kill_and_restart(
    place: Site, history: History, daemons: Sequence[DaemonProcess], store: Store, plan: Plan, came: Came
) -> None:
    chance = random.Random(plan.seed)
    parts = history.parts(plan.kills + 1)
    for part in parts[:-1]:
        await place.produce(part)
        victim = chance.choice(list(daemons))
        await _lives(victim, chance.uniform(*plan.lives))
        await victim.kill()
        came.heads.append((await store.counts()).journal_head)
        await victim.start()
    await place.produce(parts[-1])


async def _lives(daemon: DaemonProcess, seconds: float) -> None:
    """Let it live so long; it must not end by itself."""
    try:
        async with asyncio.timeout(seconds):
            await daemon.process.wait()
    except TimeoutError:
        return
    raise AssertionError(f"the daemon ended by itself: {daemon.text[-2_000:]}")


async def _is_over(place: Site, store: Store, history: History, daemons: Sequence[DaemonProcess]) -> bool:
    for daemon in daemons:
        if daemon.process.returncode is not None:
            raise RuntimeError(f"a daemon ended by itself: {daemon.text[-2_000:]}")
    expected = history.expected
    outside = (place.clears, place.pages, place.receiver.slack.posts)
    assert outside == (expected.clears, expected.pages, expected.posts), (outside, expected)
    incidents = await store.incidents(open_only=True, limit=MAX_ROWS)
    told = [incident for incident in incidents if not incident.rule.startswith("self.")]
    assert len(told) == expected.pages, len(told)
    outbox = (await store.counts()).outbox
    waiting = sum(states.get(state, 0) for states in outbox.values() for state in ("pending", "claimed"))
    assert not waiting, outbox
    progress, ends = await store.progress("main", place.topic), ends_of([*history.records, *place.said])
    assert progress == ends, (progress, ends)
    return True


def ends_of(records: Iterable[tuple[bytes, bytes]]) -> dict[int, int]:
    """Partition -> its end offset: the embedded broker's own answer to that lags behind what it hands out."""
    return dict(Counter((murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key, _ in records))


async def _collect(place: Site, store: Store, came: Came, unannounced: set[str]) -> None:
    came.positions, came.ends = await store.progress("main", place.topic), ends_of(came.sent)
    journal = await whole_journal(store)
    came.facts = Counter(_name(entry.input) for entry in journal if isinstance(entry.input, Fact))
    came.replayed = (await verify(store)).difference
    came.dead_letters = [(letter.partition, letter.offset) for letter in await store.dead_letters(MAX_ROWS)]
    rows = await store.actions("", MAX_ROWS)
    compared = [row for row in rows if _is_compared(row)]
    came.effects = Counter((row.action.kind, row.action.lane, _what(row.action.params), row.state) for row in compared)
    came.identities = {(row.action.id, row.state) for row in compared if _dag_of(row.action.params) not in unannounced}
    came.incidents = {
        (one.id, one.episode, one.phase, one.resolution, one.helped)
        for one in await store.incidents(open_only=False, limit=MAX_ROWS)
        if one.deployment
    }
    came.clears, came.duplicate_clears = place.state.clears, place.state.duplicate_clears
    came.people = place.receiver.counters()


def _is_compared(row: ActionRow) -> bool:
    """Retries, pages and first messages; how often a message was edited depends on when its first post was done."""
    params = row.action.params
    return isinstance(params, Retry | Page) or (isinstance(params, Message) and not params.ref)


def _what(params: Params) -> str:
    """'trigger', 'resolve', 'post', or the attempts that a retry is for."""
    if isinstance(params, Retry):
        return str([(task.task_id, task.map_index, task.try_number) for task in params.tasks])
    return params.event_action if isinstance(params, Page) else "post"


def _dag_of(params: Params) -> str:
    if isinstance(params, Page | Message):
        return params.incident.dag_id
    return params.dag_id if isinstance(params, Retry) else ""


def _name(fact: Fact) -> str:
    """As `crash_history.ends` names the same event."""
    event = fact.event
    job = event.dag_id if event.task_id is None else f"{event.dag_id}.{event.task_id}"
    return f"{job}/{FACT_KINDS[event.type.rpartition('.')[2]]}/{format_instant(event.time).replace('Z', '+00:00')}"


async def whole_journal(store: Store, after: int = 0) -> list[Entry]:
    """Every entry after a position."""
    entries: list[Entry] = []
    while found := await store.read_journal(after, 5_000):
        entries += found
        after = found[-1].position
    return entries


def report(came: Came) -> str:
    """One line for people."""
    moved = sum(1 for one, other in zip(came.heads, came.heads[1:], strict=False) if other > one)
    return json.dumps({"seconds": round(came.seconds, 1), "kills": len(came.heads), "lives_with_progress": moved})
