"""Rule tests run: timelines that hold, differences that are readable, JUnit XML that parsers take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from typer.testing import CliRunner, Result

from remediator.cli.main import build
from remediator.model.policy import Mode, Policy, Route
from remediator.rules.faults import Fault, Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules, read_rules
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.rules.testfile_timeline import TimelineTest
from remediator.rules.toml import parse_document
from remediator.testing import ruletest_story
from remediator.testing.ruletest import TestResult as Ran
from remediator.testing.ruletest import load_tests, read_tests, run_tests
from remediator.testing.ruletest_junit import junit
from remediator.testing.timeline import Timeline

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "ruletests"
GUIDE = ROOT / "docs" / "rules-testing.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def rule_set() -> RuleSet:
    return RuleSet(load_rules([GOLDEN / "pack.toml"], None))


def ran(name: str, rule_set: RuleSet) -> list[Ran]:
    document = parse_document((GOLDEN / name).read_text("utf-8"), name)
    return list(run_tests(rule_set, read_tests(document, rule_set)))


def ran_text(text: str, rule_set: RuleSet) -> Ran:
    [result] = run_tests(rule_set, read_tests(parse_document(text, "f.test.toml"), rule_set))
    return result


def check_golden(file: Path, text: str) -> None:
    assert text + "\n" == file.read_text("utf-8"), f"if that is right, write this into {file.name}:\n{text}"


def shortened(fault: Fault) -> str:
    """Without the long lists of what is allowed, which grow with the language."""
    allowed = fault.allowed if len(fault.allowed) <= 120 else fault.allowed[:20] + "…"
    return str(msgspec.structs.replace(fault, allowed=allowed))


def test_the_pack_does_what_its_tests_say(rule_set: RuleSet) -> None:
    results = ran("pack.test.toml", rule_set)
    assert {result.kind for result in results} == {"case", "timeline"}
    assert [str(result) for result in results if not result.passed] == []


def test_differences_say_what_was_wanted_and_what_happened(rule_set: RuleSet) -> None:
    results = ran("wrong.test.toml", rule_set)
    assert not any(result.passed for result in results)
    check_golden(GOLDEN / "wrong.txt", "\n".join(map(str, results)))


def test_all_faults_of_a_file_are_told_at_once(rule_set: RuleSet) -> None:
    with pytest.raises(Faults) as caught:
        ran("bad.test.toml", rule_set)
    check_golden(GOLDEN / "bad.txt", "\n".join(map(shortened, caught.value.faults)))


MISSPELT_CASE = """
[[case]]
name   = "nothing comes of it"
event  = { type = "task.faild_finally", dag_id = "sales" }
expect = "unclassified"
"""
MISSPELT_STEP = """
[[timeline]]
name = "quiet"
[[timeline.step]]
at     = "0s"
event  = { type = "chek.failed", subject = "x" }
expect = "silence"
"""


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        (MISSPELT_CASE, 'case "nothing comes of it" event type', "task.failed_finally"),
        (MISSPELT_STEP, 'timeline "quiet" event type', "check.failed"),
    ],
)
def test_a_type_that_nobody_sends_is_a_fault(rule_set: RuleSet, text: str, place: str, meant: str) -> None:
    with pytest.raises(Faults) as caught:
        ran_text(text, rule_set)
    (fault,) = caught.value.faults
    assert (fault.place, fault.hint) == (place, meant)


def test_a_type_of_the_users_own_is_none_nor_one_that_a_rule_names(rule_set: RuleSet) -> None:
    assert ran_text(MISSPELT_STEP.replace("chek.failed", "shipment.lost"), rule_set).passed
    own = Rule("own", on=("check.stale",), mode=Mode.ACT, do=(Step("log"),))
    named = RuleSet(RuleSetSpec((own,), Policy(routes={"default": Route("default")})))
    case = MISSPELT_CASE.replace("task.faild_finally", "check.stale").replace('"unclassified"', '"own"')
    assert ran_text(case, named).passed


def test_faults_of_all_files_are_told_at_once(rule_set: RuleSet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.test.toml").write_text("[[timeline]]\n")
    with pytest.raises(Faults) as caught:
        load_tests([tmp_path / "a.test.toml", tmp_path / "b.test.toml", tmp_path / "c.test.toml"], rule_set)
    assert [Path(fault.file).name for fault in caught.value.faults] == ["a.test.toml", "b.test.toml", "c.test.toml"]


def test_a_feed_that_tells_seldom_gives_the_same_as_one_that_tells_often(
    rule_set: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dense(ruletest_story.Story):
        """Tells every few seconds how far it was read."""

        def _next_mark(self) -> int:
            self._waits = None
            return Timeline._next_mark(self)

    def played(kind: type[ruletest_story.Story]) -> list[tuple[str, list[str]]]:
        monkeypatch.setattr("remediator.testing.ruletest.Story", kind)
        return [
            (one.test.name, [line.split("  ")[-1] for line in one.story]) for one in ran("pack.test.toml", rule_set)
        ]

    assert played(Dense) == played(ruletest_story.Story)


def test_what_differs_in_one_expectation_is_no_concern_of_the_next(rule_set: RuleSet) -> None:
    result = ran_text(
        """[[timeline]]
