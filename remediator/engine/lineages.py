"""Lineages: which other dagrun's success tells that what failed in one is over. Pure.

Airflow says of what kind a dagrun is, and its ids begin with that and end in a time: 'scheduled__2026-11-22T00:00:00'.
"""

from __future__ import annotations

from remediator.engine.state import Case
from remediator.model.event import Event

ALONE = frozenset({"manual", "operator_triggered"})
"""Kinds whose dagruns were each made for a purpose, with a conf of their own: none does another's work."""


def proves(success: Event, run_id: str, case: Case | None, failed_id: str) -> bool:
    """Does the task's success in `run_id` end its failure in the dagrun `failed_id`, another one?

    Only in a later dagrun of the same kind. Kinds that nobody tells are taken to be the same.
    """
    kind = _kind(case.event.run_type if case is not None else None, failed_id)
    if kind in ALONE or kind != _kind(success.run_type, run_id):
        return False
    return not _is_earlier(run_id, failed_id)


def _kind(said: str | None, run_id: str) -> str:
    named, mark, _ = run_id.partition("__")
    return said or (named if mark else "")


def _is_earlier(run_id: str, failed_id: str) -> bool:
    """Is it known to be for an earlier time? A backfill that succeeds repairs nothing of what failed after it."""
    kind, _, at = run_id.partition("__")
    failed_kind, _, failed_at = failed_id.partition("__")
    return bool(at) and kind == failed_kind and at < failed_at
