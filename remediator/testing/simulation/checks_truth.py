"""What the story says of retries, checked against what the stand-in scheduler saw of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remediator.engine.state import task_key
from remediator.model.action import Retry, RetryTarget
from remediator.model.inputs import Entry, Fact
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Instant
from remediator.testing.simulation.outside import name_of
from remediator.testing.simulation.plant import Plant
from remediator.testing.simulation.runs import Instance


def tells_the_truth(plant: Plant, entries: list[Entry]) -> list[str]:
    """P6: what the story says of a retry is what the scheduler saw of it; an observing rule never responds."""
    found = []
    failed = _failures_read(entries)
    for one in plant.data.decisions:
        if one.reason is Reason.HELPED and not _any_target(plant, one, _had_success):
            found.append(f"P6 {one.action_id} is said to have helped: {one.text}")
        if one.reason is Reason.HELPED and _any_target(plant, one, _was_marked) and _known(plant, one, failed):
            found.append(f"P6 {one.action_id} is said to have helped, but a person set it so: {one.text}")
        if one.reason is Reason.DID_NOT_HELP and one.action_id and not _any_target(plant, one, _had_failed):
            found.append(f"P6 {one.action_id} is said not to have helped: {one.text}")
        if one.reason is Reason.RULE_RESPONDS and one.rule == "observer":
            found.append(f"P5 the observing rule responds to {one.incident}")
    found += [f"P5 the observing rule retries: {action_id}" for action_id, _, retry in _retries(plant)
              if "observer" in retry.why]  # fmt: skip
    return found


def _any_target(plant: Plant, one: Decision, holds: Callable[[Instance, RetryTarget, Instant], bool]) -> bool:
    row = plant.data.outbox.get(one.action_id)
    if row is None:
        return False
    if not isinstance(row.action.params, Retry):
        return holds is not _was_marked  # a rerun's proof is in no single attempt
    retry, scheduler = row.action.params, plant.schedulers[row.action.target]
    targets = [target for target in retry.tasks if one.text.startswith(f"{name_of(target)} ")]
    instances = [scheduler.instance(retry.dag_id, retry.run_id, name_of(target)) for target in targets]
    return any(
        instance is not None and holds(instance, target, one.at)
        for instance, target in zip(instances, targets, strict=True)
    )


def _had_success(instance: Instance, target: RetryTarget, at: Instant) -> bool:
    """It succeeded by then at a try that the clear gave it: nobody cleared, or marked, a later one in between."""
    return any(
        when <= at and state == "success" and tried > target.try_number and _is_of_clear(instance, target, tried)
        for when, state, tried in instance.story
    )


def _was_marked(instance: Instance, target: RetryTarget, at: Instant) -> bool:
    done = [tried for when, state, tried in instance.story if when <= at and state == "success"]
    return bool(done) and done[-1] in instance.marked


def _failures_read(entries: list[Entry]) -> dict[tuple[object, ...], int]:
    """(deployment, dag_id, run_id, task_id) -> where the journal first says that a try failed, by try."""
    events = ((entry.position, entry.input.event) for entry in entries if isinstance(entry.input, Fact))
    found: dict[tuple[object, ...], int] = {}
    for position, event in events:
        if event.type == "task.failed":
            name = task_key(event.task_id or "", event.map_index)
            place = event.deployment, event.dag_id, event.run_id, name, event.try_number
            found.setdefault(place, position)
    return found


def _known(plant: Plant, one: Decision, failed: dict[tuple[object, ...], int]) -> bool:
    """Had the journal said by then that the try which was set to success had failed?"""
    action = plant.data.outbox[one.action_id].action
    if not isinstance(action.params, Retry):
        return False
    place = action.target, action.params.dag_id, action.params.run_id
    for task_id in {name_of(target) for target in action.params.tasks if one.text.startswith(f"{name_of(target)} ")}:
        instance = plant.schedulers[action.target].instance(*place[1:], task_id)
        last = instance.story[-1][2] if instance is not None else 0
        if failed.get((*place, task_id, last), one.position) < one.position:
            return True
    return False


def _is_of_clear(instance: Instance, target: RetryTarget, tried: int) -> bool:
    between = any(target.try_number < cleared < tried for cleared in instance.cleared)
    return bool(instance.cleared.get(target.try_number, set()) - {"person"}) and not between


def _had_failed(instance: Instance, target: RetryTarget, at: Instant) -> bool:
    """It failed at a later try by then, or was still failed at the one that was to be cleared."""
    failed = [tried for when, state, tried in instance.story if when <= at and state == "failed"]
    tries = [tried for when, _, tried in instance.story if when <= at]
    return max(failed, default=0) > target.try_number or max(tries, default=0) == target.try_number in failed


def _retries(plant: Plant) -> Iterator[tuple[str, str, Retry]]:
    """(action id, deployment, params) of every retry that was ever wanted."""
    for row in plant.data.outbox.values():
        if isinstance(row.action.params, Retry):
            yield row.action.id, row.action.target, row.action.params