step = [
  { at = "0s", event = { type = "dag.deleted", dag_id = "a" }, expect = "silence" },
  { at = "1s", expect = "silence" },
  { at = "2s", event = { type = "dag.deleted", dag_id = "b" }, expect = { fired = "reset" } },
]
""",
        rule_set,
    )
    assert [(one.line, len(one.lines)) for one in result.differences if not isinstance(one, str)] == [(3, 1), (5, 2)]


def test_a_repeated_event_of_the_same_time_is_no_second_firing(rule_set: RuleSet) -> None:
    spec = RuleSetSpec(tuple(read_rules(parse_document(PLAIN, "f.toml"), None, "f.toml")), ROUTES)
    story = """[[timeline]]
[[timeline.step]]
at = "1s"
events = [{ type = "x", subject = "a" }, { type = "x", subject = "a" }]
expect = [{ fired = "plain" }, { action = "notify" }, { decided = "duplicate" }]
"""
    assert str(ran_text(story, RuleSet(spec))) == "f.test.toml:1: timeline 1: ok"


PLAIN = """[[rule]]
id = "plain"
on = "x"
mode = "act"
do = [{ action = "notify", to = "default" }]
"""


ASKS = Rule(
    "asks",
    on=("task.failed_finally",),
    mode=Mode.APPROVE,
    do=(
        Step("airflow.pool", params={"pool": "etl", "slots": 4}),
        Step("notify", to="default"),
        Step("page", to="data-oncall"),
    ),
)
FAILS = """[[timeline]]
defaults = { dag_id = "sales", run_id = "r1", task_id = "load" }
[[timeline.step]]
at = "0s"
event = { type = "task.failed", final = true }
[[timeline.step]]
at = "1m"
"""


@pytest.mark.parametrize(
    ("step", "passes"),
    [
        (
            'press = "approve"',
            ', { action = "airflow.pool", with = { pool = "etl", slots = 4 }, outcome = "delivered" }',
        ),
        ('press = "reject"', ""),
        (
            'press = "approve"\noutcome = { "airflow.pool" = "unknown: gone" }',
            ', { action = "airflow.pool", outcome = "unknown" }',
        ),
    ],
)
def test_people_answer_proposals(step: str, passes: str) -> None:
    rule_set = RuleSet(RuleSetSpec((ASKS,), ROUTES))
    asked = '[{ fired = "asks" }, { action = "notify", to = "default" }, { decided = "proposed" }]'
    text = f'{FAILS}expect = {asked}\n[[timeline.step]]\nat = "2m"\n{step}\nexpect = [{{ action = "page" }}{passes}]\n'
    assert ran_text(text, rule_set).difference == ""


def test_what_a_change_is_made_to_is_compared() -> None:
    asked = '[{ fired = "asks" }, { action = "notify" }]'
    wanted = '{ action = "airflow.pool", with = { slots = 5 } }'
    text = f'{FAILS}expect = {asked}\n[[timeline.step]]\nat = "2m"\npress = "approve"\nexpect = {wanted}\n'
    result = ran_text(text, RuleSet(RuleSetSpec((ASKS,), ROUTES)))
    assert 'wanted    airflow.pool (slots "5")' in result.difference
    assert 'happened  airflow.pool (slots "4") at 2m' in result.difference


def test_the_rules_run_under_the_brakes_of_a_configuration() -> None:
    story = f"""{FAILS}expect = [{{ fired = "retries" }}, {{ action = "page" }}, {{ decided = "never_retry" }}]"""
    retries = Rule("retries", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("airflow.retry"),))
    policy = msgspec.structs.replace(ROUTES, never_retry=("*/sales/*",))
    assert ran_text(story, RuleSet(RuleSetSpec((retries,), policy))).difference == ""
    assert not ran_text(story, RuleSet(RuleSetSpec((retries,), ROUTES))).passed


def test_differences_are_bounded(rule_set: RuleSet) -> None:
    result = ran_text(
        """[[timeline]]
