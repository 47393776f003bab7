"""Endings: how the case of a failure ends, and with the last of them its incident.

Owns what is said and counted then. Whether one is over is judged elsewhere.
"""

from __future__ import annotations

from remediator.engine import approvals, breakers, incident, tell, telling
from remediator.engine.context import Context
from remediator.engine.state import NO_DAGRUN, Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import task_of
from remediator.model.incident import Handling
from remediator.model.reasons import Reason

UNDER_WAY = (CasePhase.PLANNED, CasePhase.ISSUED, CasePhase.VERIFYING)
"""Something is being done about it."""


def did_not_help(context: Context, state: DagState, case: Case, text: str) -> None:
    """The retry was in vain: it stays counted."""
    case.why = f"{Reason.DID_NOT_HELP.value}: {text}"
    context.decide(Reason.DID_NOT_HELP, text, incident=case.incident, action_id=case.action_id, rule=case.rule)
    breakers.record(context, case, state.deployment, helped=False)
    tell.show_handling(context, state, case.incident, Handling.NONE, "a retry did not help")


def end_case(
    context: Context,
    state: DagState,
    run: DagRunState,
    name: str,
    reason: Reason,
    text: str,
    *,
    helped: bool = False,
) -> None:
    """The failure is over. The incident ends with its last case."""
    case = run.cases.pop(name)
    context.decide(reason, text, incident=case.incident, action_id=case.action_id, rule=case.rule)
    if reason is Reason.HELPED:
        breakers.record(context, case, state.deployment, helped=True)
    approvals.withdraw(context, state, case)
    close_if_over(context, state, case, reason, text, helped=helped)


def _say_what_is_left(context: Context, state: DagState, identity: str, text: str, left: list[Case]) -> None:
    """One failure of the incident is over and others go on: what is shown must not be that of the one."""
    if not any(other.phase in UNDER_WAY for other in left):
        why = next((other.why for other in left if other.why), "")
        tell.show_handling(context, state, identity, Handling.NONE, f"{text}; {why or 'others go on'}")


def close_if_over(
    context: Context, state: DagState, case: Case, reason: Reason, text: str, *, helped: bool = False
) -> None:
    """The incident ends with its last case."""
    others = [other for each in state.dagruns.values() for other in each.cases.values()]
    left = [other for other in others if other.incident == case.incident]
    if left:
        _say_what_is_left(context, state, case.incident, text, left)
        return
    held = incident.close(context, state, case.incident, reason, text, helped=helped)
    if NO_DAGRUN in state.dagruns:
        state.dagruns[NO_DAGRUN].attempts.pop(task_of(case), None)  # the next episode has its own
    if held is not None:
        tell.update(context, held)
        count = len(held.told)
        telling.on_resolve(context, case, held)
        tell.told_of_end(state, held, count)
