"""A `[[timeline]]` played over the real core, and what happened in it in the words of rule files.

Owns which decisions and actions count as something that happened. Compares nothing.
"""

from __future__ import annotations

import copy

import msgspec

from remediator.engine.core import Changes
from remediator.engine.detector_state import DetectorState
from remediator.model.action import Action, LogLine, Message, Page, Pause, Retry, RetryTarget
from remediator.model.event import TERMINAL, UNMAPPED_INDEX, Event, compact
from remediator.model.incident import Incident, Phase
from remediator.model.inputs import Fact, Input, Performed, Pressed
from remediator.model.outcome import FinalOutcome
from remediator.model.policy import DeploymentPolicy, Destination, Policy
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Duration
from remediator.rules.index import RuleSet
from remediator.rules.testfile_timeline import LONGEST, Moment, Said, TimelineTest
from remediator.rules.testfile_wanted import CHANGES, param_text
from remediator.runtime.intake import met_rules
from remediator.testing.timeline import FEED, Timeline

OWN = "self."
"""What the rules of the daemon's alerts about itself begin with: they are told in the story, and happen to no rule."""
LOG = "log"
TELLINGS: dict[Reason, str] = {Reason.PAGED: "page", Reason.NOTIFIED: "notify"}


class Happening(msgspec.Struct):
    """Something that a timeline can expect. at: since the start. The rest is as in testfile_wanted.Wanted."""

    at: Duration
    what: str
    name: str
    fields: dict[str, str]
    action_id: str = ""


class Told(msgspec.Struct, frozen=True):
    """One line of the story: a decision, or what was given from outside (then there is none)."""

    at: Duration
    text: str
    decision: Decision | None = None


def policy_of(base: Policy, test: TimelineTest) -> Policy:
    """The policy under which a timeline is played: its deployments, and every route leads to one place of its name.

    Sweeps and surveys would find nothing: what a timeline does not tell did not happen.
    """
    return msgspec.structs.replace(
        base,
        deployments={name: _deployment(base.deployments.get(name), one) for name, one in test.deployments.items()},
        routes={
            name: msgspec.structs.replace(route, destinations=(Destination("pagerduty.page", receiver=name),))
            for name, route in base.routes.items()
        },
        lateness=base.lateness if test.lateness is None else test.lateness,
        feed_lateness={},
        sweep_every=LONGEST,
        survey_every=LONGEST,
    )


def _deployment(known: DeploymentPolicy | None, given: DeploymentPolicy) -> DeploymentPolicy:
    hosts, serves = (known.log_hosts, known.serves) if known is not None else ((), ())
    return msgspec.structs.replace(given, feed=FEED, log_hosts=given.log_hosts or hosts, serves=given.serves or serves)


def under(rule_set: RuleSet, policy: Policy) -> RuleSet:
    """The same compiled rules under another policy. Its hash is that of the original."""
    changed = copy.copy(rule_set)
    changed.policy = policy
    return changed


