"""Every pack loads without a finding, does what the tests beside it say, and says in its README what it is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.model.event import Event
from remediator.model.policy import Budget, Mode, Policy, Route
from remediator.model.record import Record
from remediator.rules.index import RuleSet
from remediator.rules.lint import lint
from remediator.rules.load import TEST_SUFFIX, load_rules, read_rules, rule_files
from remediator.rules.selectors import members_of
from remediator.rules.spec import Rule, RuleSetSpec
from remediator.rules.testfile import Case
from remediator.rules.toml import parse_document
from remediator.rules.types import TYPES
from remediator.testing.ruletest import Test, load_tests, run_tests

PACKS = Path(__file__).parents[3] / "rules"
POLICY = Policy(routes={"default": Route("default")})
TEST_FILES = rule_files([PACKS], TEST_SUFFIX)
TELLING_PACKS = ("airflow-scheduler", "data-quality", "infrastructure")
"""Packs that change nothing."""
FROM_ELSEWHERE = frozenset({"task.failed_finally", "dagrun.success", "dagrun.failed"})
"""What airflow-scheduler counts besides the events of the reconciler."""


@pytest.fixture(scope="module")
def rule_set() -> RuleSet:
    return RuleSet(load_rules([PACKS], POLICY))


def pack(rule_set: RuleSet, name: str) -> list[Rule]:
    found = [rule for rule in rule_set.rules.values() if f"{name}/" in rule.file]
    assert found
    return found


def readme(name: str) -> str:
    return (PACKS / name / "README.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme(name), re.DOTALL)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_pack_does_what_its_tests_say(file: Path, rule_set: RuleSet) -> None:
    tests = load_tests([file], rule_set)
    assert tests
    assert [str(result) for result in run_tests(rule_set, tests) if not result.passed] == []


def test_every_rule_of_a_pack_has_a_test(rule_set: RuleSet) -> None:
    expected = {name for test in load_tests(TEST_FILES, rule_set) for name in _named(test)}
    assert set(rule_set.rules) - expected == set()


def _named(test: Test) -> set[str]:
    if isinstance(test, Case):
        return {test.expect}
    return {wanted.name for step in test.steps for wanted in step.wanted or () if wanted.what == "fired"}


def test_packs_have_no_findings(rule_set: RuleSet) -> None:
    assert [str(finding) for finding in lint(rule_set.spec, POLICY)] == []


def test_packs_act_and_say_who_owns_them(rule_set: RuleSet) -> None:
    for rule in rule_set.rules.values():
        assert (rule.mode, bool(rule.owner), bool(rule.summary)) == (Mode.ACT, True, True), rule.id


def test_packs_retry_only_within_tight_budgets_and_page_for_the_rest(rule_set: RuleSet) -> None:
    for rule in rule_set.rules.values():
        if any(step.action == "airflow.retry" for step in rule.do):
            assert Budget(per_hour=3, per_day=7) in rule.budget
            assert ("page", "default") in [(step.action, step.to) for step in rule.otherwise]


@pytest.mark.parametrize("name", TELLING_PACKS)
def test_packs_that_tell_change_nothing_and_answer_for_no_failure(name: str, rule_set: RuleSet) -> None:
    for rule in pack(rule_set, name):
        assert {step.action for step in (*rule.do, *rule.otherwise)} <= {"page", "notify", "log"}
        assert rule.is_detector or not {"task.failed_finally", "task.*", "*"} & set(rule.on)


@pytest.mark.parametrize("name", TELLING_PACKS)
def test_who_is_woken_is_told_that_it_is_critical(name: str, rule_set: RuleSet) -> None:
    for rule in pack(rule_set, name):
        if any(step.action == "page" for step in rule.do):
            assert rule.severity == "critical", rule.id


@pytest.mark.parametrize("name", TELLING_PACKS)
def test_readme_names_every_file(name: str) -> None:
    files = {file.name for file in rule_files([PACKS / name])}
    assert files
    assert {file for file in files if f"`{file}`" not in readme(name)} == set()


def test_contract_of_the_reconciler_is_what_the_rules_listen_to(rule_set: RuleSet) -> None:
    listened = {one for rule in pack(rule_set, "airflow-scheduler") for _, part in members_of(rule) for one in part.on}
    rows = [line.split("|")[1:3] for line in readme("airflow-scheduler").splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", "".join(row))} - _file_names()
    assert named == listened - FROM_ELSEWHERE
    assert named <= TYPES


def _file_names() -> set[str]:
    return {file.name for file in rule_files([PACKS / "airflow-scheduler"])}


def test_cloud_event_of_the_readme_is_a_check_that_pages(rule_set: RuleSet) -> None:
    (text,) = blocks("data-quality", "json")
    (event,) = CloudEventsCodec().decode(Record("checks", 0, 0, 0, None, text.encode()))
    assert event.subject == json.loads(text)["subject"]
    assert [rule.id for rule in rule_set.match(event).rules][:1] == ["critical-check-failed"]


def test_rule_of_the_readme_answers_for_its_team() -> None:
    (text,) = [block for block in blocks("data-quality", "toml") if "[[rule]]" in block]
    routes = {name: Route(name) for name in ("finance-data", "sales-data")}
    policy = Policy(routes=routes)
    rules = read_rules(parse_document(text, "example.toml"), policy, "example.toml")
    found = RuleSet(RuleSetSpec(tuple(rules), policy))
    event = Event("check.failed", 0, deployment="prod", subject="orders", owner="sales")
    assert [rule.id for rule in found.match(event).rules] == ["check-failed-sales"]


def test_mapping_of_the_readme_gives_what_the_freshness_rules_ask_for(rule_set: RuleSet) -> None:
    (text,) = [block for block in blocks("data-quality", "toml") if "[feed.mapping]" in block]
    mapping: dict[str, Any] = tomllib.loads(text)["feed"][0]["mapping"]
    asked = {
        name for rule in pack(rule_set, "data-quality") for name in re.findall(r"attributes\.\w*age_s", str(rule.where))
    }
    assert asked == {name for name in mapping["fields"] if name.endswith("age_s")}
    assert {"check.passed", "check.failed"} == set(mapping["types"].values())
