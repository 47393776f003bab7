"""Rule tests: a case that fails says what came instead, and a faulty case is a fault."""

from __future__ import annotations

import pytest
from rule_cases import read_cases, run_cases

from remediator.model.policy import Policy
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, RuleSetSpec
from remediator.rules.toml import parse_document

RULES = RuleSet(
    RuleSetSpec(
        (
            Rule(id="reset", on=("x",), where={"error.message": "reset"}),
            Rule(id="owned", on=("y",), where={"owner": {"not": "a"}}),
        ),
        Policy(),
    )
)


def results(text: str) -> list[str]:
    cases = read_cases(parse_document(text, "f.test.toml"), RULES.rules)
    return [str(result) for result in run_cases(RULES, cases)]


def test_results_say_what_was_expected_and_what_came() -> None:
    assert results("""[[case]]
name = "right"
event = { type = "x", error = { message = "reset" } }
expect = "reset"
[[case]]
event = { type = "x", tags = ["a"], attributes = { a = 1 } }
expect = "reset"
[[case]]
event = { type = "y" }
expect = "owned"
""") == [
        "f.test.toml:1: right: ok",
        "f.test.toml:5: case 5: expected reset, got unclassified",
        "f.test.toml:8: case 8: expected owned, got error in owned: owner: missing",
    ]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ('expect = "reset"', "found no event; allowed: event is required"),
        ('event = { type = "x" }', "found no expect; allowed: expect is required"),
        ('event = { dag_id = "x" }\nexpect = "reset"', "case 1 event: found no type; allowed: type is required"),
        ('event = { type = "x" }\nexpect = "rest"', "allowed: owned, reset, unclassified (did you mean reset?)"),
        ('event = { type = "x", dag = "d" }\nexpect = "reset"', "found unknown key dag"),
        ('event = { type = "x", error = { mesage = "d" } }\nexpect = "reset"', "(did you mean message?)"),
        ('event = { type = "x", try_number = "1" }\nexpect = "reset"', "case 1 event try_number: found a string"),
        ('event = { type = "x" }\nexpect = "reset"\nexpected = 1', "(did you mean expect?)"),
    ],
)
def test_faulty_case_is_a_fault(case: str, message: str) -> None:
    with pytest.raises(Faults) as caught:
        results("[[case]]\n" + case)
    assert message in str(caught.value)