class Story(Timeline):
    """One timeline being played. happened: since the last expectation was compared."""

    def __init__(self, rule_set: RuleSet, test: TimelineTest) -> None:
        self.happened: list[Happening] = []
        self.told: list[Told] = []
        self._by_kind: dict[str, FinalOutcome] = {}
        self._kinds: dict[str, str] = {}
        super().__init__(under(rule_set, policy_of(rule_set.policy, test)), start=test.start, sparse=True)

    @property
    def clock(self) -> Duration:
        """Time since the start."""
        return self.now - self.began

    @property
    def open_incidents(self) -> list[Incident]:
        """Open ones, without the daemon's own."""
        known = self.incidents.values()
        return [one for one in known if one.phase is not Phase.RESOLVED and not one.rule.startswith(OWN)]

    # -- what a step gives ----------------------------------------------------------------------------------------

    def play(self, moment: Moment) -> None:
        """Let time pass until then, and do what the step says. Raises TimelineError if the core does not settle."""
        self.until(self.began + moment.at)
        for name, answers in moment.api.items():
            self._switch_api(name, answers=answers)
        for truth in moment.truths:
            self._tell(f"the scheduler has {truth.dag_id} {truth.run_id} {truth.state or 'no more'}" + "".join(
                f", {task.task_id} {task.state} at try {task.try_number}" for task in truth.tasks))  # fmt: skip
            self.scheduler.has(truth, self.now)
        self._by_kind.update(moment.outcomes)
        if moment.press:
            self._press_on(moment.press)
        if moment.feed:
            self._tell(f"the feed {moment.feed}")
            self.feed_stops() if moment.feed == "stops" else self.feed_reads_on()
        for said in moment.said:
            self.until(self.began + said.at)
            self._say_one(said)

    def _press_on(self, command: str) -> None:
        if command in ("freeze", "thaw"):
            self._press(command)
            return
        for proposal in [each for one in self.open_incidents for each in one.proposals]:
            self.give(Pressed("somebody", command, subject=proposal.id, key=proposal.key))

    def _switch_api(self, name: str, *, answers: bool) -> None:
        for deployment in [name] if name else self._rules.policy.deployments:
            self._tell(f"{deployment}: the API is {'up' if answers else 'down'}")
            self.reachable(deployment) if answers else self.unreachable(deployment)

    def _say_one(self, said: Said) -> None:
        event = said.event
        self._agree(event, final=said.final)
        fact = self.fact_of(event)
        about = (event.deployment, event.dag_id, event.run_id, event.task_id, event.subject)
        meets = f" (meets {', '.join(fact.rules)})" if fact is not None and fact.rules else ""
        self._tell(f"event {event.type}: {' '.join(filter(None, about))}{meets}")
        self._take_in(fact)

    def _agree(self, event: Event, *, final: bool) -> None:
        """The scheduler has what it announced itself: ends, and failures that are said to be final."""
        if event.dag_id is None or event.run_id is None:
            return
        place = event.deployment, event.dag_id, event.run_id
        if event.type in ("dagrun.success", "dagrun.failed"):
            self.scheduler.ends(place, event.type.partition(".")[2], self.now)
        elif event.task_id is not None and (final or event.type == "task.success"):
            state, number = "failed" if final else "success", event.try_number or 1
            self.scheduler.says(place, event.task_id, state, number, self.now, map_index=event.map_index)

    def fact_of(self, event: Event) -> Fact | None:
        """As the intake has it: what no rule meets and ends nothing is not journalled."""
        rules = self._rules
        matched = met_rules(rules, event)
        is_condition = event.condition is not None and rules.wants_condition(event.condition.name)
        if matched:
            return Fact(event, matched, rules.hash)
        return Fact(compact(event)) if is_condition or event.type in TERMINAL else None

    def outcome_of(self, action: Action) -> FinalOutcome | None:
        """As the timeline has it for the kind of step that led to the action."""
        return self._by_kind.get(self._kinds.get(action.id, ""))

    # -- what happens ---------------------------------------------------------------------------------------------

    def _give(self, given: Input) -> None:
        super()._give(given)
        if isinstance(given, Performed):
            self._take_outcome(given)
        self._observe(self.changes[-1])

    def _take_outcome(self, performed: Performed) -> None:
        for one in self.happened:
            if one.action_id == performed.action_id:
                one.fields["outcome"] = type(performed.outcome).__name__.lower()

    def _observe(self, changes: Changes) -> None:
        actions = {action.id: action for action in changes.actions}
        known = len(self.happened)
        for decision in changes.decisions:
            self._tell(_line(decision), decision)
            self._note(decision, actions, known)
        cancelled = {action_id for action_id, _ in changes.cancels}
        if cancelled:
            self.happened = [one for one in self.happened if one.action_id not in cancelled or "outcome" in one.fields]

    def _note(self, decision: Decision, actions: dict[str, Action], known: int) -> None:
        match decision.reason:
            case Reason.FIRED | Reason.RULE_RESPONDS:
                self._happen("fired", decision.rule, self._per(decision))
            case Reason.RULE_OBSERVES if not self._rules.rules[decision.rule].is_detector:
                self._happen("fired", decision.rule, {})
            case Reason.UNCLASSIFIED:
                self._happen("fired", "unclassified", {})
            case Reason.DUPLICATE if len(self.happened) > known and self.happened[-1].what == "fired":
                self.happened.pop()  # a repeated event met the rule again, which changed nothing
            case Reason.INCIDENT_RESOLVED:
                incident = self.incidents[decision.incident]
                if not incident.rule.startswith(OWN):
                    fields = {"because": incident.resolution, "title": incident.title}
                    self._happen("resolved", incident.rule, fields)
            case reason if decision.action_id in actions and decision.action_id not in self._kinds:
                self._act(reason, actions[decision.action_id])

    def _per(self, decision: Decision) -> dict[str, str]:
        state = self.core.states.get(decision.key)
        if not isinstance(state, DetectorState):
            return {}
        fields = self._rules.rules[decision.rule].per
        return {f"per.{field}": value for field, value in zip(fields, state.per, strict=False)}

    def _act(self, reason: Reason, action: Action) -> None:
        kind = action.kind if action.kind == LOG else TELLINGS.get(reason, action.kind)
        if isinstance(action.params, Pause) and not action.params.paused:
            kind = "airflow.resume"
        self._kinds[action.id] = kind
        fields = _fields(action)
        if not fields.get("rule", "").startswith(OWN):
            self._happen("action", kind, fields, action.id)

    def _happen(self, what: str, name: str, fields: dict[str, str], action_id: str = "") -> None:
        self.happened.append(Happening(self.clock, what, name, fields, action_id))

    def _tell(self, text: str, decision: Decision | None = None) -> None:
        self.told.append(Told(self.clock, text, decision))


def _fields(action: Action) -> dict[str, str]:
    params = action.params
    if isinstance(params, Page | Message | LogLine):
        incident = params.incident
        return {
            "to": action.target,
            "rule": incident.rule,
            "deployment": incident.deployment,
            "dag_id": incident.dag_id,
            "severity": incident.severity,
            "title": incident.title,
            "text": incident.text,
        }
    given = msgspec.structs.asdict(params)
    fields = {name: param_text(name, given[name]) for name in CHANGES.get(action.kind, ()) if given[name] is not None}
    if isinstance(params, Retry):
        fields["tasks"] = ", ".join(sorted(map(_task, params.tasks)))
    return {"deployment": action.target, **fields}


def _task(target: RetryTarget) -> str:
    return target.task_id if target.map_index == UNMAPPED_INDEX else f"{target.task_id}[{target.map_index}]"


def _line(decision: Decision) -> str:
    rule = f" [{decision.rule}]" if decision.rule else ""
    return f"{decision.reason.value}: {decision.text}{rule}"
