"""How the scheduler works through a backfill: so many dagruns at once, over when they all are. Pure."""

from __future__ import annotations

from remediator.demo.fleet.state import FINISHED, DagRun, FleetState
from remediator.model.time import Instant


def runs_of(state: FleetState, number: int) -> list[DagRun]:
    """The dagruns that a backfill created or cleared."""
    return [run for run in state.runs.values() if run.backfill == number]


def may_begin(state: FleetState, run: DagRun) -> bool:
    """May a queued dagrun begin, as far as its backfill is concerned?"""
    known = state.backfills.get(run.backfill) if run.backfill is not None else None
    if known is None or run.state != "queued":
        return True
    return sum(each.state == "running" for each in runs_of(state, known.id)) < known.max_active_runs


def complete(state: FleetState, now: Instant) -> None:
    """Close what has no dagrun left to do."""
    for known in state.backfills.values():
        if known.completed_at is None and all(run.state in FINISHED for run in runs_of(state, known.id)):
            known.completed_at = known.updated_at = now
