"""What must hold: the promises, checked against what the stand-ins saw, never against what remediator believes."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

from remediator.engine.core import Changes, Core
from remediator.engine.incident import incident_id
from remediator.model.action import QUESTIONS, Action, Message, Retry
from remediator.model.event import TERMINAL, Event
from remediator.model.incident import Phase
from remediator.model.inputs import Entry, Fact, Gap, Input, Looked, Performed, Surveyed, Swept
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, Duration, Instant
from remediator.store.chunks import entries_after
from remediator.testing.simulation.checks_brakes import brakes_held
from remediator.testing.simulation.checks_people import check_people, ever_wanted, in_digest, is_left_behind
from remediator.testing.simulation.checks_truth import tells_the_truth
from remediator.testing.simulation.layout import FEED, TOPIC, WATCHED
from remediator.testing.simulation.outside import name_of
from remediator.testing.simulation.plant import Plant

CAUGHT_UP: Duration = 60 * SECOND
"""A feed that counts as caught up has read all that was appended so long ago: `behind_after`, lateness, and slack."""
STALE_PAGE: Duration = 200 * SECOND
"""A page may be decided at most so long after the last moment in which its task was failed."""


def check(plant: Plant) -> list[str]:
    """Every violation of the promises in a plant that has settled."""
    entries = entries_after(plant.data.journal, 0)
    found = list(plant.violations)
    found += nothing_lost(plant, entries)
    found += effects_once(plant, entries)
    found += only_what_failed_is_told(plant)
    found += told_in_time(plant)
    found += told_by_what_was_read(plant, entries)
    found += tells_the_truth(plant, entries)
    found += nothing_left(plant)
    found += replays(plant, entries)
    found += brakes_held(plant)
    found += check_people(plant)
    return found


def _identity(event: Event) -> tuple[object, ...]:
    return (event.type, event.namespace, event.dag_id, event.run_id, event.task_id, event.map_index, event.try_number,
            event.time)  # fmt: skip


def nothing_lost(plant: Plant, entries: list[Entry]) -> list[str]:
    """P1: each record read once; each terminal event a fact, each unreadable one a dead letter."""
    found = []
    if [entry.position for entry in entries] != list(range(1, plant.data.head + 1)):
        found.append("P1 journal positions have holes or repeats")
    if plant.data.position != plant.data.head:
        found.append(f"P1 the controller stands at {plant.data.position} of {plant.data.head}")
    for partition in range(plant.topic.partitions):
        stored = plant.data.progress.get((FEED, TOPIC, partition))
        if stored != plant.topic.end(partition):
            found.append(f"P1 partition {partition} read to {stored} of {plant.topic.end(partition)}")
    found += _facts_are_complete(plant, entries)
    letters = {(letter.partition, letter.offset) for _, letter in plant.data.dead}
    garbage = {place for place, event in plant.sent.items() if event is None}
    if len(letters) != len(plant.data.dead) or letters - garbage or garbage - letters - plant.dropped:
        found.append(f"P1 {len(plant.data.dead)} dead letters of {len(garbage)}")
    return found


def _facts_are_complete(plant: Plant, entries: list[Entry]) -> list[str]:
    """What retention took may be missing, but then its gap is in the journal."""
    facts = Counter(_identity(entry.input.event) for entry in entries if isinstance(entry.input, Fact))
    terminal = {place: event for place, event in plant.sent.items() if event is not None and event.type in TERMINAL}
    sent = Counter(_identity(event) for event in terminal.values())
    gaps = [entry.input for entry in entries if isinstance(entry.input, Gap)]
    told = {(gap.partition, offset) for gap in gaps for offset in range(gap.first, gap.last + 1)}
    lost = Counter(_identity(event) for place, event in terminal.items() if place in told)
    found = []
    if facts != sent - lost:
        found.append(
            f"P1 facts differ from what was sent: missing {sent - lost - facts}, extra {facts - (sent - lost)}"
        )
    if told - plant.dropped:
        found.append(f"P1 the journal tells of gaps that there were not: {sorted(told - plant.dropped)}")
    return found


def _answered(given: Input) -> str:
    """A log is read again when people are told again."""
    return given.action_id if isinstance(given, Looked | Swept | Surveyed | Performed) else ""


def effects_once(plant: Plant, entries: list[Entry]) -> list[str]:
    """P2: a clear touches the attempt that was meant, once; a message is posted once."""
    found = []
    wanted = ever_wanted(plant)
    retries = {action.id: action.params for action in wanted.values() if isinstance(action.params, Retry)}
    for name, scheduler in plant.schedulers.items():
        seen: Counter[tuple[str, ...]] = Counter()
        for _, _, run_id, task_id, tried, who in scheduler.clears:
            if who == "person":
                continue
            seen[who, run_id, task_id] += 1
            meant = {name_of(task): task.try_number for task in retries[who].tasks} if who in retries else {}
            if who not in wanted:
                found.append(f"P2 {name}: a clear by the unknown action {who}")
            elif task_id in meant and meant[task_id] != tried:
                found.append(f"P2 {name}: {who} meant try {meant[task_id]} of {run_id}/{task_id}, cleared {tried}")
        found += [f"P2 {name}: {key} cleared {count} times" for key, count in seen.items() if count > 1]
    outcomes = Counter(_answered(entry.input) for entry in entries)
    found += [
        f"P2 {action_id} has {count} outcomes" for action_id, count in outcomes.items() if action_id and count > 1
    ]
    posts = Counter(action_id for action_id, _ in plant.chat.messages)
    found += [] if plant.crowd.forgotten else _messages_show_the_latest(plant)
    found += [
        f"P2 message {action_id} was posted {count} times"
        for action_id, count in posts.items()
        if count > 1 + len(plant.crowd.forgotten)
    ]
    found += [f"P2 {key} was resolved but never triggered" for key in plant.pager.resolved
              if key not in plant.pager.triggered and not _cancelled(plant, key)]  # fmt: skip
    return found


def _messages_show_the_latest(plant: Plant) -> list[str]:
    """An edit whose outcome is unknown may show or not; nothing older than the latest delivered one may."""
    rows = [row for row in plant.data.outbox.values() if isinstance(row.action.params, Message)]
    latest: dict[str, int] = {}
    for row in rows:
        if row.state == "delivered":
            message = _message_of(row.action)
            latest[message] = max(latest.get(message, 0), row.seq)
    may_show: dict[str, set[str]] = {}
    for row in rows:
        message = _message_of(row.action)
        is_newer = row.state == "unknown" and row.seq > latest.get(message, 0)
        if is_newer or row.seq == latest.get(message):
            may_show.setdefault(message, set()).add(row.action.id)
    return [
        f"P2 message {message} shows an older form than it should"
        for message in latest
        if plant.chat.shown.get(message) not in may_show[message]
    ]


def _message_of(action: Action) -> str:
    """Which posted message a telling is about: the stand-in names a message by the action that posted it."""
    params = action.params
    return (params.ref if isinstance(params, Message) else "") or action.id


def _cancelled(plant: Plant, dedup_key: str) -> bool:
    """A page that was taken back before it was sent is resolved all the same, which is harmless."""
    return any(
        getattr(row.action.params, "dedup_key", "") == dedup_key and row.state in ("refused", "unknown")
        for data in (plant.data, *plant.crowd.forgotten)
        for row in data.outbox.values()
    )


def only_what_failed_is_told(plant: Plant) -> list[str]:
    """P3: a page names a task that did fail finally, one of the daemon's own troubles, or says that it is
    unverified because the scheduler was out of reach."""
    failed = {
        incident_id(name, dag_id, task_id)
        for name, scheduler in plant.schedulers.items()
        for dag_id, _, task_id, _ in scheduler.failed_finally
    }
    paged = {key.rsplit("-", 1)[0] for key in plant.pager.triggered}
    known = failed | _own(plant) | _unverified(plant)
    return [f"P3 paged for {identity}, which never failed finally" for identity in sorted(paged - known)]


def _own(plant: Plant) -> set[str]:
    kept = (plant.data, *plant.crowd.forgotten)
    return {one.id for data in kept for one in data.incidents.values() if one.rule.startswith("self.")}


def _unverified(plant: Plant) -> set[str]:
    decided = (one for data in (plant.data, *plant.crowd.forgotten) for one in data.decisions)
    return {one.incident for one in decided if one.reason is Reason.UNVERIFIED or "unverified" in one.text}


def told_in_time(plant: Plant) -> list[str]:
    """P3: nobody is paged for what is long over, however far behind the feed was."""
    exempt = _own(plant) | _unverified(plant)
    tasks = {incident.id: incident for incident in plant.data.incidents.values()}
    found = []
    for one in plant.data.decisions:
        task = tasks.get(one.incident)
        if one.reason is not Reason.PAGED or task is None or one.incident in exempt:
            continue
        since = plant.schedulers[task.deployment].last_failed(task.dag_id, task.task_id, one.at)
        if since is not None and one.at - since > STALE_PAGE:
            found.append(f"P3 paged for {task.title} {(one.at - since) // SECOND} s after it was over")
    return found


def told_by_what_was_read(plant: Plant, entries: list[Entry]) -> list[str]:
    """P3 without an API: nobody is paged for a failure whose recovery was read by then, or would have been by a feed
    that had caught up."""
    tasks = {one.id: one for one in plant.data.incidents.values() if one.deployment == WATCHED}
    patient = {one.incident for one in plant.data.decisions if one.reason is Reason.HELD_TOO_LONG}
    facts = _facts_of_watched(plant, entries)
    found = []
    for one in plant.data.decisions:
        task = tasks.get(one.incident)
        if one.reason is not Reason.PAGED or task is None:
            continue
        known = 0 if one.incident in patient else one.at - CAUGHT_UP
        failures = [
            fact for fact in facts
            if fact.position <= one.position
            and (fact.event.type, fact.event.dag_id, fact.event.task_id) == ("task.failed", task.dag_id, task.task_id)
        ]  # fmt: skip
        ended = [fact for fact in facts if fact.position <= one.position or fact.appended <= known]
        if not any(_is_failing(failure, ended) for failure in failures):
            found.append(f"P3 paged for {task.title}, whose recovery was known")
    return found


class ReadFact(NamedTuple):
    """A fact at its journal position, and when its record was appended to the topic."""

    position: int
    appended: Instant
    event: Event


def _facts_of_watched(plant: Plant, entries: list[Entry]) -> list[ReadFact]:
    appended: dict[tuple[object, ...], Instant] = {}
    for place, event in plant.sent.items():
        if event is not None and event.namespace == WATCHED:
            appended.setdefault(_identity(event), plant.sent_at[place])
    return [
        ReadFact(entry.position, appended[_identity(entry.input.event)], entry.input.event)
        for entry in entries
        if isinstance(entry.input, Fact) and entry.input.event.deployment == WATCHED
    ]


def _is_failing(failure: ReadFact, read: list[ReadFact]) -> bool:
    return not any(fact.position > failure.position and _ends(fact.event, failure.event) for fact in read)


def _ends(event: Event, failure: Event) -> bool:
    if (event.dag_id, event.run_id) != (failure.dag_id, failure.run_id) or event.time <= failure.time:
        return False
    return event.type == "dagrun.success" or (event.type == "task.success" and event.task_id == failure.task_id)


def nothing_left(plant: Plant) -> list[str]:
    """What is failed at the end has been told to a person; what is well has no open incident."""
    found = []
    open_now = {one.id: one for one in plant.data.incidents.values() if one.phase is not Phase.RESOLVED}
    left = set()
    for name, scheduler in plant.schedulers.items():
        for dag_id, run_id, task_id, tried in scheduler.left():
            if name == WATCHED and not _was_announced(plant, dag_id, run_id, task_id, tried):
                continue
            identity = incident_id(name, dag_id, task_id.partition("[")[0])
            left.add(identity)
            incident = open_now.get(identity)
            if incident is None:
                if scheduler.succeeded_later(dag_id, run_id, task_id):
                    continue  # a later success of the same task ends its incident
                found.append(f"nobody knows of {name}/{dag_id}/{run_id}/{task_id} try {tried}")
            elif f"{identity}-{incident.episode}" not in plant.pager.triggered and not in_digest(plant, incident):
                found.append(f"nobody was paged for {name}/{dag_id}/{run_id}/{task_id} try {tried}")
    for identity, incident in open_now.items():
        if (
            identity not in left
            and not is_left_behind(plant, incident)
            and not incident.rule.startswith("self.")
            and incident.deployment != WATCHED
        ):
            found.append(f"incident {incident.title} is open, but nothing is failed: {incident.status}")
    return found


def _was_announced(plant: Plant, dag_id: str, run_id: str, task_id: str, tried: int) -> bool:
    """Did an event that was read say that this try failed, and that Airflow had no retry left?"""
    return any(
        event is not None
        and (event.namespace, event.type, event.dag_id) == (WATCHED, "task.failed", dag_id)
        and (event.run_id, event.task_id, event.try_number) == (run_id, task_id, tried)
        and tried > (event.retries or 0)
        for place, event in plant.sent.items()
        if place not in plant.dropped
    )


def replays(plant: Plant, entries: list[Entry]) -> list[str]:
    """P4: the journal gives the same bytes again, however it is cut."""
    random = Random(plant.seed)  # noqa: S311
    core = Core(0, {}, {plant.rules.hash: plant.rules}.__getitem__)
    changes: list[Changes] = []
    states: dict[str, bytes | None] = {}
    start = 0
    while start < len(entries):
        cut = entries[start : start + random.randrange(1, 60)]
        changes.append(core.apply(cut))
        states.update(changes[-1].states)
        start += len(cut)
    found = []
    if [one for each in changes for one in each.decisions] != plant.data.decisions:
        found.append("P4 the decisions of a replay differ")
    replayed = {one.id: one for each in changes for one in each.actions if one.kind not in QUESTIONS}
    kept = {row.action.id: row.action for row in plant.data.outbox.values() if row.action.kind not in QUESTIONS}
    if replayed != kept:
        found.append("P4 the actions of a replay differ")
    if {key: body for key, body in states.items() if body is not None} != plant.data.states:
        found.append("P4 the states of a replay differ")
    return found
