"""Firings of rules on events that need no look: checks, infrastructure, anything of any producer, and detectors.

Such a firing is its own truth. Its case hangs on no dagrun, can be told but never retried, and ends by an event, when a
window has calmed down, or by expiry.
"""

from __future__ import annotations

from remediator.engine import endings, incident, judge, response, tell
from remediator.engine.context import Alert, Calm, Context
from remediator.engine.homes import case_name, group_of, home_of
from remediator.engine.state import NO_DAGRUN, Case, CasePhase, DagRunState, DagState
from remediator.engine.steps import UNCLASSIFIED, approval_of
from remediator.model.event import Event
from remediator.model.firing import Firing, FiringView
from remediator.model.ids import stable_id
from remediator.model.policy import Mode
from remediator.model.reasons import Reason
from remediator.rules.clauses import key_values
from remediator.rules.index import Matched
from remediator.rules.spec import Rule

MAX_SUBJECTS = 1_000
"""Subjects with an open incident, and subjects whose latest event is remembered (the longest known go first)."""

FORGOTTEN = "error.trace"
"""What a case's event goes without, see judge.slim."""


# -- whose it is --------------------------------------------------------------------------------------------------


def identity_of(rule: Rule, event: Event) -> str:
    """The incident's identity: the rule's group, else deployment, DAG and what the event is about."""
    fields = group_of(rule)
    if fields or rule.is_detector:
        return stable_id("incident", "rule", rule.id, [_value(field, event) for field in fields])
    if rule.ended_by is not None:
        return stable_id("incident", "rule", rule.id, event.deployment, event.dag_id or "", subject_of(event))
    return stable_id("incident", event.deployment, event.type, event.dag_id or "", subject_of(event))


def case_of(rule: Rule, event: Event) -> str:
    """What a rule without state is in trouble about: its case ends when an event of `ended_by` has the same."""
    fields = group_of(rule)
    if fields:
        return case_name(rule, tuple(_value(field, event) for field in fields))
    return f"{rule.id if rule.ended_by is not None else event.type}:{subject_of(event)}"


def subject_of(event: Event) -> str:
    """What an event is about."""
    return event.subject or event.task_id or event.dag_id or event.type


def _value(field: str, event: Event) -> str:
    values = key_values((field,), event)
    return "" if isinstance(values, str) else values[0]


def responder_of(context: Context, matched: Matched) -> Rule | None:
    """The first rule that does more than observe; the others say that they observe or yield."""
    chosen = response.choose(context, matched, identity="")
    return None if chosen.id == UNCLASSIFIED else chosen


def is_shown(context: Context, rule: Rule, fired: Firing) -> bool:
    """Does the firing become an incident? A rule that observes only says what it would have done."""
    if rule.mode is not Mode.OBSERVE:
        return True
    response.say_observed(context, rule, identity="")
    return False


# -- what becomes of it -------------------------------------------------------------------------------------------


def on_match(context: Context, state: DagState, event: Event, rule: Rule) -> None:
    """A rule met the event: open or join its incident and respond, unless the event is one that was seen."""
    run = state.dagruns.setdefault(NO_DAGRUN, DagRunState())
    run.touched = context.now
    name, identity = case_of(rule, event), identity_of(rule, event)
    at = min(event.time, context.now)  # one event from the future must not silence all that follow
    if run.judged.get(name, 0) >= at:
        context.decide(Reason.DUPLICATE, f"{name} of that time is known", incident=identity)
        return
    _remember(run, name, at)
    view = FiringView(rule.id, 1, at, at)
    _open(context, state, run, name, Case(judge.slim(event), CasePhase.TOLD, rule.id, identity, 0, view=view,
          match=context.rules.groups(rule, event), unverified=True), rule)  # fmt: skip


def on_fired(context: Context, state: DagState, fired: Firing, rule: Rule) -> None:
    """A detector fired: open or join its incident and respond."""
    run = state.dagruns.setdefault(NO_DAGRUN, DagRunState())
    run.touched = context.now
    case = Case(fired.event, CasePhase.TOLD, rule.id, identity_of(rule, fired.event), 0, view=fired.view,
                match=fired.match, unverified=True)  # fmt: skip
    if fired.unverified:
        case.why = f"{Reason.UNVERIFIED.value}: the feed could not be read, so its end may have been missed"
    _open(context, state, run, fired.case, case, rule)


