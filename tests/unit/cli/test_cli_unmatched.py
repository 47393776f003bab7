"""`remediator unmatched` and `rules new`: from a recording and from a daemon; what is drafted lints and passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from remediator.cli.main import build
from remediator.model.event import ErrorInfo
from remediator.rules.unmatched import Failure
from tests.unit.cli.serving import Served, served

__all__ = ["served"]

CORPUS = Path(__file__).parents[2] / "data" / "corpus" / "openlineage-airflow-3.3.2.ndjson.gz"
NEVER = '[[rule]]\nid = "never"\non = "check.failed"\n[[rule.do]]\naction = "log"\n'
KNOWS = """
[[rule]]
id = "key"
{mode}
on = "task.failed_finally"
where = {{ "error.type" = "KeyError" }}
[[rule.do]]
action = "page"
to = "default"
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(one) for one in arguments])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "never.toml").write_text(NEVER)
    return folder


def failed(task: str, seconds: int, **fields: Any) -> str:
    table = {"type": "task.failed", "time": f"2026-11-22T06:{seconds // 60:02}:{seconds % 60:02}Z",
             "deployment": "prod", "dag_id": "sales", "run_id": "r1", "task_id": task, "try_number": 1, "retries": 0,
             "error": {"type": "TimeoutError", "message": f"after {seconds}s"}, **fields}  # fmt: skip
    return json.dumps(table)


def groups_of(result: Result) -> list[tuple[str, int]]:
    return [(one["template"], one["count"]) for one in json.loads(result.stdout)["unmatched"]]


def recording(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines))
    return file


def test_final_failures_of_a_recording_are_grouped_most_frequent_first(rules: Path, tmp_path: Path) -> None:
    odd = {"type": "KeyError", "message": "'x'"}
    file = recording(tmp_path, failed("c", 1, error=odd), failed("a", 2), failed("b", 3), failed("b", 3))
    result = run("unmatched", "--events", file, "--rules", rules, "--json")
    assert result.exit_code == 1
    assert groups_of(result) == [("TimeoutError: after <n>s", 2), ("KeyError: x", 1)]
    first = json.loads(result.stdout)["unmatched"][0]
    assert (first["dags"], first["first"], first["last"]) == (
        ["prod/sales"], "2026-11-22T06:00:02.000000Z", "2026-11-22T06:00:03.000000Z"
    )  # fmt: skip
    assert first["example"]["message"] == "after 3s"
    text = run("unmatched", "--events", file, "--rules", rules).stdout.splitlines()
    assert text[0].split() == ["SIGNATURE", "COUNT", "LAST", "DAGS", "ERROR"]
    assert "TimeoutError: after <n>s" in text[1]


def test_what_airflow_retries_by_itself_does_not_count(rules: Path, tmp_path: Path) -> None:
    file = recording(tmp_path, failed("a", 1, retries=2), failed("a", 9, try_number=2, retries=2),
                     failed("a", 20, try_number=3, retries=2))  # fmt: skip
    assert groups_of(run("unmatched", "--events", file, "--rules", rules, "--json")) == [
        ("TimeoutError: after <n>s", 1)
    ]
    end = {"type": "dagrun.failed", "time": "2026-11-22T06:05:00Z", "deployment": "prod", "dag_id": "sales",
           "run_id": "r1"}  # fmt: skip
    file = recording(tmp_path, failed("a", 1, retries=2), json.dumps(end))
    assert groups_of(run("unmatched", "--events", file, "--rules", rules, "--json")) == [
        ("TimeoutError: after <n>s", 1)
    ]
    file = recording(tmp_path, failed("a", 1, retries=2), failed("a", 9, type="task.success", try_number=2))
    result = run("unmatched", "--events", file, "--rules", rules)
    assert (result.exit_code, result.stdout) == (0, "no failure that no rule knew\n")


def test_what_an_acting_rule_knows_is_left_out_and_an_observer_is_named(rules: Path) -> None:
    before = groups_of(run("unmatched", "--events", CORPUS, "--rules", rules, "--json"))
    assert ("KeyError: customer_id", 7) in before
    (rules / "key.toml").write_text(KNOWS.format(mode='mode = "act"'))
    after = groups_of(run("unmatched", "--events", CORPUS, "--rules", rules, "--json"))
    assert after == [one for one in before if one[0] != "KeyError: customer_id"]
    (rules / "key.toml").write_text(KNOWS.format(mode=""))
    text = run("unmatched", "--events", CORPUS, "--rules", rules).stdout
    assert "KeyError: customer_id  [observed by key]" in text


