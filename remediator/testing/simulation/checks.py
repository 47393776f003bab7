"""What must hold: the promises, checked against what the stand-ins saw, never against what remediator believes."""

from __future__ import annotations

from collections import Counter
from random import Random

from remediator.engine.core import Changes, Core
from remediator.engine.incident import incident_id
from remediator.model.action import QUESTIONS, Retry
from remediator.model.event import TERMINAL, Event
from remediator.model.incident import Phase
from remediator.model.inputs import Entry, Fact
from remediator.model.policy import Mode
from remediator.store.chunks import entries_after
from remediator.testing.simulation.plant import FEED, MAX_ATTEMPTS, PER_HOUR, TOPIC, Plant


def check(plant: Plant) -> list[str]:
    """Every violation of the promises in a plant that has settled."""
    entries = entries_after(plant.data.journal, 0)
    found = list(plant.violations)
    found += nothing_lost(plant, entries)
    found += effects_once(plant)
    found += only_what_failed_is_told(plant)
    found += nothing_left(plant)
    found += replays(plant, entries)
    found += brakes_held(plant)
    return found


def _identity(event: Event) -> tuple[object, ...]:
    return (event.type, event.namespace, event.dag_id, event.run_id, event.task_id, event.try_number, event.time)


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
    facts = Counter(_identity(entry.input.event) for entry in entries if isinstance(entry.input, Fact))
    sent = Counter(_identity(event) for event in plant.sent if event.type in TERMINAL)
    if facts != sent:
        found.append(f"P1 facts differ from what was sent: missing {sent - facts}, extra {facts - sent}")
    if len(plant.data.dead) != plant.garbage:
        found.append(f"P1 {len(plant.data.dead)} dead letters of {plant.garbage}")
    return found


def effects_once(plant: Plant) -> list[str]:
    """P2: a clear touches the attempt that was meant, once; a message is posted once."""
    found = []
    retries = {row.action.id: row.action.params for row in plant.data.outbox.values()
               if isinstance(row.action.params, Retry)}  # fmt: skip
    for name, scheduler in plant.schedulers.items():
        seen: Counter[tuple[str, ...]] = Counter()
        for _, _, run_id, task_id, tried, who in scheduler.clears:
            if who == "person":
                continue
            seen[who, run_id, task_id] += 1
            meant = {task.task_id: task.try_number for task in retries[who].tasks} if who in retries else {}
            if who not in retries:
                found.append(f"P2 {name}: a clear by the unknown action {who}")
            elif task_id in meant and meant[task_id] != tried:
                found.append(f"P2 {name}: {who} meant try {meant[task_id]} of {run_id}/{task_id}, cleared {tried}")
        found += [f"P2 {name}: {key} cleared {count} times" for key, count in seen.items() if count > 1]
    posts = Counter(action_id for action_id, _ in plant.chat.messages)
    found += [f"P2 message {action_id} was posted {count} times" for action_id, count in posts.items() if count > 1]
    found += [f"P2 {key} was resolved but never triggered" for key in plant.pager.resolved
              if key not in plant.pager.triggered and not _cancelled(plant, key)]  # fmt: skip
    return found


def _cancelled(plant: Plant, dedup_key: str) -> bool:
    """A page that was taken back before it was sent is resolved all the same, which is harmless."""
    return any(
        getattr(row.action.params, "dedup_key", "") == dedup_key and row.state in ("refused", "unknown")
        for row in plant.data.outbox.values()
    )


def only_what_failed_is_told(plant: Plant) -> list[str]:
    """P3: a page names a task that did fail finally, one of the daemon's own troubles, or says that it is
    unverified because the scheduler was out of reach."""
    failed = {
        incident_id(name, dag_id, task_id)
        for name, scheduler in plant.schedulers.items()
        for dag_id, _, task_id, _ in scheduler.failed_finally
    }
    own = {incident.id for incident in plant.data.incidents.values() if incident.rule.startswith("self.")}
    own |= {one.incident for one in plant.data.decisions if "unverified" in one.text}
    paged = {key.rsplit("-", 1)[0] for key in plant.pager.triggered}
    return [f"P3 paged for {identity}, which never failed finally" for identity in sorted(paged - failed - own)]


def nothing_left(plant: Plant) -> list[str]:
    """What is failed at the end has been told to a person; what is well has no open incident."""
    found = []
    open_now = {one.id: one for one in plant.data.incidents.values() if one.phase is not Phase.RESOLVED}
    left = set()
    for name, scheduler in plant.schedulers.items():
        for dag_id, run_id, task_id, tried in scheduler.left():
            identity = incident_id(name, dag_id, task_id)
            left.add(identity)
            incident = open_now.get(identity)
            if incident is None:
                if scheduler.succeeded_later(dag_id, run_id, task_id):
                    continue  # a later success of the same task ends its incident
                found.append(f"nobody knows of {name}/{dag_id}/{run_id}/{task_id} try {tried}")
            elif f"{identity}-{incident.episode}" not in plant.pager.triggered:
                found.append(f"nobody was paged for {name}/{dag_id}/{run_id}/{task_id} try {tried}")
    for identity, incident in open_now.items():
        if identity not in left and not incident.rule.startswith("self."):
            found.append(f"incident {incident.title} is open, but nothing is failed: {incident.status}")
    return found


def replays(plant: Plant, entries: list[Entry]) -> list[str]:
    """P4: the journal gives the same bytes again, however it is cut."""
    random = Random(plant.seed)  # noqa: S311
    core = Core(0, {}, {plant.rules.hash: plant.rules}.__getitem__)
    changes: list[Changes] = []
    states: dict[str, bytes | None] = {}
    start = 0
    while start < len(entries):
        cut = entries[start : start + random.randrange(1, 60)]
        core.load(core.keys_needed(cut), {})
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


def brakes_held(plant: Plant) -> list[str]:
    """P5: ceilings, attempts and budgets hold to the unit."""
    found = []
    for name, scheduler in plant.schedulers.items():
        ours = [clear for clear in scheduler.clears if clear[5] != "person"]
        if ours and plant.ceilings[name] is not Mode.ACT:
            found.append(f"P5 {name} allows no changes, and {len(ours)} were made")
        by_task = Counter(
            (dag_id, task_id) for _, dag_id, _, task_id, _, who in ours if _is_target(plant, who, task_id)
        )
        found += [f"P5 {key} was cleared {n} times within an hour" for key, n in by_task.items() if n > PER_HOUR]
        by_run = Counter((run_id, task_id) for _, _, run_id, task_id, _, who in ours if _is_target(plant, who, task_id))
        found += [f"P5 {key} was cleared {n} times" for key, n in by_run.items() if n > MAX_ATTEMPTS]
    return found


def _is_target(plant: Plant, action_id: str, task_id: str) -> bool:
    row = plant.data.outbox.get(action_id)
    params = row.action.params if row is not None else None
    return isinstance(params, Retry) and any(task.task_id == task_id for task in params.tasks)
