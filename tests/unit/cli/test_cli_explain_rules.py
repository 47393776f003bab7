"""`remediator rules explain`: any form of an event, offline and from a daemon; text that a terminal cannot obey."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from remediator.cli.main import build
from remediator.cli.rules_explain import explained_lines
from tests.unit.cli.serving import TOKEN, Served, served

__all__ = ["served"]

CORPUS = Path(__file__).parents[2] / "data" / "corpus" / "openlineage-airflow-3.3.2.ndjson.gz"
RULES = """
[[rule]]
id = "io"
mode = "act"
on = "task.failed_finally"
where = { any = [{ "error.type" = "TimeoutError" }, { not = { "error.message" = { matches = "x" } } }] }
[[rule.do]]
action = "page"
to = "default"

[[rule]]
id = "watch"
on = ["task.failed_finally", "task.failed"]
[[rule.do]]
action = "log"
"""
EVENT = {"type": "task.failed", "time": "2026-11-22T06:00:00Z", "dag_id": "sales", "error": {"type": "TimeoutError"}}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules" / "io.toml"
    file.parent.mkdir()
    file.write_text(RULES)
    return file.parent


def run(*arguments: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(build(), ["rules", "explain", *map(str, arguments)], input=given)


def recorded() -> dict[str, Any]:
    with gzip.open(CORPUS, "rt") as lines:
        return next(json.loads(line) for line in lines if '\\"eventType\\": \\"FAIL\\"' in line and "TimeoutE" in line)


def final_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout)["events"][-1])


FORMS = {
    "a recorded record": lambda: json.dumps(recorded()),
    "what the producer sent": lambda: recorded()["value"],
    "the same over several lines": lambda: json.dumps(json.loads(recorded()["value"]), indent=2),
    "by our names": lambda: json.dumps(EVENT),
    "by our names over several lines": lambda: json.dumps(EVENT, indent=2),
    "a CloudEvent": lambda: json.dumps(
        {"specversion": "1.0", "id": "1", "source": "/t", "type": "task.failed", "time": EVENT["time"],
         "data": {"dag_id": "sales", "task_id": "t", "run_id": "r", "error": {"type": "TimeoutError"}}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"logical_date": "2026-11-22T06:00:00Z", "dag_id": "sales"}], ids=str)
def test_an_event_of_a_rule_test_needs_no_time(rules: Path, more: dict[str, str]) -> None:
    event = {"type": "task.failed_finally", "deployment": "a", **more}
    view = final_of(run(rules, "--event", "-", "--json", given=json.dumps(event)))
    assert (view["type"], view["deployment"], view["dag_id"]) == ("task.failed_finally", "a", more.get("dag_id", ""))


def test_a_wrong_field_of_an_event_without_time_is_named(rules: Path) -> None:
    result = run(rules, "--event", "-", given='{"type": "task.failed", "try_number": "one"}')
    assert result.exit_code == 2
    assert "try_number" in result.output


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_event_is_read(rules: Path, tmp_path: Path, form: str) -> None:
    text = FORMS[form]()
    file = tmp_path / "event.json"
    file.write_text(text)
    from_file = final_of(run(rules, "--event", file, "--json"))
    from_stdin = final_of(run(rules, "--event", "-", "--json", given=text))
    assert from_file == from_stdin
    assert (from_file["type"], from_file["given"], from_file["responder"]) == (
        "task.failed_finally", "task.failed", "io"
    )  # fmt: skip


def test_the_text_has_every_clause_with_its_value_and_verdict(rules: Path) -> None:
    result = run(rules, "--event", "-", given=json.dumps(EVENT))
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "→ rule 'io' would respond: page" in lines
    assert "task.failed_finally, which task.failed becomes when the scheduler says that it is final" in lines
    assert 'yes any[0].error.type "TimeoutError" met TimeoutError' in lines
    assert any(line.startswith("error any[1].not.error.message") and "missing" in line for line in lines)
    assert any(line.startswith("watch observes: would do: log (rules/io.toml:11)") for line in lines)


def test_one_rule_of_many(rules: Path) -> None:
    result = run(rules, "--event", "-", "--rule", "watch", "--json", given=json.dumps(EVENT))
    assert [[rule["rule"] for rule in view["rules"]] for view in json.loads(result.stdout)["events"]] == [["watch"]] * 2
    result = run(rules, "--event", "-", "--rule", "wach", given=json.dumps(EVENT))
    assert result.exit_code == 2
    assert "did you mean 'watch'" in result.stderr


def test_at_most_twenty_events(rules: Path) -> None:
    lines = "\n".join([json.dumps({**EVENT, "type": "check.failed"})] * 25)
    result = run(rules, "--event", "-", "--json", given=lines)
    body = json.loads(result.stdout)
    assert (len(body["events"]), body["left_off"]) == (20, 5)
    assert "5 further events" in run(rules, "--event", "-", given=lines).stdout


@pytest.mark.parametrize("given", ["", "{", "nonsense\nmore", '{"a": 1}', "[]", "\x00", '{"specversion": "1.0"}'])
def test_what_is_no_event_is_a_clear_line(rules: Path, given: str) -> None:
    result = run(rules, "--event", "-", given=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("-: ")


def test_a_missing_file_and_rules_with_faults(rules: Path, tmp_path: Path) -> None:
    result = run(rules, "--event", tmp_path / "nowhere")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    (rules / "bad.toml").write_text("[[rule]]\n")
    assert run(rules, "--event", "-", given=json.dumps(EVENT)).exit_code == 1
    assert run(rules).exit_code == 2


def test_a_file_that_is_too_large_is_refused(rules: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.gz"
    file.write_bytes(gzip.compress(b" " * 20_000_000))
    result = run(rules, "--event", file)
    assert result.exit_code == 2
    assert "at most 16,777,216 bytes" in result.stderr


def test_deployments_come_from_a_configuration(rules: Path, tmp_path: Path) -> None:
    config = tmp_path / "remediator.toml"
    config.write_text(
        '[[feed]]\nname = "main"\nbootstrap_servers = "a:9092"\ntopics = ["t"]\n'
        '[[deployment]]\nname = "prod"\nfeed = "main"\nnamespaces = ["ns"]\n'
    )
    event = json.dumps({**EVENT, "namespace": "ns"})
    assert final_of(run(rules, "--event", "-", "--json", "-c", config, given=event))["deployment"] == "prod"
    assert final_of(run(rules, "--event", "-", "--json", given=event))["deployment"] == "ns"


# A daemon -----------------------------------------------------------------------------------------------------------


def test_a_daemon_is_asked(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps({**recorded(), "topic": "lineage"}))
    result = served.run("rules", "explain", "--event", str(file), "--json")
    assert [view["type"] for view in json.loads(result.stdout)["events"]] == ["task.failed", "task.failed_finally"]
    (event, topic, rules) = served.daemon.explained[0]
    assert (event.type, event.deployment, topic, rules) == ("task.failed", "", "lineage", [])
    result = served.run("rules", "explain", "--event", str(file), "--rule", "nonsense")
    assert (result.exit_code, result.stderr) == (2, "remediator says: no active rule has the id 'nonsense'\n")
    result = served.run("rules", "explain", "--event", str(file), token="wrong")
    assert result.exit_code == 2
    assert TOKEN not in result.output


def test_the_terminal_obeys_nothing_from_an_event() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\r\nfake line\u202e"
    check = {"name": hostile, "verdict": "no", "text": hostile}
    leaf = {
        "field": hostile,
        "condition": hostile,
        "value": hostile,
        "verdict": "no",
        "reason": hostile,
        "children": [],
    }
    step = {"step": hostile, "action": hostile, "to": hostile, "verdict": "no", "checks": [check]}
    rule = {
        "rule": hostile, "role": "responds", "text": hostile, "file": hostile, "line": 1, "state": [check],
        "clauses": [leaf, {**leaf, "children": [{**leaf, "value": [hostile], "verdict": "error"}]}], "steps": [step],
        "incident": {"id": hostile, "episode": 1, "failures": 2, "told": [hostile]},
    }  # fmt: skip
    view = {
        "type": hostile, "given": "x", "time": hostile, "deployment": hostile, "dag_id": hostile, "task_id": hostile,
        "outcome": hostile, "checks": [check], "rules": [rule], "left_off": 1, "silent": 1,
    }  # fmt: skip
    for line in explained_lines([view, {**view, "given": hostile}]):
        assert line.isprintable()