[[timeline.step]]
at = "0s"
event = { type = "dataset.updated", subject = "s${n}" }
repeat = { times = 200, every = "1s" }
[[timeline.step]]
at = "30m"
expect = "silence"
""",
        rule_set,
    )
    [difference] = result.differences
    assert len(str(difference).splitlines()) < 110
    assert "more" in str(difference)
    assert "lines before" in str(difference)


# -- JUnit ------------------------------------------------------------------------------------------------------------


def test_junit_counts_and_names_every_test(rule_set: RuleSet) -> None:
    results = [*ran("pack.test.toml", rule_set), *ran("wrong.test.toml", rule_set)]
    root = ElementTree.fromstring(junit(results))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", str(len(results)), "4")
    assert [suite.get("name") for suite in root] == ["pack.test.toml", "wrong.test.toml"]
    cases = list(root.iter("testcase"))
    assert [case.get("name") for case in cases] == [result.test.name for result in results]
    failures = {case.get("name"): case.find("failure") for case in cases}
    failure = failures["who did it"]
    assert failure is not None
    assert failure.get("message") == failure.text == 'expected reset to say "reset by nobody", got "reset by peer"'
    assert failures["a retry that helps wakes nobody"] is None


def test_junit_holds_whatever_a_test_says(rule_set: RuleSet) -> None:
    name = '<&"\\u0000\\u001b[31m\\ufffe]]> \\U0001F525'
    text = f'[[case]]\nname = "{name.replace(chr(34), chr(39))}"\nevent = {{ type = "x\\u0001" }}\nexpect = "reset"\n'
    body = junit([ran_text(text, rule_set)])
    [case] = ElementTree.fromstring(body).iter("testcase")
    assert case.get("name") == "<&'\ufffd\ufffd[31m\ufffd]]> \U0001f525"


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), ["rules", "test", *map(str, arguments)])


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    for name in ("pack.toml", "pack.test.toml"):
        (folder / name).write_bytes((GOLDEN / name).read_bytes())
    return folder


def test_the_command_counts(pack: Path) -> None:
    result = run(pack)
    assert (result.exit_code, result.stdout) == (0, "2 cases, 11 timelines, 0 failed\n")


def test_the_command_tells_stories_when_asked(pack: Path) -> None:
    result = run(pack, "--verbose")
    assert result.exit_code == 0
    assert re.search(
        r"a retry that helps wakes nobody: ok\n +0s  event task.failed: prod sales r1 load\n", result.stdout
    )


def test_the_command_fails_without_a_traceback(pack: Path, tmp_path: Path) -> None:
    (pack / "wrong.test.toml").write_bytes((GOLDEN / "wrong.test.toml").read_bytes())
    junit_file = tmp_path / "out.xml"
    result = run(pack, "--junit", junit_file)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert result.stdout.endswith("4 cases, 13 timelines, 4 failed\n")
    assert ElementTree.fromstring(junit_file.read_bytes()).get("failures") == "4"
    body = json.loads(run(pack, "--json").stdout)
    assert (body["ok"], body["cases"], body["timelines"], len(body["failed"])) == (False, 4, 13, 4)
    assert body["failed"][0]["line"] == 3
    assert body["failed"][0]["kind"] == "case"


def test_faults_of_tests_are_findings(pack: Path) -> None:
    (pack / "bad.test.toml").write_text('[[timeline]]\nstep = [{ at = "0s" }]\n')
    result = run(pack)
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 1)
    assert "no expect in the last step" in result.stdout
    assert json.loads(run(pack, "--json").stdout)["faults"][0]["line"] == 2


def test_a_place_where_nothing_can_be_written_is_a_usage_error(pack: Path) -> None:
    result = run(pack, "--junit", pack / "none" / "out.xml")
    assert result.exit_code == 2
    assert "out.xml" in result.stderr


# -- the guide --------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_guide_hold() -> None:
    rules, *tests = BLOCKS
    rule_set = RuleSet(RuleSetSpec(tuple(read_rules(parse_document(rules, "guide"), None, "guide")), ROUTES))
    found = [test for text in tests for test in read_tests(parse_document(text, "docs/rules-testing.md"), rule_set)]
    assert any(isinstance(test, TimelineTest) for test in found)
    assert [str(result) for result in run_tests(rule_set, found) if not result.passed] == []


ROUTES = Policy(routes={name: Route(name) for name in ("default", "data-oncall")})
