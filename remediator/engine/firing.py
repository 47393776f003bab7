"""Firings of rules on events that need no look: checks, infrastructure, anything of any producer.

Such an event is its own truth. Its case hangs on no dagrun, can be told but never retried, and ends by expiry.
"""

from __future__ import annotations

from remediator.engine import incident, judge, response, tell
from remediator.engine.context import Alert, Context
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.model.event import Event
from remediator.model.ids import stable_id
from remediator.model.reasons import Reason

NO_DAGRUN = ""
"""The pseudo dagrun under which such cases are kept."""
MAX_SUBJECTS = 1_000
"""Subjects with an open incident, and subjects whose latest event is remembered (the longest known go first)."""


def on_match(context: Context, state: DagState, event: Event) -> None:
    """A rule met the event: open or join its incident and respond, unless the event is one that was seen."""
    subject = event.subject or event.task_id or event.dag_id or event.type
    identity = stable_id("incident", state.deployment, event.type, event.dag_id or "", subject)
    rule = response.choose(context, event, identity)
    if rule.id == response.UNCLASSIFIED:
        return  # only final failures are told when no acting rule knows them
    run = state.dagruns.setdefault(NO_DAGRUN, DagRunState())
    run.touched = context.now
    name = f"{event.type}:{subject}"
    at = min(event.time, context.now)  # one event from the future must not silence all that follow
    if run.judged.get(name, 0) >= at:
        context.decide(Reason.DUPLICATE, f"{name} of that time is known", incident=identity)
        return
    if name not in run.cases and len(run.cases) >= MAX_SUBJECTS:
        text = f"{state.deployment} {state.dag_id}: {MAX_SUBJECTS} incidents of events are open, more are not opened"
        context.effects.alerts.append(Alert("too_many_incidents", context.key, text))
        return
    run.judged[name] = at
    if len(run.judged) > MAX_SUBJECTS:
        del run.judged[next(iter(run.judged))]
    before = run.cases.get(name)
    case = Case(judge.slim(event), CasePhase.TOLD, rule.id, identity, 0, unverified=True)
    case.told = before.told if before is not None else False
    run.cases[name] = case
    title = f"{state.deployment}: {event.type} {subject}"
    held = incident.open_or_join(context, state, event, rule, NO_DAGRUN, identity, title)
    tell.update(context, held)
    response.proceed(context, state, NO_DAGRUN, run, case)
