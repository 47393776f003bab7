"""Is the scheduler about to end a dagrun? What is cleared while it does so stays cleared: nobody runs it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.actions.airflow.rows import DagRunRow, instant_of
from remediator.model.outcome import RetryAfter
from remediator.model.time import MINUTE, SECOND, Duration

RUNNING = "running"
IN_FLIGHT = ("running", "queued", "scheduled", "up_for_retry", "up_for_reschedule", "deferred", "restarting")
"""States of task instances of which one keeps its dagrun from ending; every version of Airflow knows them all."""
PASS: Duration = 3 * SECOND
"""When to look again: a scheduler passes over its dagruns about once a second."""
SETTLED: Duration = MINUTE
"""A dagrun that its scheduler still leaves running so long after a failure waits for something else."""


def may_be_ending(run: DagRunRow | None, failed_at: Iterable[str | None] = ()) -> bool:
    """May the scheduler be just ending it, so that it has to be asked what is in flight?

    failed_at: when what is to be cleared failed. The clocks of workers and scheduler may differ, by less than SETTLED.
    """
    if run is None or run.state != RUNNING:
        return False
    passed = instant_of(run.last_scheduling_decision)
    ends = [instant for text in failed_at if (instant := instant_of(text)) is not None]
    return passed is None or not ends or passed < max(ends) + SETTLED


def wait(*, uncertain: bool) -> RetryAfter:
    """Nothing was sent by this call."""
    return RetryAfter(PASS, "the scheduler is about to end the dagrun", uncertain=uncertain)
