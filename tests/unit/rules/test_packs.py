"""Every pack is free of faults and does what the tests beside it say."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.model.policy import Mode, Policy, Route
from remediator.rules.index import RuleSet
from remediator.rules.load import TEST_SUFFIX, load_rules, rule_files
from remediator.rules.testfile import read_cases, run_cases
from remediator.rules.toml import decode_document

PACKS = Path(__file__).parents[3] / "rules"
POLICY = Policy(routes={"default": Route("default")})
TEST_FILES = rule_files([PACKS], TEST_SUFFIX)


@pytest.fixture(scope="module")
def rule_set() -> RuleSet:
    return RuleSet(load_rules([PACKS], POLICY))


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.name)
def test_pack_does_what_its_cases_say(file: Path, rule_set: RuleSet) -> None:
    cases = read_cases(decode_document(file.read_bytes(), file.name), rule_set.rules)
    assert cases
    assert [str(result) for result in run_cases(rule_set, cases) if not result.passed] == []


def test_every_rule_of_a_pack_has_a_case(rule_set: RuleSet) -> None:
    expected = {
        case.expect
        for file in TEST_FILES
        for case in read_cases(decode_document(file.read_bytes(), file.name), rule_set.rules)
    }
    assert set(rule_set.rules) <= expected


def test_packs_retry_only_within_tight_budgets_and_page_for_the_rest(rule_set: RuleSet) -> None:
    for rule in rule_set.rules.values():
        assert rule.mode is Mode.ACT
        if any(step.action == "airflow.retry" for step in rule.do):
            assert (rule.budget.per_hour, rule.budget.per_day) == (3, 7)
            assert [(step.action, step.to) for step in rule.otherwise] == [("page", "default")]
