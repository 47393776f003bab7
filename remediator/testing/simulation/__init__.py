"""A deterministic simulation: the real runtime on stores, feeds and schedulers in memory, under seeded faults.

`python -m remediator.testing.simulation --seeds 1000` runs it; every seed is repeatable.
"""
