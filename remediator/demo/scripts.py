"""Scripted stories: what `explain` tells of each kind of treatment, under a manual clock, the same in every run.

Owns the scripts and the ground they give. The page that shows them is pages.py's, the words are runtime/story*.py's.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from remediator.model.action import QUESTIONS, Action
from remediator.model.event import UNMAPPED_INDEX, ConditionInfo, ErrorInfo, Event
from remediator.model.incident import Incident
from remediator.model.inputs import Entry, Fact, Input, Performed, Pressed, Previewed
from remediator.model.outcome import Delivered, Refused
from remediator.model.policy import DeploymentPolicy, Destination, Maintenance, Mode, Policy, Route
from remediator.model.record import Origin
from remediator.model.time import MINUTE, SECOND, Instant
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Selector, Step, Window
from remediator.runtime.story_parts import Ground, RuleWords
from remediator.runtime.surface_story import beside_of
from remediator.store.port import ActionRow
from remediator.testing.timeline import FEED, START, Timeline

FIRST_OFFSET = 1_200
RUN = "scheduled__2027-01-15T08:00:00+00:00"
DATA = Destination("slack.message", "chat", "#data")
POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", FEED, Mode.ACT),
        "careful": DeploymentPolicy("careful", FEED, Mode.APPROVE),
        "cluster": DeploymentPolicy("cluster", FEED, Mode.ACT, has_api=False, serves=("prod*",)),
    },
    routes={
        "oncall": Route(
            "oncall", (Destination("pagerduty.page", "pager"), Destination("slack.message", "chat", "#data"))
        ),
        "chat": Route("chat", (Destination("slack.message", "chat", "#data"),)),
    },
    unclassified_route="oncall",
    self_route="chat",
    lateness=10 * SECOND,
)
RETRY = Step("airflow.retry", backoff=Backoff(initial=30 * SECOND, jitter=0))
PAGE, CHAT = Step("page", to="oncall"), Step("notify", to="chat")


class Script(msgspec.Struct, frozen=True):
    """One story. actions: kinds of those of its actions that are told by themselves, the first of each kind."""

    name: str
    title: str
    intro: str
    play: Callable[[], Timeline]
    actions: tuple[str, ...] = ()
    rule: str = ""
    """Of the incident that is told; '': the first one that is not the daemon's own."""


def line_of(*do: Step, policy: Policy = POLICY, otherwise: tuple[Step, ...] = (PAGE,), **fields: object) -> Timeline:
    """A story under one rule that retries what lost its connection."""
    given: dict[str, object] = {
        "id": "lost-connection", "summary": "Retry what lost its connection", "on": ("task.failed_finally",),
        "mode": Mode.ACT, "file": "network.toml", "line": 3, "do": do, "otherwise": otherwise, **fields,
    }  # fmt: skip
    return Timeline(RuleSetSpec((msgspec.convert(given, Rule),), policy))


def limits(**fields: object) -> Policy:
    """The policy with these limits."""
    return msgspec.structs.replace(POLICY, **fields)


def fails(line: Timeline, try_number: int = 1, **more: object) -> Timeline:
    """The task fails for good, a moment before its event is read."""
    place = {"run_id": RUN, **more}
    line.log_tail = "Traceback (most recent call last):\npsycopg2.OperationalError: connection reset by peer"
    return line.fails("load", try_number, **place)


def well(line: Timeline, try_number: int, **more: str) -> Timeline:
    """The scheduler has the task well again."""
    place = {"run_id": RUN, **more}
    return line.look_says("load", "success", try_number, map_index=UNMAPPED_INDEX, dagrun="success", **place)


def answer(line: Timeline, command: str, reason: str = "") -> Timeline:
    """A person answers the open proposal."""
    (proposal,) = (one for incident in line.incidents.values() for one in incident.proposals)
    return line.give(Pressed("ann", command, reason, proposal.id, proposal.key))


# -- scripts ------------------------------------------------------------------------------------------------------


def healed() -> Timeline:
    return well(fails(line_of(RETRY).at("10s")).at("2m"), 2).at("6m")


def in_vain() -> Timeline:
    once = msgspec.structs.replace(RETRY, max_attempts=1)
    line = fails(fails(line_of(once).at("10s")).at("2m"), 2).at("40m")
    return well(line, 3).at("55m")


