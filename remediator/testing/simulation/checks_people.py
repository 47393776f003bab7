"""What must hold where people take part: answers, pauses, maintenance, page budgets, restores, and taking back.

Checked against what the stand-ins saw, as in checks.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from remediator.actions.airflow.verdict import LOOK_VALID, SEND_VALID
from remediator.engine.incident import incident_id
from remediator.model.action import Action, Pause, Pool, Retry
from remediator.model.incident import Incident
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.runtime.dispatcher import GO_VALID
from remediator.testing.simulation.layout import START, WATCHED
from remediator.testing.simulation.plant import Plant
from remediator.testing.simulation.runs import Changed
from remediator.testing.simulation.scheduler import Scheduler

LOOKS_PER_MINUTE = 31
"""Of one dagrun: not more than one every `look_delay`, whatever happens in it."""
READ_LATE: Duration = 250 * SECOND
"""How long after it was said an answer may be read at the latest."""
SEEN_LATE: Duration = 30 * SECOND
"""How long a change may still go by a look from before a pause, if maintenance or a cap did not put it off."""


def unseen(plant: Plant) -> Duration:
    """How long a process that stands still may act on what it saw: the store's go, its look, the wait for its turn."""
    return GO_VALID + LOOK_VALID + SEND_VALID if plant.odds.stall else 0


def check_people(plant: Plant) -> list[str]:
    """Every violation."""
    return [
        *approved_only(plant),
        *paused_is_respected(plant),
        *quiet_in_maintenance(plant),
        *never_means_never(plant),
        *pages_within_budget(plant),
        *taken_back_once(plant),
        *breakers_let_little_through(plant),
        *looks_are_few(plant),
    ]


def ever_wanted(plant: Plant) -> dict[str, Action]:
    """Every action that any outbox held, also one that a restore forgot."""
    kept = (*plant.crowd.forgotten, plant.data)
    return {row.action.id: row.action for data in kept for row in data.outbox.values()}


def in_digest(plant: Plant, incident: Incident) -> bool:
    """Did people get the incident's page in a digest?"""
    return any(
        incident.title in people.texts.get(one.id, "")
        for one in plant.data.incidents.values()
        if one.rule == "self.page_digest"
        for people in (plant.pager, plant.chat)
    )


def is_left_behind(plant: Plant, incident: Incident) -> bool:
    """Will the incident's task not run again by itself? What failed before it does not, or its DAG stands still, whose
    pause a restore has made us forget."""
    scheduler = plant.schedulers.get(incident.deployment)
    if scheduler is None:
        return False
    instances = scheduler.instances(incident.dag_id, incident.task_id)
    paused = bool(plant.crowd.forgotten) and incident.dag_id in scheduler.paused
    return paused or any(one.state == "upstream_failed" for one in instances)


def _clears(plant: Plant) -> Iterator[tuple[str, Instant, str, str, str, Action]]:
    """(deployment, at, dag_id, run_id, task instance, action) of every clear by us that the store remembers."""
    for name, scheduler in plant.schedulers.items():
        for at, dag_id, run_id, task, _, who in scheduler.clears:
            row = plant.data.outbox.get(who)
            if row is not None:
                yield name, at, dag_id, run_id, task, row.action


def approved_only(plant: Plant) -> list[str]:
    """P5: no attempt is cleared, and no pool resized, without a yes to just that, which nobody gave after a no."""
    found = []
    yes = [one for one in plant.crowd.given
           if one.command == "approve" and one.at <= one.proposal.expires_at + READ_LATE]  # fmt: skip
    done: Counter[tuple[str, str, str]] = Counter()
    for name, at, dag_id, run_id, task, action in sorted(_clears(plant), key=lambda one: one[1]):
        if not _needs_yes(plant, name, action):
            continue
        identity = incident_id(name, dag_id, task.partition("[")[0])
        if isinstance(action.params, Retry):
            of_task = [one for one in yes if (one.incident, one.run_id) == (identity, run_id)]
        else:
            of_task = [one for one in yes if one.run_id == run_id and one.proposal.key == action.key]
        done[identity, run_id, task] += 1
        said = sum(one.at <= at for one in of_task)
        if done[identity, run_id, task] > said:
            found.append(
                f"P5 {name}/{dag_id}/{run_id}/{task} was cleared more often than the {said} times it was approved"
            )
    for name, scheduler in plant.schedulers.items():
        for change in scheduler.changes:
            row = plant.data.outbox.get(change.who)
            if row is None or is_undo(row.action) or not _needs_yes(plant, name, row.action):
                continue
            if not any(one.at <= change.at and one.proposal.key == row.action.key
                       and one.proposal.action == row.action.kind for one in yes):  # fmt: skip
                found.append(f"P5 {name}: {change.thing} was changed without an approval")
    return found


