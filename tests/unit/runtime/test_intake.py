"""Intake: what becomes of a batch, field by field."""

from __future__ import annotations

import msgspec

from remediator.codecs.dead_letters import dead_letter
from remediator.codecs.deployments import DeploymentBinding, DeploymentMap
from remediator.model.event import ErrorInfo, Event
from remediator.model.inputs import Fact, Gap, Unmapped, Watermark
from remediator.model.policy import Policy
from remediator.model.record import Origin, Record
from remediator.model.time import SECOND
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.runtime.intake import Intake, Prepared, prepare
from remediator.sources.port import Lost, SourceBatch

NOW = 1_790_000_000 * SECOND
RULES = RuleSet(RuleSetSpec((Rule(id="checks", on=("check.failed",), do=(Step("page", to="default"),)),), Policy()))


def decode(record: Record) -> list[Event] | str:
    value = record.value or b""
    return "not an event" if value.startswith(b"!") else [msgspec.json.decode(value, type=Event)]


INTAKE = Intake("main", decode, DeploymentMap([DeploymentBinding("prod", ("prod-*",))]).assign, dead_letter)


def event(kind: str, **fields: object) -> bytes:
    base = Event(kind, NOW - 5 * SECOND, namespace="prod-eu", dag_id="crm", run_id="r1", task_id="pull", try_number=1)
    return msgspec.json.encode(msgspec.structs.replace(base, **fields))


def batch(*values: bytes, lost: Lost | None = None, at_head: bool = True) -> SourceBatch:
    records = [Record("t", 0, 10 + number, NOW, None, value) for number, value in enumerate(values)]
    return SourceBatch("t", 0, 2, records, 10, 10 + len(values), at_head, NOW - SECOND, lost)


def prepared(source: SourceBatch, *, mark: bool = True) -> Prepared:
    found = prepare(INTAKE, RULES, source, NOW, mark=mark)
    assert found is not None
    return found


def test_a_failure_is_a_fact_with_its_error_and_a_history_row() -> None:
    found = prepared(batch(event("task.failed", error=ErrorInfo("KeyError", "'id'", "trace"))))
    fact, mark = found.batch.inputs
    assert isinstance(fact, Fact)
    assert (fact.event.deployment, fact.event.error, fact.rules) == ("prod", ErrorInfo("KeyError", "'id'", "trace"), ())
    assert mark == Watermark("main", "t", 0, 2, NOW - SECOND, at_head=True)
    (row,) = found.batch.history
    assert (row.state, row.try_number, row.error) == ("failed", 1, "'id'")
    assert (found.batch.expected, found.batch.next_offset) == (10, 11)
    assert fact.origin == Origin("main", "t", 0, 10)


def test_a_success_is_a_compact_fact_and_a_start_is_history_only() -> None:
    found = prepared(batch(event("task.started"), event("task.success", log_url="http://x", tags=("a",))), mark=False)
    (fact,) = found.batch.inputs
    assert isinstance(fact, Fact)
    assert (fact.event.type, fact.event.log_url, fact.event.tags) == ("task.success", None, ())
    assert [row.state for row in found.batch.history] == ["started", "success"]
    assert (found.records, found.events, found.facts, found.matches) == (2, 2, 1, 0)


def test_a_match_carries_its_rules_and_the_whole_event() -> None:
    found = prepared(batch(event("check.failed", subject="orders", attributes={"expected": 1})), mark=False)
    (fact,) = found.batch.inputs
    assert isinstance(fact, Fact)
    assert (fact.rules, fact.rule_set, fact.event.attributes) == (("checks",), RULES.hash, {"expected": 1})


def test_an_event_that_nobody_needs_moves_the_position_only() -> None:
    found = prepared(batch(event("query.started")), mark=False)
    assert (list(found.batch.inputs), list(found.batch.history), found.batch.next_offset) == ([], [], 11)


def test_garbage_is_a_dead_letter_beside_good_records() -> None:
    found = prepared(batch(b"!password=hunter2", event("task.success")), mark=False)
    (letter,) = found.batch.dead_letters
    assert (letter.offset, letter.reason) == (10, "not an event")
    assert b"hunter2" not in letter.head
    assert found.facts == 1


def test_unmapped_events_are_counted_once_per_namespace_and_are_no_facts() -> None:
    stray = event("task.failed", namespace="lab")
    (unmapped,) = prepared(batch(stray, stray), mark=False).batch.inputs
    assert unmapped == Unmapped("main", "lab", "t", (), 2)


def test_a_gap_is_journalled_before_what_follows_it() -> None:
    found = prepared(batch(event("task.success"), lost=Lost(3, 9, "retention")), mark=False)
    assert found.batch.inputs[0] == Gap("main", "t", 0, 3, 9, NOW)


def test_a_partition_that_is_behind_is_complete_up_to_its_latest_event_only() -> None:
    mark = prepared(batch(event("task.success"), at_head=False)).batch.inputs[-1]
    assert mark == Watermark("main", "t", 0, 2, NOW - 5 * SECOND, at_head=False)


def test_an_event_from_the_future_does_not_complete_the_future() -> None:
    past, skewed, broken = (event("task.success", time=NOW + ahead * SECOND) for ahead in (-90, 2, 999))
    for events, until in (((past, broken), NOW - 90 * SECOND), ((past, skewed), NOW)):
        mark = prepared(batch(*events, at_head=False)).batch.inputs[-1]
        assert isinstance(mark, Watermark)
        assert mark.complete_until == until


def test_an_idle_poll_at_the_head_is_a_mark_and_nothing_else_is_written() -> None:
    assert prepare(INTAKE, RULES, batch(), NOW, mark=False) is None
    (mark,) = prepared(batch()).batch.inputs
    assert isinstance(mark, Watermark)
    assert prepare(INTAKE, RULES, batch(at_head=False), NOW, mark=True) is None
