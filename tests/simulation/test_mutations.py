"""Does the simulation see what it is there to see? Each deliberate fault breaks a named promise within some seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remediator.engine import approvals, brakes, budget, changes, ledger, looks, proofs, response, retries, tell, waits
from remediator.testing.simulation.layout import Parts
from remediator.testing.simulation.run import run_seed
from tests.simulation import faults, faults_people

MOST_SEEDS = 400

PARTS: dict[str, tuple[Parts, str, int]] = {
    "positions from a sequence": (Parts(store=faults.SequencePositions), "P1 ", 0),
    "no compare-and-swap": (Parts(store=faults.NoCompareAndSwap), "P1 ", 0),
    "no fencing": (Parts(store=faults.NoFencing), "P4 ", 0),
    "no look before a clear": (Parts(retries=faults.NoLookBeforeClear), "P2 ", 120),
    "watermarks from the store": (Parts(controller=faults.PeekingController), "P4 ", 0),
    "no lanes": (Parts(store=faults.NoLanes), "P2 ", 0),
    "stale tokens": (Parts(store=faults.StaleTokens), "P2 ", 0),
    "uncertainty lost": (Parts(store=faults.NeverUncertain), "P2 ", 0),
    "freeze not asked": (Parts(store=faults.NoFreeze), "P5 ", 35),
    "old outbox sent after a restore": (Parts(restoring=faults_people.SendsTheOldOutbox), "P2 ", 0),
    "old backlog sent after a restore": (Parts(restoring=faults_people.SendsTheOldBacklog), "P2 ", 50),
}


def broken_by(parts: Parts | None, promise: str, first: int = 0) -> tuple[int, list[str]] | None:
    """(seed, violations) of the first seed that breaks the promise."""
    for seed in range(first, first + MOST_SEEDS):
        found = run_seed(seed, parts)
        if any(violation.startswith(promise) for violation in found):
            return seed, found
    return None


@pytest.mark.parametrize("name", PARTS)
def test_a_broken_part_is_seen(name: str) -> None:
    parts, promise, first = PARTS[name]
    seen = broken_by(parts, promise, first)
    assert seen is not None, f"{MOST_SEEDS} seeds did not see: {name}"
    assert run_seed(seen[0]) == [], "the seed must be quiet without the fault"


def _budgets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget, "exhausted", faults.never_spent)


def _ceiling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(brakes, "not_permitted", faults.no_ceiling(brakes.not_permitted))


def _random_ids(patch: pytest.MonkeyPatch) -> None:
    ids = faults.random_ids()
    for module in (response, retries, looks, tell):
        patch.setattr(module, "stable_id", ids)


def _no_hold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(waits, "is_held_back", faults.never_held)


def _credit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(proofs, "doubt", faults.never_doubted)


def _replaced(owner: Any, name: str, fault: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, fault)


def _no_maintenance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "window_end", faults_people.nothing)
    patch.setattr(ledger, "window_begin", faults_people.nothing)


ENGINE: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, int]] = {
    "budgets not counted": (_budgets, "P5 ", 0),
    "ceiling ignored": (_ceiling, "P5 ", 0),
    "random action ids": (_random_ids, "P4 ", 0),
    "credited whoever it was": (_credit, "P6 ", 0),
    "no hold while catching up": (_no_hold, "P3 ", 500),
    "a breaker never lets go": (_replaced(waits, "leave_breaker", faults_people.never_let_go), "nobody ", 0),
    "approval of another thing": (_replaced(approvals, "find", faults_people.find_any), "P5 ", 50),
    "asked without a preview": (_replaced(approvals, "PREVIEWED", frozenset()), "P6 ", 0),
    "pauses ignored": (_replaced(ledger, "paused_by_person", faults_people.nobody_pauses), "P5 ", 990),
    "undone twice": (_replaced(changes, "issue_undos", faults_people.undo_again(changes.issue_undos)), "P2 ", 30),
    "pages not counted": (_replaced(ledger, "page_allowed", faults_people.yes), "P5 ", 0),
    "maintenance ignored": (_no_maintenance, "P5 ", 65),
    "never-retry ignored": (_replaced(brakes, "never_retry", faults_people.no_text), "P5 ", 0),
}
"""What is broken, the promise that it breaks, and where to begin: some show in one of a few hundred seeds."""


@pytest.mark.parametrize("name", ENGINE)
def test_a_broken_engine_is_seen(name: str) -> None:
    mutate, promise, first = ENGINE[name]
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        seen = broken_by(None, promise, first)
    assert seen is not None, f"{MOST_SEEDS} seeds did not see: {name}"
    assert run_seed(seen[0]) == [], "the seed must be quiet without the fault"