def approved() -> Timeline:
    line = fails(line_of(CHAT, RETRY).at("10s"), deployment="careful").at("12m")
    answer(line, "approve", "the source is back").at("14m")
    return well(line, 2, deployment="careful").at("20m")


def unanswered() -> Timeline:
    return fails(line_of(CHAT, RETRY).at("10s"), deployment="careful").at("65m")


def blast_radius() -> Timeline:
    too_many = Refused("it would touch 80 task instances, 50 are allowed without asking", affects=80)
    line = line_of(RETRY).answer_with("airflow.retry", too_many)
    names = ", ".join(["load (failed)", *(f"mart[{number}] (upstream_failed, downstream)" for number in range(3))])
    text = f"clears 80 task instances of sales {RUN}: {names} and 76 more"
    line.previewed = lambda action: Previewed(action.id, action.key, text, 80)
    return fails(line.at("10s")).at("5m")


def breaker() -> Timeline:
    line = line_of(RETRY, policy=limits(breaker_sample=3))
    for number in range(3):
        fails(line, run_id=f"manual__{number}").at(f"{10 * number + 1}m")
        fails(line, 2, run_id=f"manual__{number}").at(f"{10 * number + 5}m")
    fails(line, run_id="manual__3").at("27m")
    return well(line, 2, run_id="manual__3").at("33m")


def capped() -> Timeline:
    line = line_of(RETRY, policy=limits(changes_per_minute=1)).at("10s")
    fails(line, dag_id="orders")
    fails(line).at("4m")
    return well(line, 2).at("10m")


def maintenance() -> Timeline:
    window = Maintenance(("prod",), START, START + 20 * MINUTE, "database upgrade")
    return well(fails(line_of(RETRY, policy=limits(maintenance=(window,))).at("10s")).at("21m"), 2).at("30m")


def frozen() -> Timeline:
    line = line_of(RETRY).at("5s").give(Pressed("ann", "freeze", "migration tonight"))
    return well(fails(line.at("10s")).at("5m").thaw().at("7m"), 2).at("12m")


def catching_up() -> Timeline:
    line = line_of(PAGE, otherwise=()).at("1m").feed_stops()
    line.look_says("load", "failed", 1, run_id=RUN, dagrun="failed").at("3m")
    error = ErrorInfo("ConnectionError", "connection reset by peer")
    event = Event("task.failed", line.now - 90 * SECOND, deployment="prod", dag_id="sales", run_id=RUN, task_id="load",
                  try_number=1, error=error)  # fmt: skip
    return line.give(Fact(event)).at("4m").feed_reads_on().at("6m")


def _check(line: Timeline, kind: str) -> Timeline:
    return line.event(Event(kind, line.now, source="checks", deployment="prod", subject="warehouse/orders"))


def calm_end() -> Timeline:
    rule = Rule(
        "checks-failing", on=("check.failed",), summary="A check failed three times within ten minutes", mode=Mode.ACT,
        per=("deployment", "subject"), window=Window(10 * MINUTE, at_least=3), do=(CHAT,), file="checks.toml", line=1,
    )  # fmt: skip
    line = Timeline(RuleSetSpec((rule,), POLICY)).at("10s")
    for minute in (1, 2, 3, 4):
        _check(line, "check.failed").at(f"{minute}m")
    return line.at("40m")


def _node(line: Timeline, *, active: bool) -> Timeline:
    condition = ConditionInfo("node.not_ready", "node/n1", active)
    kind = "node.not_ready" if active else "node.ready"
    return line.event(Event(kind, line.now, source="k8s", deployment="cluster", subject="node/n1", condition=condition))


def node_ends() -> Timeline:
    rule = Rule(
        "node-away", on=("node.not_ready",), summary="A node was not ready for five minutes", mode=Mode.ACT, line=1,
        per=("deployment", "subject"), hold_for=5 * MINUTE, ended_by=Selector(("node.ready",)), do=(PAGE,),
        file="nodes.toml", runbook="https://wiki.example.com/nodes",
    )  # fmt: skip
    line = _node(Timeline(RuleSetSpec((rule,), POLICY)).at("10s"), active=True).at("20m")
    return _node(line, active=False).at("25m")


