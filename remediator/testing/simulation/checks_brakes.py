"""What must hold of ceilings, attempts, budgets, the rate of changes and the freeze, by the scheduler's own record."""

from __future__ import annotations

from collections import Counter

from remediator.model.action import CHANGES_TARGET, Retry
from remediator.model.policy import Mode
from remediator.model.time import MINUTE, SECOND
from remediator.testing.simulation.checks_people import is_undo, unseen
from remediator.testing.simulation.layout import CHANGES_PER_MINUTE, MAX_ATTEMPTS, PER_HOUR, WATCHED
from remediator.testing.simulation.outside import name_of
from remediator.testing.simulation.plant import Plant
from remediator.testing.simulation.scheduler import Scheduler


def brakes_held(plant: Plant) -> list[str]:
    """P5: ceilings, attempts, budgets and the freeze hold to the unit."""
    found = []
    for name, scheduler in plant.schedulers.items():
        ours = [clear for clear in scheduler.clears if clear[5] != "person"]
        if ours and (name == WATCHED or plant.ceilings[name] is Mode.OBSERVE):
            found.append(f"P5 {name} allows no changes, and {len(ours)} were made")
        found += _frozen_changes(plant, name, scheduler)
        issued = sorted(row.action.not_before for row in plant.data.outbox.values()
                        if row.action.kind in CHANGES_TARGET and row.action.target == name
                        and not is_undo(row.action))  # fmt: skip
        crowded = [at for at, later in zip(issued, issued[CHANGES_PER_MINUTE:], strict=False) if later < at + MINUTE]
        found += [f"P5 {name}: more than {CHANGES_PER_MINUTE} changes in the minute from {at}" for at in crowded]
        targets = {(dag_id, task_id.partition("[")[0], who) for _, dag_id, _, task_id, _, who in ours
                   if _is_target(plant, who, task_id)}  # fmt: skip
        by_task = Counter((dag_id, task_id) for dag_id, task_id, _ in targets)
        found += [f"P5 {key} was cleared {n} times within an hour" for key, n in by_task.items() if n > PER_HOUR]
        by_run = Counter((run_id, task_id) for _, _, run_id, task_id, _, who in ours if _is_target(plant, who, task_id))
        found += [f"P5 {key} was cleared {n} times" for key, n in by_run.items() if n > MAX_ATTEMPTS]
    return found


def _frozen_changes(plant: Plant, name: str, scheduler: Scheduler) -> list[str]:
    """No call begins under a freeze; only a process that stood still within one can end it a little later."""
    grace = unseen(plant)
    done = [(at, who, f"cleared {run_id}/{task}") for at, _, run_id, task, _, who in scheduler.clears]
    done += [(one.at, one.who, f"changed {one.thing}") for one in scheduler.changes]
    return [
        f"P5 {name}: {who} {what} {(at - begin) / SECOND:.1f} s after the freeze"
        for at, who, what in done
        for begin, end in plant.froze
        if who != "person" and begin + grace < at < end
    ]


def _is_target(plant: Plant, action_id: str, task_id: str) -> bool:
    row = plant.data.outbox.get(action_id)
    params = row.action.params if row is not None else None
    return isinstance(params, Retry) and any(name_of(task) == task_id for task in params.tasks)