def _needs_yes(plant: Plant, name: str, action: Action) -> bool:
    approves = plant.features.approves
    return approves == name or (approves == "rule" and "lost-connection" in getattr(action.params, "why", ""))


def paused_is_respected(plant: Plant) -> list[str]:
    """P5: what a person has paused is not run again by a change that was decided on after that could be known."""
    put_off = {one.key for one in plant.data.decisions if one.reason in (Reason.MAINTENANCE, Reason.CAPPED)}
    found = []
    for name, at, dag_id, run_id, task, action in _clears(plant):
        late = READ_LATE if plant.odds.stall else SEEN_LATE
        if action.key in put_off:  # it has its turn at a time of its own, on a look that is not too old by then
            late = max(late, plant.spec.policy.look_again_max + SEEN_LATE)
        paused = _paused_since(plant.schedulers[name], dag_id, at)
        if paused is not None and action.not_before > paused + late:
            found.append(f"P5 {name}/{dag_id}/{run_id}/{task} was cleared {(at - paused) // SECOND} s after a pause")
    return found


def _paused_since(scheduler: Scheduler, dag_id: str, at: Instant) -> Instant | None:
    """Since when a person has had it paused at that moment."""
    since = None
    for one in scheduler.changes:
        if one.thing == dag_id and one.at <= at:
            since = one.at if one.after and not one.before and one.who == "person" else since if one.after else None
    return since


def quiet_in_maintenance(plant: Plant) -> list[str]:
    """P5: nothing is changed in a window of maintenance."""
    if plant.features.maintenance is None:
        return []
    grace = unseen(plant)
    begin, end = (START + one for one in plant.features.maintenance)
    scheduler = plant.schedulers["alpha"]
    ours = [(at, f"{run_id}/{task}") for at, _, run_id, task, _, who in scheduler.clears if who != "person"]
    ours += [(one.at, one.thing) for one in scheduler.changes if one.who != "person"]
    return [f"P5 alpha: {what} was changed under maintenance" for at, what in ours if begin + grace <= at < end]


def never_means_never(plant: Plant) -> list[str]:
    """P5: nothing of a tagged DAG is ever cleared by us."""
    return [
        f"P5 {name}/{dag_id}/{run_id}/{task} is never to be run again, and was"
        for name, _, dag_id, run_id, task, _ in _clears(plant)
        if dag_id == plant.features.never
    ]


def pages_within_budget(plant: Plant) -> list[str]:
    """P5: no receiver is woken for more incidents than its route allows within an hour, but for one digest."""
    limit = plant.features.pages_per_hour
    if not limit or plant.crowd.forgotten:
        return []
    digests = {one.id for one in plant.data.incidents.values() if one.rule == "self.page_digest"}
    told = {one.action_id for one in plant.data.decisions if one.reason is Reason.PAGED}
    wanted = {f"{row.action.incident}-" for name, row in plant.data.outbox.items() if name in told}
    found = []
    for receiver, keys in plant.pager.rang.items():
        woken = {
            key for key in keys if key.rpartition("-")[0] not in digests and f"{key.rpartition('-')[0]}-" in wanted
        }
        if len(woken) > limit:
            found.append(f"P5 {receiver} was woken {len(woken)} times, {limit} are allowed")
    return found


