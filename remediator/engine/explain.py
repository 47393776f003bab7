"""Why, and why not: what every rule makes of one event, and, where stored states are at hand, what stands in its way.

Read-only: it decides on copies that nobody saves, with the functions that decide for real.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec

from remediator.engine import conditions, explain_detector, firing, incident, judge, response
from remediator.engine.context import Context, Effects
from remediator.engine.detector_state import DetectorState
from remediator.engine.explain_steps import Ground, feed_check, incident_view, steps_of
from remediator.engine.explain_views import (
    MAX_ELEMENTS,
    NO,
    UNKNOWN,
    WAIT,
    YES,
    Check,
    Explained,
    IncidentView,
    RuleView,
    StepView,
    clause_view,
    instant,
)
from remediator.engine.homes import case_name, home_of
from remediator.engine.keys import key_of
from remediator.engine.ledger_state import LedgerState
from remediator.engine.saved import (
    decode_conditions_state,
    decode_dag_state,
    decode_key_state,
    decode_ledger_state,
    decode_world_state,
    encode_state,
)
from remediator.engine.state import (
    NO_DAGRUN,
    Case,
    CasePhase,
    ConditionsState,
    DagRunState,
    DagState,
    KeyState,
    WorldState,
    task_key,
)
from remediator.engine.steps import DO, UNCLASSIFIED
from remediator.model.action import CHANGE_STEPS
from remediator.model.event import Event
from remediator.model.firing import FiringView
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY, dag_key
from remediator.model.policy import Mode
from remediator.rules.clauses import key_values
from remediator.rules.index import Matched, RuleSet
from remediator.rules.selectors import END, is_on, members_of
from remediator.rules.signature import signature
from remediator.rules.spec import Rule

CLAIM, FINAL = "task.failed", "task.failed_finally"
MAX_RULES = 200
"""Rules explained per form of an event; asked for by name, a rule is always explained."""


class Live(msgspec.Struct):
    """Committed states, decoded for one explanation. keyed: by key; a key that is not there has no state."""

    world: WorldState
    ledger: LedgerState
    conditions: ConditionsState
    keyed: dict[str, KeyState]


class _Chosen(msgspec.Struct):
    """The rules to explain, in order of rank. met: the parts that the event fills, by rule."""

    rules: list[Rule]
    left_off: int
    silent: int
    matched: Matched
    met: dict[str, list[str]]


def live_of(found: Mapping[str, bytes]) -> Live:
    """Saved bytes by key -> states of our own."""
    world, ledger, held = (found.get(key) for key in (WORLD_KEY, LEDGER_KEY, CONDITIONS_KEY))
    shared = (WORLD_KEY, LEDGER_KEY, CONDITIONS_KEY)
    return Live(
        WorldState() if world is None else decode_world_state(world),
        LedgerState() if ledger is None else decode_ledger_state(ledger),
        ConditionsState() if held is None else decode_conditions_state(held),
        {key: decode_key_state(key, body) for key, body in found.items() if key not in shared},
    )


def forms_of(event: Event) -> tuple[Event, ...]:
    """The event and what it would become: a claimed failure is matched again once it is known to be final."""
    return (event, msgspec.structs.replace(event, type=FINAL)) if event.type == CLAIM else (event,)


def keys_of(rules: RuleSet, event: Event, only: Collection[str] = ()) -> list[str]:
    """Every key whose state the explanation reads."""
    keys = {WORLD_KEY, LEDGER_KEY, CONDITIONS_KEY}
    for form in forms_of(event):
        keys.add(dag_key(form.deployment, form.dag_id or ""))
        for rule in _chosen(rules, form, only).rules:
            keys.add(dag_key(*home_of(rule, form)))
            values = key_values(rule.per, form)
            if rule.is_detector and not isinstance(values, str):
                keys.add(key_of(rule, values))
    return sorted(keys)


def explain(rules: RuleSet, event: Event, live: Live | None = None, only: Collection[str] = ()) -> list[Explained]:
    """One explanation for each form of the event. live: None: rules only. only: ids; KeyError for unknown ones."""
    for rule_id in only:
        if rule_id not in rules.rules:
            raise KeyError(rule_id)
    return [_Form(rules, form, event.type, live).explained(only) for form in forms_of(event)]


def _chosen(rules: RuleSet, event: Event, only: Collection[str]) -> _Chosen:
    matched = rules.match(event)
    met: dict[str, list[str]] = {}
    for rule in matched.rules:
        met.setdefault(rule.id, []).append("on")
    for rule, member in matched.members:
        met.setdefault(rule.id, []).append(member)
    compounds = {one.id for rule_id in met for one in rules.compounds_of(rule_id)}
    listening = [rule for rule in rules.rules.values() if _listens(rule, event) or rule.id in compounds]
    wanted = [rules.rules[rule_id] for rule_id in dict.fromkeys(only)] if only else listening
    wanted.sort(key=lambda rule: (rule.id not in met, -rule.priority, rule.id))
    kept = wanted if only else wanted[:MAX_RULES]
    ranked = sorted(kept, key=lambda rule: (-rule.priority, rule.id))
    return _Chosen(ranked, len(wanted) - len(kept), len(rules.rules) - len(listening), matched, met)


def _listens(rule: Rule, event: Event) -> bool:
    return any(is_on(selector.on, event.type) for _, selector in members_of(rule))


class _Form:
    """One form of the event under one rule set."""

    def __init__(self, rules: RuleSet, event: Event, given: str, live: Live | None) -> None:
        self._rules = rules
        self._event = event
        self._given = given
        self._live = live
        state = live or Live(WorldState(now=event.time), LedgerState(), ConditionsState(), {})
        self._keyed = state.keyed
        self._context = Context(key="", position=0, now=state.world.now, rules=rules, world=state.world,
                                ledger=state.ledger, conditions=state.conditions, effects=Effects())  # fmt: skip

    def explained(self, only: Collection[str]) -> Explained:
        chosen = _chosen(self._rules, self._event, only)
        context, event = self._context, self._event
        within = chosen.matched if self._live is None else conditions.in_scope(context, chosen.matched, event)
        responder = response.choose(context, within, "")
        views = tuple(self._rule(rule, chosen, within, responder) for rule in chosen.rules)
        if self._live is not None and event.type == FINAL and responder.id == UNCLASSIFIED and not only:
            views = (*views, self._unclassified(responder))
        return Explained(
            type=event.type,
            given=self._given,
            time=instant(event.time),
            deployment=event.deployment,
            dag_id=event.dag_id or "",
            run_id=event.run_id or "",
            task_id=event.task_id or "",
            outcome=self._outcome(responder, views, within),
            responder="" if responder.id == UNCLASSIFIED else responder.id,
            live=self._live is not None,
            now=instant(context.now) if self._live is not None else "",
            checks=tuple(self._checks()) if self._live is not None else (),
            rules=views,
            left_off=chosen.left_off,
            silent=chosen.silent,
        )

    # -- the event --------------------------------------------------------------------------------------------

    def _checks(self) -> Iterator[Check]:
        context, event = self._context, self._event
        deployment = context.deployment(event.deployment)
        if not event.deployment:
            yield Check("deployment", NO, f"no deployment, or more than one, claims namespace {event.namespace!r}: "
                        "the event is left out")  # fmt: skip
        elif deployment is None:
            yield Check("deployment", NO, f"deployment {event.deployment!r} is not in the configuration")
        else:
            yield Check("deployment", YES, f"{deployment.name}: ceiling {deployment.ceiling.value}")
            yield feed_check(context, deployment.feed)
        if context.world.frozen:
            yield Check("freeze", WAIT, "the freeze is on: nothing is changed")
        yield from self._known()

    def _known(self) -> Iterator[Check]:
        """What is known of this very failure."""
        event = self._event
        state = self._keyed.get(dag_key(event.deployment, event.dag_id or ""))
        if event.type not in (CLAIM, FINAL) or not isinstance(state, DagState):
            return
        run, name, tried = state.dagruns.get(event.run_id or ""), _task(event), event.try_number or 0
        if run is None:
            return
        if name in run.suspects:
            yield Check("known", WAIT, f"try {run.suspects[name].try_number} is claimed, and the scheduler was not yet "
                        "asked")  # fmt: skip
        if run.judged.get(name, 0) >= tried:
            yield Check("known", NO, f"try {run.judged[name]} was judged final before: this event changes nothing")
        case = run.cases.get(name)
        if case is not None:
            yield Check("known", YES, f"rule {case.rule!r} is answering: {case.phase.value}, at {case.stage} "
                        f"{case.index + 1}")  # fmt: skip

    def _outcome(self, responder: Rule, views: tuple[RuleView, ...], within: Matched) -> str:
        event = self._event
        if event.type == CLAIM and not within.rules and not within.members:
            return "a claim: what matters is whether the scheduler says that it is final"
        if responder.id != UNCLASSIFIED:
            view = next((view for view in views if view.rule == responder.id), None)
            steps = ", ".join(step.action for step in responder.do) or "nothing"
            first = f"; {_first(view.steps)}" if view is not None and self._live is not None else ""
            return f"rule {responder.id!r} would respond: {steps}{first}"
        if event.type == FINAL:
            route = self._context.policy.unclassified_route
            return f"no acting rule knows this failure: route {route!r} is paged, as for all that is unclassified"
        counted = list(dict.fromkeys(rule.id for rule, _ in within.members))
        return f"counted by {', '.join(counted[:MAX_ELEMENTS])}" if counted else "no rule responds, and none counts it"

    # -- one rule ---------------------------------------------------------------------------------------------

    def _rule(self, rule: Rule, chosen: _Chosen, within: Matched, responder: Rule) -> RuleView:
        members = chosen.met.get(rule.id, [])
        errors = [why for rule_id, why in within.errors if rule_id == rule.id]
        role, text = _role(rule, members, errors, within, responder)
        steps, held, state = tuple[StepView, ...](), None, tuple[Check, ...]()
        if self._live is not None:
            state = tuple(self._state(rule))
            held = self._open(rule)
            if role in ("responds", "yields", "observes"):
                ground = self._ground(rule)
                steps, held = steps_of(self._context, rule, ground), incident_view(ground.held)
            elif role == "counts" and not isinstance(key_values(rule.per, self._event), str):
                steps = steps_of(self._context, rule, self._ground(rule))  # as if it fired now
        elif rule.during or rule.not_during:
            state = (Check("during", UNKNOWN, "only a running daemon knows which conditions hold"),)
        clauses = tuple(clause_view(verdict) for verdict in self._rules.explain(self._event, rule.id))
        return RuleView(rule.id, rule.summary, rule.file, rule.line, rule.mode.value, rule.priority, role, text,
                        clauses, state, steps, held)  # fmt: skip

    def _unclassified(self, rule: Rule) -> RuleView:
        """The rule that is always there, after all others."""
        ground = self._ground(rule)
        steps = steps_of(self._context, rule, ground)
        return RuleView(rule.id, "", "", 0, rule.mode.value, -1, "responds", "no acting rule matches", (), (), steps,
                        incident_view(ground.held))  # fmt: skip

    def _state(self, rule: Rule) -> Iterator[Check]:
        if rule.during or rule.not_during:
            verdict = conditions.verdict(self._context, rule, self._event)
            text = verdict if isinstance(verdict, str) else "it is in scope" if verdict else "it is out of scope"
            yield Check("during", YES if verdict is True else NO, text)
        if not rule.is_detector:
            yield from self._repeated(rule)
        else:
            values = key_values(rule.per, self._event)
            state = None if isinstance(values, str) else self._keyed.get(key_of(rule, values))
            kept = state if isinstance(state, DetectorState) else None
            yield from explain_detector.checks_of(self._context, rule, values, kept, self._event)

    def _repeated(self, rule: Rule) -> Iterator[Check]:
        """An event that is its own truth opens nothing twice."""
        stored = self._keyed.get(dag_key(*self._home(rule)))
        run = stored.dagruns.get(NO_DAGRUN) if isinstance(stored, DagState) else None
        seen = run.judged.get(firing.case_of(rule, self._event), 0) if run is not None else 0
        if self._event.type != FINAL and seen >= min(self._event.time, self._context.now):
            yield Check("known", NO, f"an event of {instant(seen)} about the same was seen: this one changes nothing")

    def _case(self, rule: Rule) -> str:
        values = key_values(rule.per, self._event)
        if rule.is_detector and not isinstance(values, str):
            return case_name(rule, values)
        return firing.case_of(rule, self._event)

    def _has_api(self) -> bool:
        deployment = self._context.deployment(self._event.deployment)
        return deployment is not None and deployment.has_api

    def _open(self, rule: Rule) -> IncidentView | None:
        """The incident that the rule already has open for what the event is about."""
        state = self._keyed.get(dag_key(*self._home(rule)))
        found = state.incidents.get(self._identity(rule)) if isinstance(state, DagState) else None
        return None if found is None else incident_view(found)

    def _home(self, rule: Rule) -> tuple[str, str]:
        event = self._event
        is_final = event.type == FINAL and not rule.is_detector
        return (event.deployment, event.dag_id or "") if is_final else home_of(rule, event)

    def _identity(self, rule: Rule) -> str:
        is_final = self._event.type == FINAL and not rule.is_detector
        return incident.identity_of(rule, self._event) if is_final else firing.identity_of(rule, self._event)

    def _ground(self, rule: Rule) -> Ground:
        """The rule's answer as it would begin, on a copy: the failure has joined its incident, nobody was told yet."""
        event, context = self._event, self._context
        home, is_final = self._home(rule), event.type == FINAL and not rule.is_detector
        stored = self._keyed.get(dag_key(*home))
        state = decode_dag_state(encode_state(stored)) if isinstance(stored, DagState) else DagState(*home)
        run_id = (event.run_id or "") if is_final else NO_DAGRUN
        name = _task(event) if is_final else self._case(rule)
        run = state.dagruns.setdefault(run_id, DagRunState())
        at = min(event.time, context.now)
        case = Case(judge.slim(event), CasePhase.TOLD, rule.id, self._identity(rule), event.try_number or 0,
                    view=FiringView(rule.id, 1, at, at), match=self._rules.groups(rule, event),
                    unverified=not is_final or not self._has_api(), signature=signature(event.error).id)  # fmt: skip
        before = run.cases.get(name)
        if before is not None and before.rule == rule.id:
            case.waits, case.told, case.hold_over = before.waits, before.told, before.hold_over
            case.unverified, case.approved = before.unverified, before.approved
        held = incident.open_or_join(context, state, case, rule, run_id, rule.summary or rule.id)
        return Ground(state, run, case, held)


