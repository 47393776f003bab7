"""Deliberate faults of what people take part in: approvals, breakers, pauses, undoing, budgets of pages, backups."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.engine.context import Context
from remediator.engine.state import Case, CasePhase, DagState
from remediator.model.action import QUESTIONS
from remediator.model.inputs import Pressed
from remediator.model.time import SECOND, Instant
from remediator.store.audit import AuditEntry
from remediator.store.memory import MemoryStore


class SendsTheOldOutbox(MemoryStore):
    """A backup that is put back goes on where it was."""

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        count = await super().restored(pressed, at, audit)
        for row in self.data.outbox.values():
            if row.action.kind not in QUESTIONS:
                row.doubtful = False
        return count


class SendsTheOldBacklog(MemoryStore):
    """What a backup's journal had left to decide on is decided on as if for the first time."""

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        count = await super().restored(pressed, at, audit)
        self.data.restored = 0
        return count


def never_let_go(context: Context, case: Case) -> bool:
    """For `waits.leave_breaker`: who waits for a breaker is never woken."""
    case.due = None
    return False


def find_any(state: DagState, proposal_id: str) -> list[tuple[str, Case]]:
    """For `approvals.find`: an answer to one question is taken for all of the DAG."""
    return [
        (run_id, case)
        for run_id, run in state.dagruns.items()
        for case in run.cases.values()
        if case.phase is CasePhase.PROPOSED
    ]


def nobody_pauses(*given: object, paused: bool) -> bool:
    """For `ledger.paused_by_person`."""
    return False


def undo_again(original: Any) -> Any:
    """For `changes.issue_undos`: what was taken back is taken back once more."""

    def issue(context: Context, state: DagState) -> None:
        before = {undo.action_id: undo for undo in state.undos}
        original(context, state)
        left = {undo.action_id for undo in state.undos}
        for name, undo in before.items():
            if name not in left and not name.endswith("again"):
                again = msgspec.structs.replace(undo, action_id=f"{name}again", due=context.now + 20 * SECOND)
                state.undos.append(again)

    return issue


def yes(*given: object) -> bool:
    """For `ledger.page_allowed`."""
    return True


def nothing(*given: object) -> None:
    """For `ledger.window_end` and `ledger.window_begin`."""
    return


def no_text(*given: object) -> str:
    """For `brakes.never_retry`."""
    return ""
