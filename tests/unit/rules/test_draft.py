"""Drafts: for every error that is known to happen, the rule loads, lints clean, and its test passes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rule_cases import read_cases, run_cases

from remediator.model.event import ErrorInfo, Event
from remediator.rules.draft import MAX_TYPE, UndraftableError, draft, pattern_of
from remediator.rules.globs import compile_pattern, utf8
from remediator.rules.index import RuleSet
from remediator.rules.lint import lint
from remediator.rules.load import open_policy, read_rules
from remediator.rules.signature import signature
from remediator.rules.spec import RuleSetSpec
from remediator.rules.toml import parse_document
from remediator.rules.unmatched import CUT, Failure, Group, Groups, error_of

ERRORS = Path(__file__).parents[2] / "data" / "errors"


def recorded() -> list[ErrorInfo]:
    tables = [table for file in sorted(ERRORS.glob("*.toml")) for table in tomllib.loads(file.read_text())["error"]]
    found = [ErrorInfo(table.get("type") or None, table.get("message") or None) for table in tables]
    return list({signature(error).id: error for error in found if signature(error).id}.values())


def group_of(error: ErrorInfo, **fields: str) -> Group:
    place = {"deployment": "prod", "dag_id": "sales", "task_id": "load", "run_id": "r1", **fields}
    groups = Groups()
    groups.add(Failure(**place, error=error, first=0, last=1))
    return groups.most_frequent_first()[0]


def rule_set_of(text: str) -> RuleSet:
    document = parse_document(text, "draft.toml")
    rules = tuple(read_rules(document, None, "draft.toml"))
    document.check()
    return RuleSet(RuleSetSpec(rules, open_policy(rules)))


def is_good(error: ErrorInfo) -> RuleSet:
    """The draft loads, lints without a warning, and its test passes."""
    found = draft(group_of(error))
    rules = rule_set_of(found.rule)
    assert [str(finding) for finding in lint(rules.spec)] == []
    cases = read_cases(parse_document(found.test, "draft.test.toml"), rules.rules)
    assert [str(result) for result in run_cases(rules, cases) if not result.passed] == []
    assert len(cases) == 1
    assert list(rules.rules) == [found.name]
    return rules


@pytest.mark.parametrize("error", recorded(), ids=lambda error: signature(error).id)
def test_every_recorded_error_has_a_draft(error: ErrorInfo) -> None:
    is_good(error)


def event(error: ErrorInfo) -> Event:
    return Event("task.failed_finally", 0, deployment="prod", dag_id="d", error=error)


def test_a_draft_knows_the_same_problem_with_other_ids_and_no_other_problem() -> None:
    rules = is_good(ErrorInfo("TimeoutError", "read from 10.0.3.7:5432 timed out after 30s (try 3 of 5)"))
    assert rules.match(event(ErrorInfo("TimeoutError", "read from 10.9.1.1:80 timed out after 45s (try 1 of 5)"))).rules
    for other in (
        ErrorInfo("OSError", "read from 10.0.3.7:5432 timed out after 30s (try 3 of 5)"),
        ErrorInfo("TimeoutError", "write to 10.0.3.7:5432 timed out after 30s (try 3 of 5)"),
        ErrorInfo("TimeoutError", "no read from 10.0.3.7:5432 timed out after 30s (try 3 of 5)"),
        ErrorInfo("TimeoutError"),
    ):
        assert not rules.match(event(other)).rules


def test_an_error_without_a_message_is_not_every_error_of_its_type() -> None:
    for message in (None, "", " "):
        rules = is_good(ErrorInfo("MemoryError", message))
        assert rules.match(event(ErrorInfo("MemoryError"))).rules
        assert rules.match(event(ErrorInfo("MemoryError", ""))).rules
        assert not rules.match(event(ErrorInfo("MemoryError", "Unable to allocate 5 GiB"))).rules


def test_a_draft_only_observes_and_says_what_is_left_to_decide() -> None:
    found = draft(group_of(ErrorInfo("KeyError", "'customer_id'")), route="data-oncall")
    rule = next(iter(rule_set_of(found.rule).rules.values()))
    assert (rule.mode.value, rule.do[0].to) == ("observe", "data-oncall")
    assert "prod/sales" in found.rule
    assert "airflow.retry" in found.rule


def test_what_is_in_an_error_stays_inside_its_quotes() -> None:
    hostile = 'a"""\n[[rule]]\nid = "evil"\n\x7f\x00 \'\'\' ${x} {event.x} # \\'
    is_good(ErrorInfo("T[*]\n'\"", hostile))
    found = draft(group_of(ErrorInfo(None, "boom"), dag_id='x\n[[rule]]\nid = "evil"'))
    assert len(rule_set_of(found.rule).rules) == 1


