"""Proofs: which change of ours a success is to be credited to, and what keeps it from being ours.

A case remembers what its change made; truths say at which try a task instance was done. Owns the comparison of the two.
"""

from __future__ import annotations

from remediator.engine.state import Case, CasePhase, DagRunState, task_key
from remediator.engine.steps import BEGINNING, PROOF, RETRY
from remediator.model.action import Backfill, Params, Reprocess, Rerun
from remediator.model.truth import DagRunTruth, TaskTruth

MADE, PERHAPS = "yes", "perhaps"
MOST_ASKED = 500
"""How many task instances of a dagrun one look proves; those after them have their turn when these are over."""


def begin(case: Case, action_id: str, kind: str, *, proves: bool) -> None:
    """A change is issued: nothing is known of it yet."""
    case.action_id, case.change, case.proves = action_id, kind, proves
    case.made, case.max_tries, case.failed_again = "", 0, 0


def is_of_its_dagrun(params: Params, case: Case) -> bool:
    """Does the change run the failed dagrun itself again?"""
    event = case.event
    if not event.run_id or getattr(params, "dag_id", "") != event.dag_id:
        return False
    at = event.logical_date
    match params:
        case Rerun(run_id=run_id):
            return run_id == event.run_id
        case Reprocess(since=since, until=until):
            return at is not None and since <= at < until
        case Backfill(since=since, until=until, reprocess=which):
            return at is not None and since <= at <= until and which != "none"
    return False


def is_awaited(case: Case) -> bool:
    """Is a change on its way, or made, of which looks tell whether it helped?"""
    return case.proves and case.phase in (CasePhase.ISSUED, CasePhase.VERIFYING)


def asked(run: DagRunState) -> tuple[str, ...]:
    """What the next look has to prove."""
    return tuple(name for name, case in run.cases.items() if is_awaited(case))[:MOST_ASKED]


def by_name(truth: DagRunTruth) -> dict[str, TaskTruth]:
    """What a look has proved."""
    return {task_key(task.task_id, task.map_index): task for task in truth.proved}


def note_failure(case: Case | None, try_number: int) -> None:
    """An event says that a try failed: what is well at that very try was set so by a person."""
    if case is not None and is_awaited(case) and try_number > case.try_number:
        case.failed_again = max(case.failed_again, try_number)


def note_limit(case: Case, task: TaskTruth | None) -> None:
    """The first try after our change, seen on its way: nobody has cleared it since, so that its limit is ours."""
    if task is None or case.max_tries or not is_awaited(case) or task.state == "failed":
        return
    is_first = task.try_number == case.try_number + 1 and task.state != "none"
    if task.max_tries and (is_first or (task.try_number == case.try_number and task.state == "none")):
        case.max_tries = task.max_tries


def _last_try(case: Case) -> int:
    """The last one that our change gave: its own, and Airflow's retries of it. A clear adds the task's retries."""
    if case.max_tries:
        return case.max_tries + 1
    return case.try_number + 1 + (case.event.retries or 0)


def doubt(case: Case, proved: TaskTruth | None) -> str:
    """Why a success is not known to be that of our change; '' if it is."""
    if proved is None:
        return f"the scheduler does not tell which try it was, so that nothing is claimed for {case.change}"
    if case.made != MADE and case.action_id not in proved.note:
        return f"whether {case.change} was made is not known, so that nothing is claimed for it"
    tried = proved.try_number
    if tried <= case.try_number or tried == case.failed_again:
        return f"somebody else set try {tried}, which had failed, to {proved.state}"
    if tried > _last_try(case):
        return f"fixed by somebody else, at try {tried}; {case.change} made try {case.try_number + 1}"
    return ""


def left_behind(truth: DagRunTruth) -> str:
    """What keeps the dagrun failed although nothing in it is failed any more; empty if that is not so.

    A clear that meets the scheduler while that still passes the failure on leaves such tasks: nobody runs them again.
    """
    left = [task for task in truth.tasks if task.state == "upstream_failed"]
    if truth.state != "failed" or not left or len(left) < len(truth.tasks):
        return ""
    first = task_key(left[0].task_id, left[0].map_index)
    return first if len(left) == 1 else f"{first} and {len(left) - 1} more"


def called(case: Case) -> str:
    """The change, in a sentence."""
    return "the retry" if case.change in ("", RETRY) else case.change


def was_awaited(case: Case) -> bool:
    """Was a change of ours made that has not helped yet, though there was time for it?"""
    return PROOF in case.waits or BEGINNING in case.waits


def await_anew(case: Case) -> None:
    """Another change was made: what was waited for before it counts no more."""
    case.waits.pop(PROOF, None)
    case.waits.pop(BEGINNING, None)


def without_proof(case: Case) -> str:
    """How a failure is over that no look was to prove."""
    if was_awaited(case) or (case.made and not case.proves):
        return f"is well after {case.change}"
    return "was fixed by somebody else"
