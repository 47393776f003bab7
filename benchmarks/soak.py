"""`make soak`: the simulation for a long time, with a dated report in benchmarks/reports.

Seeds are taken from where no other suite takes them, so that each soak looks at something new.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from remediator import __version__
from remediator.testing.simulation.run import run_seed

REPORTS = Path(__file__).parent / "reports"
CHUNK = 200


def main() -> int:
    """Run chunks of seeds until the time is over; exit code 1 if a promise broke."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    broken: list[str] = []
    done, began = 0, time.monotonic()
    with ProcessPoolExecutor(given.workers) as pool:
        while time.monotonic() - began < given.minutes * 60:
            seeds = range(given.first + done, given.first + done + CHUNK)
            for seed, violations in zip(seeds, pool.map(run_seed, seeds, chunksize=10), strict=True):
                broken += [f"seed {seed}: {violation}" for violation in violations]
            done += CHUNK
    report(given.first, done, time.monotonic() - began, broken)
    return 1 if broken else 0


def report(first: int, done: int, took: float, broken: list[str]) -> None:
    """Print what was found, and keep it under the day's date."""
    today = datetime.now(UTC).date().isoformat()
    lines = [
        f"# Soak of {today}",
        "",
        f"remediator {__version__}, Python {platform.python_version()}, {platform.machine()}.",
        f"{done} seeds from {first} on, {took:.0f} s, {done / took * 60:.0f} seeds a minute, {len(broken)} violations.",
        "",
        *(f"* {text}" for text in broken),
    ]
    text = "\n".join(lines).rstrip() + "\n"
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / f"{today}-soak.md").write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(main())
