"""Each operator on each kind of value: yes, no, or an error that says why."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.model.event import ErrorInfo, Event
from remediator.rules.clauses import Clause, compile_where
from remediator.rules.conditions import Trouble
from remediator.rules.fields import FIELDS, getter_of

EVENT = Event(
    type="task.failed_finally",
    time=0,
    dag_id="billing_daily",
    try_number=3,
    tags=("finance", "nightly"),
    outputs=("postgres://db/orders",),
    error=ErrorInfo(type="builtins.KeyError", message="line one\nCafé 'x'"),
    attributes={"flag": True, "n": 1.5, "list": ["a", 2], "a": {"b.c": {"d": "deep"}}, "none": None, "bad": "\ud800"},
)
YES, NO = True, False


def verdict(field: str, raw: Any, event: Event = EVENT) -> bool | Trouble:
    faults: list[Any] = []
    clauses: tuple[Clause, ...] = compile_where({field: raw}, lambda *fault: faults.append(fault))
    assert not faults
    return clauses[0].verdict(event)


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        ("dag_id", "billing_daily", YES),
        ("dag_id", "BILLING_DAILY", NO),
        ("dag_id", "billing", NO),
        ("dag_id", "bill*", YES),
        ("dag_id", "bill", NO),
        ("dag_id", "?illing_[a-f]aily", YES),
        ("dag_id", "billing_[!d]aily", NO),
        ("dag_id", ["x", "billing_daily"], YES),
        ("dag_id", ["x", "bill*"], YES),
        ("dag_id", {"in": ["bill*", "x"]}, NO),
        ("dag_id", {"equals": "bill*"}, NO),
        ("dag_id", {"glob": "*daily"}, YES),
        ("dag_id", {"matches": "ing_d"}, YES),
        ("dag_id", {"matches": "^ing_d"}, NO),
        ("dag_id", {"matches": "(?i)BILLING"}, YES),
        ("dag_id", {"glob": "bill*", "matches": "y$"}, YES),
        ("dag_id", {"glob": "bill*", "matches": "x$"}, NO),
        ("dag_id", {"not": "x"}, YES),
        ("dag_id", {"not": {"not": "x"}}, NO),
        ("dag_id", {"exists": True}, YES),
        ("dag_id", {"exists": False}, NO),
        ("try_number", 3, YES),
        ("try_number", 3.0, YES),
        ("try_number", "3", NO),
        ("try_number", [1, 3], YES),
        ("try_number", {"gt": 2, "lte": 3}, YES),
        ("try_number", {"gte": 3, "lt": 3}, NO),
        ("attributes.flag", True, YES),
        ("attributes.flag", 1, NO),
        ("attributes.n", {"gt": 1}, YES),
        ("attributes.n", True, NO),
        ("attributes.a.b.c", {"exists": True}, YES),
        ("attributes.a", {"exists": True}, YES),
        ("attributes.a", "deep", NO),
        ("tags", "night*", YES),
        ("tags", {"not": "finance"}, NO),
        ("tags", {"glob": "f*", "matches": "ly$"}, NO),
        ("tags", {"glob": "f*", "not": "nightly"}, NO),
        ("outputs", "postgres://*/orders", YES),
        ("attributes.list", 2, YES),
        ("attributes.list", {"matches": "a"}, YES),
        ("error.message", "line*é*", YES),
        ("error.message", {"matches": "é 'x'$"}, YES),
        ("attributes.bad", {"matches": r"^\?$"}, YES),
    ],
)
def test_condition_on_a_field_that_is_there(field: str, raw: Any, expected: bool) -> None:
    assert verdict(field, raw) is expected


@pytest.mark.parametrize(
    ("field", "raw", "reason"),
    [
        ("dag_id", {"gt": 3}, "dag_id: a string where a number is needed"),
        ("attributes.flag", {"gte": 0}, "attributes.flag: true or false where a number is needed"),
        ("try_number", {"matches": "3"}, "try_number: a number where text is needed"),
        ("try_number", "3*", "try_number: a number where text is needed"),
        ("try_number", {"not": "3*"}, "try_number: a number where text is needed"),
        ("attributes.a", {"glob": "*"}, "attributes.a: a table where text is needed"),
        ("attributes.list", {"glob": "z*"}, "attributes.list: a number where text is needed"),
    ],
)
def test_condition_that_cannot_be_answered_says_why(field: str, raw: Any, reason: str) -> None:
    assert verdict(field, raw) == Trouble(reason)


@pytest.mark.parametrize("field", ["owner", "deployment", "error.trace", "attributes.none", "attributes.x.y"])
def test_missing_field_is_missing_and_not_false(field: str) -> None:
    missing = Trouble(f"{field}: missing")
    assert verdict(field, "x") is NO
    assert verdict(field, {"lt": 3}) is NO
    assert verdict(field, {"exists": False}) is YES
    assert verdict(field, {"exists": True}) is NO
    assert verdict(field, {"not": "x"}) == missing
    assert verdict(field, {"not": {"not": "x"}}) == missing
    assert verdict(field, {"not": {"exists": True}}) is YES
    assert verdict(field, {"exists": False, "equals": "x"}) is NO


def test_empty_list_is_there_but_has_nothing() -> None:
    event = Event(type="x", time=0)
    assert verdict("tags", "x", event) is NO
    assert verdict("tags", {"not": "x"}, event) is YES
    assert verdict("tags", {"exists": True}, event) is NO


def test_every_field_of_an_event_can_be_asked_for() -> None:
    for field in FIELDS:
        getter = getter_of(field)
        assert getter is not None
        getter(EVENT)
    assert getter_of("attributes") is None
    assert getter_of("error") is None
    assert getter_of("attributes." + ".".join("a" * 40)) is None
