"""The promises under seeded faults: crashes, stalls, dead brokers, lost answers, rebalances, people at work."""

from __future__ import annotations

import pytest

from remediator.testing.simulation.run import repeat_with, run_seed, story

SEEDS_PER_BLOCK = 50
FAST = range(0, 200, SEEDS_PER_BLOCK)
MORE = range(200, 1_500, SEEDS_PER_BLOCK)
"""For the full suite: the fast one has to leave room for the others."""


@pytest.mark.parametrize("first", [*FAST, *(pytest.param(first, marks=pytest.mark.slow) for first in MORE)])
def test_promises_hold(first: int) -> None:
    broken = {seed: found for seed in range(first, first + SEEDS_PER_BLOCK) if (found := run_seed(seed))}
    assert not broken, "\n".join(f"{repeat_with(seed)} --verbose\n  {found}" for seed, found in broken.items())


def test_a_seed_is_repeatable() -> None:
    assert story(7) == story(7)
