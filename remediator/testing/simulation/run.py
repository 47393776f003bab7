"""One seed from beginning to verdict."""

from __future__ import annotations

from remediator.testing.simulation.checks import check
from remediator.testing.simulation.plant import Parts, Plant


def run_seed(seed: int, parts: Parts | None = None) -> list[str]:
    """The violations of one seed; an exception in the simulated code is one of them."""
    plant = Plant(seed, parts)
    try:
        plant.run()
    except Exception as error:
        return [f"{type(error).__name__}: {error}", *check(plant)[:3]]
    return check(plant)
