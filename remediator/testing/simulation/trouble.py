"""What will happen to a plant, by its seed: dagruns, outages, freezes, people, rebalances, a dead broker.

Owns the choice; the plant lets it happen.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from remediator.model.time import MINUTE, SECOND
from remediator.testing.simulation.features import CHANGE_ERRORS
from remediator.testing.simulation.layout import START, TROUBLE
from remediator.testing.simulation.runs import Plan

if TYPE_CHECKING:
    from remediator.testing.simulation.plant import Plant


def plan_trouble(plant: Plant) -> None:
    """What will happen, by the seed."""
    random = plant.random
    for number in range(random.randrange(3, 9)):
        scheduler = plant.schedulers[random.choice(sorted(plant.schedulers))]
        plans = [_plan(plant) for _ in range(random.randrange(1, 4))]
        dag_id = f"dag{random.randrange(3)}"
        wait = random.randrange(0, 4 * MINUTE)
        scheduler.trigger(dag_id, f"run{number}", plans, wait)
    for number in range(random.choice([0, 0, 0, 3])):
        plans = [Plan(99), *(_plan(plant) for _ in range(random.randrange(2)))]
        plant.schedulers["alpha"].trigger("storm", f"storm{number}", plans, random.randrange(0, 4 * MINUTE))
    if plant.features.mapped:
        wide = Plan(random.choice([1, 2, 99]), indexes=plant.features.mapped)
        plant.schedulers["alpha"].trigger("wide", "wide0", [wide, Plan(0)], random.randrange(0, 3 * MINUTE))
    for _ in range(random.randrange(0, 3)):
        _plan_outage(plant, random.choice(["alpha", "beta", "pager", "chat", "people"]))
    for _ in range(random.randrange(0, 4)):
        plant.at(START + random.randrange(TROUBLE), plant.person)
    if random.random() < 0.25:
        _plan_freezes(plant)
    for _ in range(random.randrange(0, 3)):
        plant.at(START + random.randrange(TROUBLE), plant.rebalance)
    if random.random() < 0.35:
        _plan_dead_broker(plant)


def _plan_freezes(plant: Plant) -> None:
    at = plant.random.randrange(TROUBLE // 2)
    for _ in range(plant.random.randrange(1, 4)):
        if at >= TROUBLE:
            return
        plant.at(START + at, lambda: plant.press("freeze"))
        at += plant.random.randrange(SECOND, TROUBLE // 2)
        plant.at(min(START + at, START + TROUBLE), lambda: plant.press("thaw"))
        at += plant.random.randrange(SECOND, TROUBLE // 8)


def _plan_dead_broker(plant: Plant) -> None:
    begin = plant.random.randrange(TROUBLE // 2)
    end = begin + plant.random.randrange(TROUBLE // 2)
    plant.at(START + begin, lambda: plant.reach(False))
    if plant.random.random() < 0.5 and not plant.features.restores:
        plant.at(START + end, plant.drop)
    plant.at(START + end, lambda: plant.reach(True))


def _plan(plant: Plant) -> Plan:
    random = plant.random
    if plant.features.changes and random.random() < 0.4:
        return Plan(random.choice([1, 1, 2, 99]), error=random.choice(CHANGE_ERRORS))
    return _usual_plan(random)


def _usual_plan(random: Random) -> Plan:
    shape = random.randrange(7)
    if shape <= 1:
        return Plan(0)
    if shape == 2:
        return Plan(1, retries=1)
    if shape == 3:
        return Plan(random.randrange(1, 4))
    if shape == 4:
        return Plan(99, error="KeyError: 'customer_id'")
    if shape == 5:
        return Plan(random.choice([1, 99]), silent=True)
    return Plan(random.choice([2, 3, 99]), retries=1)


def _plan_outage(plant: Plant, target: str) -> None:
    begin = plant.random.randrange(TROUBLE)
    length = plant.random.randrange(10 * SECOND, 4 * MINUTE)
    plant.at(START + begin, lambda: plant.network.down.add(target))
    plant.at(min(START + begin + length, START + TROUBLE), lambda: plant.network.down.discard(target))