def undone() -> Timeline:
    pause = Step("airflow.pause", undo_after=30 * MINUTE)
    line = line_of(pause, CHAT, otherwise=(), summary="Stop a DAG that floods its source")
    fails(line.answer_with("airflow.pause", Delivered(before="unpaused")).at("10s")).at("40m")
    return line


SCRIPTS: tuple[Script, ...] = (
    Script("healed", "A retry that helped", "Nobody was woken.", healed, ("airflow.retry",)),
    Script("in_vain", "A retry in vain", "The proof says so, and a person is paged.", in_vain, ("airflow.retry",)),
    Script("approved", "A change that a person let happen", "The deployment's ceiling is `approve`.", approved,
           ("airflow.retry",)),
    Script("unanswered", "A question that nobody answered", "It expires, and somebody is paged.", unanswered),
    Script("blast_radius", "A change that would touch too much", "Airflow's dry run says how much.", blast_radius,
           ("airflow.retry",)),
    Script("breaker", "A rule that does not help is stopped",
           "What comes then waits, until one try helps or a person decides.", breaker),
    Script("capped", "Too much at once", "The change waits for its turn; none is lost.", capped, ("airflow.retry",)),
    Script("maintenance", "Maintenance", "Changes wait for its end.", maintenance),
    Script("frozen", "The freeze", "What it holds is decided anew after it.", frozen),
    Script("catching_up", "Read late", "What is read may be long over, so that people wait.", catching_up),
    Script("calm_end", "A window over failed checks", "It ends when it has calmed down.", calm_end),
    Script("node_ends", "A node that is not ready", "The rule waits whether it lasts; an event ends it.", node_ends),
    Script("undone", "A pause that is taken back", "The undo is an action of its own.", undone, ("airflow.pause",)),
)  # fmt: skip


# -- what they give -----------------------------------------------------------------------------------------------


def told_incident(line: Timeline, rule: str = "") -> Incident:
    """The incident that a script is about: the latest updated of those that fit."""
    found = [one for one in line.incidents.values() if not one.rule.startswith("self.") and rule in ("", one.rule)]
    own = [one for one in found if one.dag_id != "orders"]
    return (own or found)[0]


def ground_of(line: Timeline, incident: Incident) -> Ground:
    """What a store would know of the incident."""
    decisions = tuple(one for one in line.decisions if one.incident == incident.id)
    active = line.core.world
    rules = line.rule_set(active.rule_set).rules.values()
    return Ground(
        now=line.now,
        incident=incident,
        decisions=decisions,
        beside=tuple(beside_of(incident, decisions, [one for one in line.decisions if not one.incident])),
        actions=rows_of(line, incident),
        inputs={entry.position: _read(entry) for entry in line.journal},
        rules={rule.id: RuleWords(rule.id, rule.summary, rule.mode.value, f"{rule.file}:{rule.line}")
               for rule in rules},
        rule_set=active.rule_set,
        rule_set_since=active.armed_at,
    )  # fmt: skip


def _read(entry: Entry) -> Input:
    """The entry, if it is a fact as though it had been read from a topic."""
    given = entry.input
    if not isinstance(given, Fact):
        return given
    return msgspec.structs.replace(given, origin=Origin(FEED, "airflow.events", 0, FIRST_OFFSET + entry.position))


def rows_of(line: Timeline, incident: Incident) -> tuple[ActionRow, ...]:
    """The outbox rows of the incident, as a store would have them."""
    ended: dict[str, tuple[Instant, Performed]] = {
        entry.input.action_id: (entry.at, entry.input) for entry in line.journal if isinstance(entry.input, Performed)
    }
    rows = []
    for action in line.actions:
        if action.incident != incident.id or action.kind in QUESTIONS:
            continue
        at, performed = ended.get(action.id, (action.not_before, None))
        rows.append(_row(action, at, performed))
    return tuple(rows)


def _row(action: Action, at: Instant, performed: Performed | None) -> ActionRow:
    if performed is None:
        return ActionRow(action, "pending", 0, "", at)
    outcome = performed.outcome
    detail = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    state = "delivered" if isinstance(outcome, Delivered) else "refused" if isinstance(outcome, Refused) else "unknown"
    return ActionRow(action, state, 0, detail, at)
