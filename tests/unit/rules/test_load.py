"""Rule files: what loads, and what each fault says. UPDATE_GOLDEN=1 rewrites the expected messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.model.policy import Budget, Mode, Policy, Route
from remediator.model.time import MINUTE, SECOND
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import MAX_RULES, load_rules
from remediator.rules.spec import Backoff, Rule, Step
from remediator.rules.toml import MAX_BYTES

TESTS = Path(__file__).parents[2]
BAD = TESTS / "golden" / "rules" / "bad"
POLICY = Policy(routes={"default": Route("default"), "data-oncall": Route("data-oncall")})
FULL = """
[[rule]]
id       = "task-lost-connection"
summary  = "Retry tasks that lost a connection"
owner    = "data-platform"
severity = "critical"
mode     = "act"
priority = 70
on       = ["task.failed_finally"]
where    = { deployment = "prod-*", "error.message" = { matches = '(?i)connection reset' } }
budget   = { per_hour = 3, per_day = 7 }
runbook  = "https://wiki.example/connections"

[[rule.do]]
action       = "airflow.retry"
max_attempts = 3
backoff      = { initial = "45s", factor = 3, max = "15m", jitter = 0.1 }
verify       = "30m"

[[rule.otherwise]]
action = "page"
to     = "data-oncall"

[[rule]]
id = "least"
on = "check.*"
do = [{ action = "log" }]
"""


@pytest.mark.parametrize("file", sorted(BAD.glob("*.toml")), ids=lambda file: file.stem)
def test_fault_says_file_line_place_found_and_allowed(file: Path) -> None:
    with pytest.raises(Faults) as caught:
        load_rules([file], POLICY)
    message = str(caught.value).replace(str(BAD) + os.sep, "") + "\n"
    golden = file.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(message, encoding="utf-8")
    assert message == golden.read_text(encoding="utf-8")
    assert len(caught.value.faults) == 1


def test_rule_as_written_becomes_the_specification(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(FULL, encoding="utf-8")
    spec = load_rules([tmp_path], POLICY)
    assert spec.policy is POLICY
    assert spec.rules == (
        Rule(
            id="task-lost-connection",
            on=("task.failed_finally",),
            summary="Retry tasks that lost a connection",
            owner="data-platform",
            severity="critical",
            mode=Mode.ACT,
            priority=70,
            where={"deployment": "prod-*", "error.message": {"matches": "(?i)connection reset"}},
            budget=Budget(per_hour=3, per_day=7),
            do=(Step("airflow.retry", "", 3, Backoff(45 * SECOND, 3.0, 15 * MINUTE, 0.1), 30 * MINUTE),),
            otherwise=(Step("page", "data-oncall"),),
            runbook="https://wiki.example/connections",
            file=f"{tmp_path.name}/a.toml",
            line=2,
        ),
        Rule(id="least", on=("check.*",), do=(Step("log"),), file=f"{tmp_path.name}/a.toml", line=24),
    )
    assert spec.rules[1].mode is Mode.OBSERVE


def rule(rule_id: str, extra: str = "") -> str:
    return f'[[rule]]\nid = "{rule_id}"\non = "x"\ndo = [{{ action = "log" }}]\n{extra}\n'


def test_folders_are_walked_in_order_without_tests_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b/one.toml", "a.toml", "c.txt", "d.test.toml", ".hidden/e.toml", "b/.f.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(rule(Path(name).stem), encoding="utf-8")
    spec = load_rules([tmp_path, tmp_path / "b" / "one.toml"], POLICY)
    assert [(one.id, one.file) for one in spec.rules] == [
        ("a", f"{tmp_path.name}/a.toml"),
        ("one", f"{tmp_path.name}/b/one.toml"),
    ]


def test_hash_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    hashes = set()
    for place in ("here", "there"):
        folder = tmp_path / place / "rules"
        folder.mkdir(parents=True)
        (folder / "a.toml").write_text(FULL, encoding="utf-8")
        hashes.add(RuleSet(load_rules([folder], POLICY)).hash)
    assert len(hashes) == 1


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(rule("one", 'mode = "x"\nseverity = "x"'), encoding="utf-8")
    (tmp_path / "b.toml").write_text("[[rule", encoding="utf-8")
    (tmp_path / "c.toml").write_text(rule("one", "priority = -1"), encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path, tmp_path / "missing"], POLICY)
    found = [(Path(fault.file).name, fault.line, fault.found) for fault in caught.value.faults]
    assert found == [
        ("a.toml", 5, '"x"'),
        ("a.toml", 6, '"x"'),
        ("b.toml", 1, found[2][2]),
        ("c.toml", 1, "an id used before"),
        ("c.toml", 5, "-1"),
        ("missing", 0, "no such file or folder"),
    ]


def test_too_many_rules_and_too_large_files_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("".join(rule(f"r{n}") for n in range(MAX_RULES + 1)), encoding="utf-8")
    (tmp_path / "b.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path], POLICY)
    assert [fault.allowed for fault in caught.value.faults] == ["at most 10,000", "at most 4,000,000 bytes"]


def test_absurdly_nested_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = " + "[" * 100_000, encoding="utf-8")
    with pytest.raises(Faults, match="nested too deeply"):
        load_rules([tmp_path], POLICY)