def taken_back_once(plant: Plant) -> list[str]:
    """P2: what was changed for a time goes back once, and never over what a person did since."""
    found: list[str] = []
    if plant.crowd.forgotten:
        return found
    for name, scheduler in plant.schedulers.items():
        for thing in {one.thing for one in scheduler.changes}:
            story = [one for one in scheduler.changes if one.thing == thing]
            found += [f"P2 {name}: {text}" for text in _taken_back_once(plant, thing, story)]
    made, undone = (Counter(_thing(row.action) for row in plant.data.outbox.values()
                            if isinstance(row.action.params, Pause | Pool) and row.state in states
                            and is_undo(row.action) is back)
                    for back, states in ((False, ("delivered", "unknown")), (True, ("delivered",))))  # fmt: skip
    found += [f"P2 {thing} was taken back {count} times, and changed {made[thing]} times"
              for thing, count in undone.items() if count > made[thing]]  # fmt: skip
    return found


def is_undo(action: Action) -> bool:
    """Does it take back an earlier change?"""
    return getattr(action.params, "why", "") == "undone"


def _thing(action: Action) -> str:
    params = action.params
    return f"{action.target} {params.pool if isinstance(params, Pool) else getattr(params, 'dag_id', '')}"


def _taken_back_once(plant: Plant, thing: str, story: list[Changed]) -> Iterator[str]:
    ours: Changed | None = None
    for one in story:
        row = plant.data.outbox.get(one.who)
        if row is None:
            ours = None if one.before != one.after else ours
        elif not is_undo(row.action):
            ours = one if one.before != one.after else ours
        elif ours is None:
            yield f"{thing} is taken back to {one.after} over what a person did, or twice"
        elif one.after != ours.before:
            yield f"{thing} is taken back to {one.after}, it was {ours.before}"
        else:
            ours = None
    if ours is not None and not _is_excused(plant, ours):
        yield f"{thing} was changed to {ours.after} for a time, and never back to {ours.before}"


def _is_excused(plant: Plant, ours: Changed) -> bool:
    """Were people told that it cannot be taken back?"""
    row = plant.data.outbox[ours.who]
    told = any(one.rule == "self.undo_failed" for one in plant.data.incidents.values())
    return told or row.state != "delivered"


def breakers_let_little_through(plant: Plant) -> list[str]:
    """P5: while a breaker is open, one change after the other may be in vain, and no two within one rest."""
    opened: dict[str, Instant] = {}
    found: list[str] = []
    if plant.features.approves or plant.crowd.forgotten:
        return found
    rest = plant.spec.policy.breaker_rest
    for one in plant.data.decisions:
        if one.reason is Reason.BREAKER_OPEN and one.incident and "waits from now on" in one.text:
            opened[one.rule] = one.at
        elif one.reason is Reason.BREAKER_CLOSED or (one.reason is Reason.APPROVED and "/" in one.text):
            since = opened.pop(one.rule or one.text.partition("/")[0], None)
            if since is not None:
                found += _vain_within(plant, one.rule or one.text.partition("/")[0], since, one.at, rest)
    for rule, since in opened.items():
        found += _vain_within(plant, rule, since, plant.clock.now, rest)
    return found


def _vain_within(plant: Plant, rule: str, since: Instant, until: Instant, rest: Duration) -> list[str]:
    vain = {
        action.id
        for name, at, dag_id, run_id, task, action in _clears(plant)
        if getattr(action.params, "why", "") == rule and since < action.not_before < until
        and _failed_again(plant.schedulers[name], dag_id, run_id, task, at, until)
    }  # fmt: skip
    most = 1 + (until - since) // rest
    return [f"P5 {rule}: {len(vain)} changes in vain while it was open, {most} may be"] if len(vain) > most else []


def _failed_again(scheduler: Scheduler, dag_id: str, run_id: str, task: str, at: Instant, until: Instant) -> bool:
    instance = scheduler.instance(dag_id, run_id, task)
    return instance is not None and any(at < when < until and state == "failed" for when, state, _ in instance.story)


def looks_are_few(plant: Plant) -> list[str]:
    """P5: the scheduler is not asked about one dagrun over and over.

    Reads count, not looks: what was wanted of one dagrun while no dispatcher ran is claimed together and read once.
    """
    return [
        f"P5 {name}/{dag_id}/{run_id} was looked at {count} times in minute {minute - START // MINUTE}"
        for (name, dag_id, run_id, minute), count in plant.looks.items()
        if count > LOOKS_PER_MINUTE and name != WATCHED
    ]
