"""Watches executors at work: what is in flight beside what, and whether a restored outbox is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remediator.model.action import Action
from remediator.model.outcome import Outcome

if TYPE_CHECKING:
    from remediator.testing.simulation.plant import Plant


class LaneWatch:
    """Wraps an executor; notes when two actions of one lane are in flight under claims that are alive."""

    def __init__(self, inner: Any, plant: Plant) -> None:
        self.guarantee = inner.guarantee
        self._inner = inner
        self._plant = plant

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        plant = self._plant
        if plant.crowd.is_old(action.id):
            plant.violations.append(f"P2 {action.id} from before the restore is sent")
        flying = plant.flying.setdefault(action.lane, {})
        for other, until in flying.values():
            if plant.clock.now < until:
                plant.violations.append(f"P2 lane {action.lane}: {action.id} while {other} is in flight")
        flight = plant.flights = plant.flights + 1
        flying[flight] = action.id, plant.data.outbox[action.id].until
        try:
            outcome: Outcome = await self._inner.perform(action, uncertain=uncertain)
            return outcome
        finally:
            del flying[flight]

    async def prove(self, action: Action) -> Outcome:
        """What became of it."""
        outcome: Outcome = await self._inner.prove(action)
        return outcome
