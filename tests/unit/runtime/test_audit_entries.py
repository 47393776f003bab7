"""What the audit says of a step: on whose word, by which rule, with which approval; and what it leaves out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from remediator.engine.core import Changes
from remediator.engine.state import Case, CasePhase, DagRunState, DagState
from remediator.model.action import Action, LogLine, Look, Message, Page, Pause, Request, Retry, RetryTarget
from remediator.model.event import Event
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.outcome import Delivered, Refused, Unknown
from remediator.model.policy import Mode, Policy
from remediator.model.reasons import Decision, Reason
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.runtime import audit
from remediator.store.audit import AuditEntry, canonical

NOW = 1_800_000_000_000_000
KEY = "dag:prod/orders"
STEP = Step(action="airflow.retry")
RULES = RuleSet(RuleSetSpec((Rule(id="reset", on=("task.failed_finally",), mode=Mode.APPROVE, do=(STEP,)),), Policy()))
INCIDENT = Incident("i", 1, "orders failed", "error", "prod", Phase.FIRING, Handling.NONE, NOW, NOW, rule="reset")
RETRY = Retry("orders", "r1", (RetryTarget("load", 1), RetryTarget("map", 2, 3)), why="reset")
APPROVAL = stable_id("approval", "reset", "do/0", STEP)


def action(params: Any, name: str = "a", **more: Any) -> Action:
    return Action(name, "lane", KEY, "prod", params, NOW, NOW + 1, "i", **more)


def changes(*actions: Action, decisions: tuple[Decision, ...] = ()) -> Changes:
    return Changes(7, {}, {}, list(actions), [], [], list(decisions))


def state(**more: Any) -> dict[str, Any]:
    event = Event("task.failed_finally", NOW, deployment="prod", dag_id="orders", run_id="r1", task_id="load")
    case = Case(event, CasePhase.ISSUED, "reset", "i", 1, action_id="a", match={"host": "db-1"}, **more)
    return {KEY: DagState("prod", "orders", dagruns={"r1": DagRunState(cases={"load": case})})}


def decision(**more: Any) -> Decision:
    fields = {"reason": Reason.RETRY_ISSUED, "text": "clear of try 1", "action_id": "a", "rule": "reset", **more}
    return Decision(position=5, at=NOW, key=KEY, incident="i", **fields)


def wanted(step: Changes, states: dict[str, Any]) -> dict[str, AuditEntry]:
    return audit.wanted(step, states, RULES)


def test_a_change_says_who_what_why_and_by_which_rules() -> None:
    entry = wanted(changes(action(RETRY), decisions=(decision(),)), state())["a"]
    assert (entry.event, entry.actor, entry.rule, entry.rule_set) == ("wanted", "rule reset", "reset", RULES.hash)
    assert (entry.target, entry.subject) == ("prod", "orders/r1 load map[3]")
    assert (entry.why, entry.position, entry.match) == ("retry_issued: clear of try 1", 5, {"host": "db-1"})
    assert (entry.approved_by, entry.proposal) == ("", "")
    assert entry.params["tasks"][1]["map_index"] == 3


def test_an_approved_change_names_the_person_and_the_proposal() -> None:
    step, states = changes(action(RETRY), decisions=(decision(),)), state(approved={APPROVAL: "ada"}, granted="p1")
    entry = wanted(step, states)["a"]
    assert (entry.approved_by, entry.proposal) == ("ada", "p1")
    other_step = state(approved={stable_id("approval", "reset", "do/1", STEP): "ada"}, granted="p1")
    entry = wanted(step, other_step)["a"]
    assert (entry.approved_by, entry.proposal) == ("", "")


def test_pages_and_first_messages_are_audited_and_nothing_else_that_is_told_or_asked() -> None:
    told = [
        action(Page(INCIDENT, "trigger", "k"), "page"),
        action(Page(INCIDENT, "resolve", "k"), "over"),
        action(Message(INCIDENT, "#alerts"), "post"),
        action(Message(INCIDENT, "#alerts", "C:1"), "edit"),
        action(LogLine(INCIDENT, "x"), "log"),
        action(Look("orders", "r1"), "look"),
    ]
    found = wanted(changes(*told), {})
    assert sorted(found) == ["page", "post"]
    assert (found["page"].actor, found["post"].subject, found["post"].params) == (
        "rule reset", "#alerts: orders failed", {},
    )  # fmt: skip


def test_a_step_without_such_actions_looks_at_nothing() -> None:
    assert audit.wanted(changes(action(Look("orders", "r1"))), None, None) == {}  # type: ignore[arg-type]


def test_an_undo_is_remediators_own() -> None:
    undone = decision(reason=Reason.UNDONE, text="DAG orders goes back", rule="")
    entry = wanted(changes(action(Pause("orders", False)), decisions=(undone,)), {})["a"]
    assert (entry.actor, entry.why, entry.subject) == ("remediator", "undone: DAG orders goes back", "orders")


def test_large_parameters_are_left_out() -> None:
    entry = wanted(changes(action(Request("hook", {"text": "x" * 10_000}))), {})["a"]
    assert list(entry.params) == ["left_out"]
    assert len(canonical(entry)) < 1_000


@pytest.mark.parametrize(
    ("outcome", "state", "detail"),
    [
        (Delivered(detail="cleared 1", before="unpaused"), "delivered", "cleared 1; before: unpaused"),
        (Refused("frozen"), "refused", "frozen"),
        (Unknown("no answer"), "unknown", "no answer"),
    ],
)
def test_results(outcome: Delivered | Refused | Unknown, state: str, detail: str) -> None:
    given = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    entry = audit.result(action(RETRY), outcome, state, given)
    assert entry is not None
    assert (entry.event, entry.action_id, entry.result, entry.detail) == ("result", "a", state, detail)
    assert audit.result(action(Message(INCIDENT, "#alerts", "C:1")), outcome, state, given) is None


def test_canonical_bytes_do_not_depend_on_who_encodes() -> None:
    entry = wanted(changes(action(RETRY), decisions=(decision(text="ü \u2028 <x>"),)), state())["a"]
    assert canonical(msgspec.json.decode(canonical(entry))) == canonical(entry)
    assert canonical(AuditEntry(event="e", actor="b", what="a")) == b'{"actor":"b","event":"e","what":"a"}'
