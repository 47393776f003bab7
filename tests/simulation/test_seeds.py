"""The promises under seeded faults: crashes, stalls, dead brokers, lost answers, rebalances, people at work."""

from __future__ import annotations

import pytest

from remediator.testing.simulation.run import repeat_with, run_seed, story

BLOCKS = 12
SEEDS_PER_BLOCK = 100


@pytest.mark.parametrize("block", range(BLOCKS))
def test_promises_hold(block: int) -> None:
    first = block * SEEDS_PER_BLOCK
    broken = {seed: found for seed in range(first, first + SEEDS_PER_BLOCK) if (found := run_seed(seed))}
    assert not broken, "\n".join(f"{repeat_with(seed)} --verbose\n  {found}" for seed, found in broken.items())


def test_a_seed_is_repeatable() -> None:
    assert story(7) == story(7)