def test_every_failure_of_the_corpus_has_a_draft_that_lints_and_passes(rules: Path, tmp_path: Path) -> None:
    found = json.loads(run("unmatched", "--events", CORPUS, "--rules", rules, "--json").stdout)["unmatched"]
    out = tmp_path / "drafts"
    for group in found:
        result = run("rules", "new", "-s", group["id"], "--events", CORPUS, "--rules", rules, "--out", out)
        assert result.exit_code == 0, result.output
    assert len(list(out.glob("*.test.toml"))) == len(found) > 5
    assert run("rules", "lint", out, "--strict").exit_code == 0
    assert run("rules", "test", out).exit_code == 0
    again = run("unmatched", "--events", CORPUS, "--rules", out, "--json")
    assert all(len(group["observed_by"]) == 1 for group in json.loads(again.stdout)["unmatched"])


def test_a_draft_is_printed_and_never_written_over(rules: Path, tmp_path: Path) -> None:
    file = recording(tmp_path, failed("a", 1, error={"message": "bad token=hunter2hunter2 given"}))
    (group,) = json.loads(run("unmatched", "--events", file, "--rules", rules, "--json").stdout)["unmatched"]
    new = ("rules", "new", "--from-signature", group["id"][:5], "--events", file, "--rules", rules)
    text = run(*new).stdout
    assert 'mode = "observe"' in text
    assert "[[case]]" in text
    assert "hunter2" not in text
    body = json.loads(run(*new, "--json").stdout)
    assert (body["signature"], body["written"]) == (group["id"], [])
    assert body["rule"] in text
    assert run(*new, "--out", tmp_path / "out").exit_code == 0
    result = run(*new, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "is there already" in result.stderr


def test_signatures_that_are_unknown_ambiguous_or_silent(rules: Path, tmp_path: Path) -> None:
    errors = [{"message": word * 9} for word in "abcdefghijklmnopqrstuvwxyz"]
    lines = [failed(f"t{number}", number, error=error) for number, error in enumerate(errors)]
    file = recording(tmp_path, *lines, failed("silent", 59, error={}))
    new = ("rules", "new", "--events", file, "--rules", rules, "-s")
    assert "no unmatched failure has it" in run(*new, "nonsense").stderr
    assert "no unmatched failure has it" in run(*new, "").stderr
    groups = json.loads(run("unmatched", "--events", file, "--rules", rules, "--json").stdout)["unmatched"]
    beginnings = [group["id"][:1] for group in groups if group["id"]]
    twice = next(one for one in beginnings if beginnings.count(one) > 1)
    assert "signatures begin so" in run(*new, twice).stderr
    assert "" in {group["id"] for group in groups}


def test_wrong_use_is_a_clear_line(rules: Path, tmp_path: Path) -> None:
    for arguments in (["--events", CORPUS], ["--rules", rules], ["--events", tmp_path / "no", "--rules", rules]):
        result = run("unmatched", *arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), arguments
    assert run("rules", "new").exit_code == 2


# A daemon -----------------------------------------------------------------------------------------------------------


def test_a_daemon_is_asked(served: Served) -> None:
    assert served.run("unmatched").stdout == "no failure that no rule knew\n"
    error = ErrorInfo("TimeoutError", "after 30s")
    served.daemon.groups.add(Failure("prod", "sales", "load", "r1", error, first=0, last=5, count=3))
    result = served.run("unmatched", "--since", "12h", "--json")
    assert result.exit_code == 1
    assert groups_of(result) == [("TimeoutError: after <n>s", 3)]
    group = json.loads(result.stdout)["unmatched"][0]
    text = served.run("rules", "new", "-s", group["id"]).stdout
    assert 'to = "data-oncall"' in text
    assert "Seen 3 times" in text
    result = served.run("unmatched", "--since", "soon")
    assert result.exit_code == 2
    assert "since must be a duration" in result.stderr
