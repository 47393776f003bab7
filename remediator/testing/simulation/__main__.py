"""Runs seeds: `python -m remediator.testing.simulation --seeds 1000 --first 0`. Exit code 1 if a promise broke.

`--first S --seeds 1 --verbose` tells the story of one seed, in virtual time.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from remediator.testing.simulation.run import repeat_with, run_seed, story


def main() -> int:
    """Run the seeds on all processors and print what broke."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print the story of each seed")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    return _tell(seeds) if given.verbose else _run(seeds, given.workers)


def _tell(seeds: range) -> int:
    broken = 0
    for seed in seeds:
        lines, violations = story(seed)
        print(f"seed {seed}", *lines, *(f"BROKEN {violation}" for violation in violations), sep="\n")
        broken += bool(violations)
    return 1 if broken else 0


def _run(seeds: range, workers: int) -> int:
    began = time.monotonic()
    broken = 0
    with ProcessPoolExecutor(workers) as pool:
        for seed, violations in zip(seeds, pool.map(run_seed, seeds, chunksize=20), strict=True):
            broken += bool(violations)
            for violation in violations:
                print(f"seed {seed}: {violation}")
            if violations:
                print(f"  again: {repeat_with(seed)} --verbose")
    took = time.monotonic() - began
    print(f"{len(seeds)} seeds, {broken} broken, {took:.1f} s, {len(seeds) / took * 60:.0f} seeds/min")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