def test_an_error_that_says_nothing_has_no_draft() -> None:
    for error in (ErrorInfo(), ErrorInfo("x" * (MAX_TYPE + 1)), ErrorInfo("x" * (MAX_TYPE + 1), " ")):
        with pytest.raises(UndraftableError, match="neither a type of at most 200 characters nor a message"):
            draft(group_of(error))


ugly = st.text(st.sampled_from("ab/F7'\"`.:-_ <>n@[]()~\\,Z\n\t\u20285é$\u007f") | st.characters(), max_size=400)
words = st.sampled_from(("'a b'", "10.0.0.1", "/x/y", "https://u:p@h7/p", "2026-11-23", "12:30", "-bcdfg", "5", "'",
                         "<n>", "<path", "errno 5", "deadbeef01", " ", "it's", "\n", "=>"))  # fmt: skip


@settings(deadline=None)
@example("\x1f")
@given(ugly | st.lists(words, max_size=120).map("".join) | st.lists(words, max_size=120).map(" ".join))
def test_a_pattern_finds_the_message_it_was_made_from(message: str) -> None:
    pattern = pattern_of(message)
    assert bool(pattern) is bool(message.strip())
    assert not pattern or compile_pattern(pattern).search(utf8(message))


@settings(deadline=None)
@given(ugly, ugly)
@example("0", "\xa0")
@example("0", "\x1c\u2028")
def test_any_error_has_a_good_draft(kind: str, message: str) -> None:
    if signature(ErrorInfo(kind, message)).id and (len(kind) <= MAX_TYPE or message.strip()):
        is_good(ErrorInfo(kind or None, message or None))


# Groups -------------------------------------------------------------------------------------------------------------


def test_groups_count_and_keep_the_latest_example() -> None:
    groups = Groups()
    for number, dag in enumerate(("a", "b", "a")):
        error = ErrorInfo("TimeoutError", f"after {number}s")
        groups.add(Failure("prod", dag, "t", "r", error, first=number, last=number))
    groups.add(Failure("prod", "a", "t", "r", ErrorInfo("KeyError", "x"), first=0, last=9, count=2))
    first, second = groups.most_frequent_first()
    assert (first.template, first.count, first.first, first.last) == ("TimeoutError: after <n>s", 3, 0, 2)
    assert (first.dags, first.example.error.message) == (["prod/a", "prod/b"], "after 2s")
    assert second.count == 2


@pytest.mark.parametrize(
    ("text", "messages", "error"),
    [
        ("ValueError: bad: worse", (), ErrorInfo("ValueError", "bad: worse")),
        ("ERROR: no relation", (), ErrorInfo(None, "ERROR: no relation")),
        ("psycopg.errors.DeadlockDetected: deadlock", (), ErrorInfo("psycopg.errors.DeadlockDetected", "deadlock")),
        ("MemoryError", (), ErrorInfo("MemoryError")),
        ("Odd: x: y", ("x: y",), ErrorInfo("Odd", "x: y")),
        ("Odd: x: y", ("Odd: x: y",), ErrorInfo(None, "Odd: x: y")),
        ("Odd: x: y", ("something else",), ErrorInfo(None, "Odd: x: y")),
        (("E: " + "m" * CUT)[:CUT], ("m" * CUT,), ErrorInfo("E", "m" * CUT)),
        ("", (), ErrorInfo()),
    ],
)
def test_an_incidents_error_is_taken_apart(text: str, messages: tuple[str, ...], error: ErrorInfo) -> None:
    assert error_of(text, messages) == error
