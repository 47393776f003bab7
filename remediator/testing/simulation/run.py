"""One seed from beginning to verdict, and its story for a reader."""

from __future__ import annotations

from remediator.model.time import SECOND, Instant
from remediator.testing.simulation.checks import check, nothing_left
from remediator.testing.simulation.layout import START, Parts
from remediator.testing.simulation.plant import Plant

FULL_REST_EVERY = 4
"""Of so many seeds one rests to the end, to see whether what is settled stays so."""


def run_seed(seed: int, parts: Parts | None = None) -> list[str]:
    """The violations of one seed; an exception in the simulated code is one of them."""
    return _run(Plant(seed, parts))


def repeat_with(seed: int) -> str:
    """The command that runs this seed again."""
    return f"python -m remediator.testing.simulation --first {seed} --seeds 1"


def story(seed: int) -> tuple[list[str], list[str]]:
    """(what happened, one line each, by virtual time; the violations)."""
    plant = Plant(seed)
    violations = _run(plant)
    lines = list(plant.happened)
    lines += [
        (one.at, f"#{one.position} {one.key} {one.reason}: {one.text} [{one.rule} {one.incident[:8]} "
                 f"{one.action_id[:8]}]")
        for one in plant.data.decisions
    ]  # fmt: skip
    for name, scheduler in plant.schedulers.items():
        lines += [
            (at, f"    {name} cleared: {dag_id}/{run_id}/{task_id} try {tried} by {who[:8]}")
            for at, dag_id, run_id, task_id, tried, who in scheduler.clears
        ]
    for key, times in plant.pager.triggered.items():
        lines += [(at, f"    the pager rang: {key[:8]}…{key[-2:]}") for at in times]
    return [f"{_when(at)} {text}" for at, text in sorted(lines, key=lambda line: line[0])], violations


def _run(plant: Plant) -> list[str]:
    try:
        plant.run((lambda: not nothing_left(plant)) if plant.seed % FULL_REST_EVERY else (lambda: False))
    except Exception as error:  # whatever it is, it is what this seed has found
        return [f"{type(error).__name__}: {error}", *check(plant)[:3]]
    finally:
        plant.close()
    return check(plant)


def _when(at: Instant) -> str:
    return f"{(at - START) / SECOND:8.1f}s"