def _task(event: Event) -> str:
    return task_key(event.task_id or "", event.map_index)


def _first(steps: tuple[StepView, ...]) -> str:
    """The step that would be done, waited for or held first; `otherwise` follows only on what was refused."""
    refused = False
    for step in steps:
        if not step.step.startswith(DO) and not refused:
            break
        if step.verdict in (YES, WAIT):
            return f"{'next' if step.verdict == YES else 'what waits'} is {step.action} ({step.step})"
        refused = refused or step.action in CHANGE_STEPS
    return "every step is refused or left out"


def _role_of_compound(rule: Rule, within: Matched) -> tuple[str, str]:
    assert rule.compound is not None  # noqa: S101  (asked by the caller)
    fired = [one.id for one in within.rules if one.id in rule.compound.rules]
    if fired:
        return "counts", f"a firing of {', '.join(fired)}"
    fed = list(dict.fromkeys(one.id for one, _ in within.members if one.id in rule.compound.rules))
    return ("counts", f"if {', '.join(fed)} fires") if fed else ("no", "none of its rules meets the event")


def _role(rule: Rule, members: list[str], errors: list[str], within: Matched, responder: Rule) -> tuple[str, str]:
    """What the rule is to the event, and why."""
    if errors and not any(one.id == rule.id for one in within.rules):
        return "error", f"a condition could not be answered, and an error never acts: {errors[0]}"
    if rule.compound is not None:
        return _role_of_compound(rule, within)
    if not members:
        return "no", "it does not match"
    if rule.is_detector:
        parts = ", ".join("the end" if one == END else one for one in members)
        return "counts", f"a rule over time: the event is taken in as {parts}"
    if not any(one.id == rule.id for one in within.rules):
        return ("ends", "the event ends what the rule said") if END in members else (
            "out_of_scope", "`during` or `not_during` forbids it now")  # fmt: skip
    if rule.mode is Mode.OBSERVE:
        return "observes", f"would do: {', '.join(step.action for step in rule.do) or 'nothing'}"
    if rule.id == responder.id:
        return "responds", f"the first acting rule that matches (priority {rule.priority})"
    order = f"priority {responder.priority} comes before {rule.priority}"
    same = responder.priority == rule.priority
    return "yields", f"to {responder.id!r}: {'of equal priority, first by id' if same else order}"