def _is_for_what_was_shown(context: Context, case: Case) -> bool:
    """Is a person asked about the case's step, or did one say yes to it? It is done as it was shown, or not at all."""
    return case.phase is CasePhase.PROPOSED or approval_of(context, case) in case.approved


def _open(context: Context, state: DagState, run: DagRunState, name: str, case: Case, rule: Rule) -> None:
    if name not in run.cases and len(run.cases) >= MAX_SUBJECTS:
        text = f"{state.deployment} {state.dag_id}: {MAX_SUBJECTS} incidents of events are open, more are not opened"
        context.effects.alerts.append(Alert("too_many_incidents", context.key, text))
        return
    event = case.event
    title = f"{event.deployment}: {event.type} {subject_of(event)}"
    if rule.is_detector:
        title = f"{event.deployment or 'all'}: {rule.summary or rule.id}"
    before = run.cases.get(name)
    goes_on = before is not None and before.rule == case.rule
    if before is not None and goes_on:
        if not _is_for_what_was_shown(context, before):
            before.event, before.view, before.match = case.event, case.view, case.match
        case = before
    run.cases[name] = case
    held = incident.open_or_join(context, state, case, rule, NO_DAGRUN, title)
    tell.update(context, held)
    if not goes_on:
        response.proceed(context, state, NO_DAGRUN, run, case)
    elif case.phase is CasePhase.TOLD:
        tell.try_again(context, held)


def on_calm(context: Context, state: DagState, calm: Calm) -> None:
    """What a rule said is over. An end that is older than what it would end changes nothing."""
    run = state.dagruns.setdefault(NO_DAGRUN, DagRunState())
    run.touched = context.now
    at = min(calm.event.time, context.now)
    case = run.cases.get(calm.case)
    if calm.reason is Reason.ENDED_BY_EVENT:
        _remember(run, calm.case, max(at - 1, run.judged.get(calm.case, 0)))  # its beginning may still come, late
        if case is not None and _last(case) > at:
            return
    if case is not None:
        endings.end_case(context, state, run, calm.case, calm.reason, calm.text)


def orphaned(context: Context, state: DagState, name: str) -> tuple[Reason, str] | None:
    """Why no event can end the case any more: its rule is gone, or tells what it is about in another way. Else None."""
    case = state.dagruns[NO_DAGRUN].cases[name]
    rule = context.rules.rules.get(case.rule)
    if case.rule == UNCLASSIFIED:
        return None
    if rule is None:
        return Reason.RULE_REMOVED, f"rule {case.rule!r} was removed"
    if _is_still_its(rule, state, name, case):
        return None
    return Reason.RULE_CHANGED, f"rule {case.rule!r} tells its incidents apart in another way now"


def _is_still_its(rule: Rule, state: DagState, name: str, case: Case) -> bool:
    """Would its rule look for the end in this state, under this name? A detector itself knows its homes."""
    if rule.is_detector:
        per = case.view.per if case.view is not None else {}
        return tuple(per) == rule.per and name == case_name(rule, tuple(per.values()))
    if FORGOTTEN in group_of(rule):
        return True
    return name == case_of(rule, case.event) and (state.deployment, state.dag_id) == home_of(rule, case.event)


def is_calm(context: Context, run_id: str, case: Case) -> bool:
    """A rule on single events, which no event ends, has had nothing to say for long."""
    rule = context.rules.rules.get(case.rule)
    if run_id != NO_DAGRUN or rule is None or rule.is_detector or rule.ended_by is not None:
        return False
    return context.now >= _last(case) + context.policy.calm_after


def _last(case: Case) -> int:
    """When it was last said, as it was taken in: never later than that."""
    return case.view.last if case.view is not None else case.event.time


def _remember(run: DagRunState, name: str, at: int) -> None:
    run.judged[name] = at
    if len(run.judged) > MAX_SUBJECTS:
        del run.judged[next(iter(run.judged))]
