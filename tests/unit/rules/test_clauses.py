"""How clauses combine: any, all, not, their errors and faults; comparisons with durations, instants, other fields."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.model.event import ConditionInfo, ErrorInfo, Event
from remediator.model.time import HOUR, MINUTE, SECOND, parse_instant
from remediator.rules.clauses import compile_where, group_names, key_values, verdict_of
from remediator.rules.conditions import Trouble

AT = parse_instant("2026-11-20T22:30:00Z")
"""A Friday night."""
EVENT = Event(
    type="task.failed",
    time=AT,
    dag_id="billing",
    try_number=2,
    retries=2,
    started_at=AT - 90 * MINUTE,
    ended_at=AT,
    tags=("a", "billing"),
    condition=ConditionInfo("node.not_ready", "node/x"),
    attributes={"s": 90.5, "yesterday": 10, "today": 25, "text": "t", "expected": 3600, "huge": 10**400,
                "same": "billing"},
)  # fmt: skip
YES, NO = {"dag_id": "billing"}, {"dag_id": "other"}
ERROR = {"dag_id": {"gt": 1}}
MISSING = {"owner": "x"}


def verdict(where: dict[str, Any], event: Event = EVENT) -> bool | str:
    faults: list[Any] = []
    clauses = compile_where(where, lambda *fault: faults.append(fault))
    assert not faults
    found = verdict_of(clauses, event)
    return found.reason if isinstance(found, Trouble) else found


def faults_of(where: dict[str, Any]) -> list[tuple[Any, ...]]:
    faults: list[tuple[Any, ...]] = []
    compile_where(where, lambda *fault: faults.append(fault))
    return faults


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"any": [NO, YES]}, True),
        ({"any": [NO, NO]}, False),
        ({"any": [ERROR, YES]}, True),
        ({"any": [NO, ERROR]}, "any[1].dag_id: a string where a number is needed"),
        ({"any": [NO, MISSING]}, False),
        ({"any": [{**YES, **NO}, YES]}, True),
        ({"all": [YES, YES]}, True),
        ({"all": [ERROR, NO]}, False),
        ({"all": [YES, ERROR]}, "all[1].dag_id: a string where a number is needed"),
        ({"not": NO}, True),
        ({"not": YES}, False),
        ({"not": ERROR}, "not.dag_id: a string where a number is needed"),
        ({"not": MISSING}, "not.owner: missing"),
        ({"not": {**MISSING, **NO}}, True),
        ({"not": {**MISSING, **YES}}, "not.owner: missing"),
        ({"not": {"owner": {"exists": True}}}, True),
        ({"not": {"owner": {"exists": False}}}, False),
        ({"not": {"not": MISSING}}, "not.not.owner: missing"),
        ({"not": {"not": YES}}, True),
        ({"not": {"any": [MISSING, YES]}}, False),
        ({"not": {"any": [MISSING, NO]}}, "not.any[0].owner: missing"),
        ({"not": {"all": [MISSING, NO]}}, True),
        ({"any": [{"not": MISSING}, YES]}, True),
        ({"any": [{"all": [YES, {"not": NO}]}]}, True),
        ({**NO, "any": [ERROR]}, False),
    ],
)
def test_combinations(where: dict[str, Any], expected: bool | str) -> None:
    assert verdict(where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"duration": {"gt": "1h29m"}}, True),
        ({"duration": {"gte": "1h30m", "lte": "1h30m"}}, True),
        ({"duration": {"gt": "1h30m"}}, False),
        ({"attributes.s": {"gt": "1m30s", "lt": "90501ms"}}, True),
        ({"attributes.text": {"gt": "1m"}}, "attributes.text: a string where a number is needed"),
        ({"time": {"gte": "2026-11-20T22:30:00Z", "lt": "2026-11-20T23:30:00.000001+01:00"}}, True),
        ({"started_at": {"lt": "2026-11-20T21:00:00Z"}}, False),
        ({"logical_date": {"lt": "2026-11-20T21:00:00Z"}}, False),
        ({"try_number": {"gte": {"field": "retries"}}}, True),
        ({"try_number": {"gt": {"field": "retries"}}}, False),
        ({"attributes.today": {"gt": {"field": "attributes.yesterday", "times": 2}}}, True),
        ({"attributes.today": {"lt": {"field": "attributes.yesterday", "times": 0.5}}}, False),
        ({"attributes.today": {"gt": {"field": "attributes.none"}}}, "attributes.today: attributes.none is missing"),
        ({"attributes.none": {"gt": {"field": "attributes.today"}}}, False),
        ({"not": {"attributes.none": {"gt": {"field": "attributes.today"}}}}, "not.attributes.none: missing"),
        ({"attributes.today": {"gt": {"field": "dag_id"}}},
         "attributes.today: dag_id is a string where a number is needed"),
        ({"attributes.today": {"lt": {"field": "attributes.huge"}}}, True),
        ({"attributes.today": {"lt": {"field": "attributes.huge", "times": 0.5}}},
         "attributes.today: attributes.huge is too large"),
        ({"duration": {"gt": {"field": "attributes.expected", "times": 1.4}}}, True),
        ({"duration": {"gt": {"field": "attributes.expected", "times": 1.5}}}, False),
        ({"attributes.expected": {"lt": {"field": "duration"}}}, True),
        ({"attributes.expected": {"lt": {"field": "duration", "times": 0.5}}}, False),
        ({"ended_at": {"gt": {"field": "started_at"}}}, True),
        ({"dag_id": {"equals": {"field": "attributes.same"}}}, True),
        ({"dag_id": {"equals": {"field": "type"}}}, False),
        ({"dag_id": {"equals": {"field": "owner"}}}, "dag_id: owner is missing"),
        ({"dag_id": {"not": {"equals": {"field": "owner"}}}}, "dag_id: owner is missing"),
        ({"tags": {"equals": {"field": "dag_id"}}}, True),
        ({"condition.name": "node.*", "condition.scope": "node/x", "condition.active": True}, True),
    ],
)  # fmt: skip
def test_comparisons(where: dict[str, Any], expected: bool | str) -> None:
    assert verdict(where) == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ({"between": ["22:00", "06:00"]}, True),
        ({"between": ["22:30", "22:31"]}, True),
        ({"between": ["22:00", "22:30"]}, False),
        ({"between": ["23:00", "24:00"], "timezone": "Europe/Berlin"}, True),
        ({"days": ["mon-fri"]}, True),
        ({"days": ["sat", "sun"]}, False),
        ({"days": "sat", "timezone": "Asia/Tokyo"}, True),
        ({"between": ["22:00", "06:00"], "days": ["thu"]}, False),
        ({"between": ["22:40", "22:35"], "days": ["thu"]}, True),
        ({"not": {"between": ["22:00", "06:00"]}}, False),
    ],
)
def test_hours(hours: dict[str, Any], expected: bool) -> None:
    assert verdict({"time": hours}) is expected


DEEP: dict[str, Any] = {"not": {"any": [{"all": [{"not": {"any": [{"all": [YES]}]}}]}]}}


@pytest.mark.parametrize(
    ("where", "path", "found"),
    [
        ({"any": []}, ("any",), "a list of 0"),
        ({"any": YES}, ("any",), "a table"),
        ({"any": [{}]}, ("any", 0), "an empty table"),
        ({"all": [YES, "x"]}, ("all", 1), '"x"'),
        ({"not": [YES]}, ("not",), "a list"),
        ({"any": [YES] * 101}, ("any",), "a list of 101"),
        ({"any": [YES, {"dag_id": {"gl": "x"}}]}, ("any", 1, "dag_id", "gl"), "unknown operator gl"),
        ({"not": {"any": [{"dagid": 1}]}}, ("not", "any", 0, "dagid"), "unknown field dagid"),
        (DEEP, ("not", "any", 0, "all", 0, "not", "any", 0, "all"), "all at level 6"),
        ({"duration": {"gt": 30}}, ("duration", "gt"), "30"),
        ({"duration": "30m"}, ("duration",), '"30m" for a field that is no text'),
        ({"try_number": {"gt": "30m"}}, ("try_number", "gt"), '"30m"'),
        ({"attributes.n": {"gt": "2026-11-01T00:00:00Z"}}, ("attributes.n", "gt"), '"2026-11-01T00:00:00Z"'),
        ({"time": {"gt": "yesterday"}}, ("time", "gt"), '"yesterday"'),
        ({"time": ["2026*"]}, ("time", 0), '"2026*" for a field that is no text'),
        ({"time": {"gt": {"field": "duration"}}}, ("time", "gt", "field"), "duration, a duration"),
        ({"time": {"gt": {"field": "tim"}}}, ("time", "gt", "field"), '"tim"'),
        ({"time": {"gt": {}}}, ("time", "gt"), "no field"),
        ({"time": {"gt": {"field": "time", "time": 2}}}, ("time", "gt", "time"), "unknown key time"),
        ({"dag_id": {"equals": {"field": "owner", "times": 2}}}, ("dag_id", "equals", "times"), "unknown key times"),
        ({"retries": {"gt": {"field": "try_number", "times": "2"}}}, ("retries", "gt", "times"), '"2"'),
        ({"dag_id": {"days": ["mon"]}}, ("dag_id", "days"), "days on a field that is a text"),
        ({"time": {"timezone": "UTC"}}, ("time", "timezone"), "timezone alone"),
        ({"time": {"days": ["monday"]}}, ("time", "days"), "a list"),
        ({"time": {"between": ["22:00"]}}, ("time", "between"), "a list"),
        ({"time": {"between": ["24:00", "06:00"]}}, ("time", "between"), '"24:00", "06:00"'),
        ({"time": {"days": ["mon"], "timezone": "Berlin"}}, ("time", "timezone"), '"Berlin"'),
        ({"dag_id": {"matches": "".join(f"(?P<n{n}>a)" for n in range(11))}}, ("dag_id", "matches"), "11 named groups"),
    ],
)
def test_fault_says_where_and_what(where: dict[str, Any], path: tuple[Any, ...], found: str) -> None:
    faults = faults_of(where)
    assert [fault[:2] for fault in faults] == [(path, found)]
    assert faults[0][2]


def test_every_fault_is_told_at_once() -> None:
    assert len(faults_of({"any": [{"x": 1}, {"y": 1, "not": {"z": 1}}], "duration": {"gt": 1}, **YES})) == 4


def test_names_of_groups() -> None:
    where = {
        "error.message": {"matches": "(?P<host>a)(?P<port>b)"},
        "any": [{"dag_id": {"matches": "(?P<host>c)", "glob": "*"}}, {"not": {"dag_id": {"matches": "(?P<no>c)"}}}],
        "tags": {"not": {"matches": "(?P<neither>d)"}},
    }
    assert group_names(compile_where(where, lambda *fault: pytest.fail(str(fault)))) == ("host", "port", "host")


def test_values_of_a_key() -> None:
    event = Event("x", 0, dag_id="d", try_number=2, tags=("a", "b"),
                  attributes={"f": 2.0, "t": True, "e": [], "long": "x" * 1_000})  # fmt: skip
    fields = ("dag_id", "try_number", "attributes.f", "attributes.t", "tags", "attributes.e", "time")
    assert key_values(fields, event) == ("d", "2", "2", "true", "a,b", "", "0")
    assert key_values((), event) == ()
    assert key_values(("dag_id", "owner", "task_id"), event) == "owner"
    assert key_values(("nonsense",), event) == "nonsense"
    (long,) = key_values(("attributes.long",), event)
    assert len(long) == 200
    other = Event("x", 0, attributes={"long": "x" * 1_001})
    assert key_values(("attributes.long",), other) != (long,)


def test_duration_is_between_begin_and_end() -> None:
    assert verdict({"duration": {"lt": "1s"}}, Event("x", 0, started_at=HOUR, ended_at=HOUR + SECOND - 1)) is True
    assert verdict({"duration": {"exists": False}}, Event("x", 0, started_at=HOUR)) is True
    assert verdict({"error.type": {"exists": True}}, Event("x", 0, error=ErrorInfo())) is False
