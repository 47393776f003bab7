"""Runs seeds: `python -m remediator.testing.simulation --seeds 1000 --first 0`. Exit code 1 if a promise broke."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from remediator.testing.simulation.run import run_seed


def main() -> int:
    """Run the seeds on all processors and print what broke."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    began = time.monotonic()
    broken = 0
    seeds = range(given.first, given.first + given.seeds)
    with ProcessPoolExecutor(given.workers) as pool:
        for seed, violations in zip(seeds, pool.map(run_seed, seeds, chunksize=20), strict=True):
            broken += bool(violations)
            for violation in violations:
                print(f"seed {seed}: {violation}")
    took = time.monotonic() - began
    print(f"{given.seeds} seeds, {broken} broken, {took:.1f} s, {given.seeds / took * 60:.0f} seeds/min")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
