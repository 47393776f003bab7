"""Commands about files, and what every command does with bad arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from remediator import __version__
from remediator.cli.main import build

ROOT = Path(__file__).parents[3]
FEED = '[[feed]]\nname = "main"\nbootstrap_servers = "a:9092"\ntopics = ["t"]\n'
RULE = """
[[rule]]
id = "reset"
summary = "Connection resets"
on = "task.failed_finally"
where = { "error.message" = { matches = "reset" } }
[[rule.do]]
action = "page"
to = "oncall"
"""
CASES = """
[[case]]
name = "a reset"
event = { type = "task.failed_finally", error = { message = "connection reset by peer" } }
expect = "reset"
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(one) for one in arguments])


def test_version() -> None:
    assert __version__ in run("version").stdout
    assert json.loads(run("version", "--json").stdout)["remediator"] == __version__


def test_help_lists_every_command() -> None:
    text = run("--help").stdout
    for name in ("run", "status", "freeze", "explain", "incidents", "config", "rules", "demo", "version"):
        assert f" {name} " in text


def test_the_example_configuration_is_fine() -> None:
    result = run("config", "check", ROOT / "config.example.toml")
    assert result.exit_code == 0
    assert "fine: 1 feeds, 1 deployments (0 may be changed)" in result.stdout


def test_config_faults_are_all_printed(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[http]\nport = 'x'\n[loge]\n")
    result = run("config", "check", file)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    assert f"{file}:2: http port" in result.stdout
    body = json.loads(run("config", "check", file, "--json").stdout)
    assert body["ok"] is False
    assert {fault["line"] for fault in body["faults"]} == {1, 2, 3}


def test_secrets_need_not_be_there_in_ci(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    file = tmp_path / "remediator.toml"
    file.write_text(FEED + '[http]\ntoken = { env = "NO_SUCH_VARIABLE" }\n')
    assert run("config", "check", file).exit_code == 1
    assert run("config", "check", file, "--without-secrets").exit_code == 0


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "reset.toml").write_text(RULE)
    (folder / "reset.test.toml").write_text(CASES)
    return folder


def test_rules_that_are_fine(rules: Path) -> None:
    result = run("rules", "lint", rules)
    assert result.exit_code == 0
    assert "1 rules, fine" in result.stdout
    body = json.loads(run("rules", "lint", rules, "--json").stdout)
    assert (body["ok"], body["rules"], body["faults"], body["warnings"]) == (True, 1, [], [])


def test_rules_with_faults(rules: Path) -> None:
    (rules / "bad.toml").write_text('[[rule]]\nid = "x"\nonn = "task.failed"\n')
    result = run("rules", "lint", rules)
    assert result.exit_code == 1
    assert f'{rules / "bad.toml"}:3: rule "x": found unknown key onn' in result.stdout
    assert json.loads(run("rules", "lint", rules, "--json").stdout)["ok"] is False


def test_rules_that_load_and_can_never_match(rules: Path) -> None:
    file = rules / "never.toml"
    where = 'where = { dag_id = { equals = "a", not = "a" } }'
    file.write_text(f'[[rule]]\nid = "x"\non = "task.failed"\n{where}\ndo = [{{ action = "log" }}]\n')
    result = run("rules", "lint", rules)
    assert result.exit_code == 1
    assert result.stdout.startswith(f'{file}:4: rule "x" where dag_id: found "a" and not "a"; allowed: ')
    assert "2 rules, 1 faults, 0 warnings" in result.stdout
    body = json.loads(run("rules", "lint", rules, "--json").stdout)
    assert (body["ok"], [fault["code"] for fault in body["faults"]]) == (False, ["never-matches"])
    assert body["faults"][0]["file"] == str(file)


def test_warnings_fail_only_if_they_are_asked_to(rules: Path) -> None:
    (rules / "typo.toml").write_text('[[rule]]\nid = "x"\non = "task.faild"\ndo = [{ action = "log" }]\n')
    result = run("rules", "lint", rules)
    assert result.exit_code == 0
    assert "did you mean task.failed?) [warning: unknown-type]" in result.stdout
    assert run("rules", "lint", rules, "--strict").exit_code == 1
    body = json.loads(run("rules", "lint", rules, "--strict", "--json").stdout)
    assert (body["ok"], body["faults"], len(body["warnings"])) == (False, [], 1)


def test_routes_and_deployments_are_checked_against_a_configuration(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    config = tmp_path / "remediator.toml"
    config.write_text(FEED)
    result = run("rules", "lint", rules, "--config", config)
    assert result.exit_code == 1
    assert "oncall" in result.stdout
    deployment = '[[deployment]]\nname = "prod"\nfeed = "main"\nnamespaces = ["*"]\n'
    config.write_text(FEED + '[routes.oncall]\ndestinations = [{ kind = "log" }]\n' + deployment)
    text = (rules / "reset.toml").read_text().replace("where = {", 'where = { deployment = "prd",')
    (rules / "reset.toml").write_text(text)
    assert run("rules", "lint", rules).exit_code == 0
    result = run("rules", "lint", rules, "--config", config)
    assert result.exit_code == 0
    assert "(did you mean prod?) [warning: unknown-deployment]" in result.stdout


def test_the_shipped_packs_are_fine() -> None:
    result = run("rules", "lint", ROOT / "rules", "--strict")
    assert result.exit_code == 0, result.stdout


def test_the_schema_is_printed() -> None:
    result = run("rules", "schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_graphs(rules: Path) -> None:
    result = run("rules", "graph", rules)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "flowchart LR")
    assert '("oncall")' in result.stdout
    assert run("rules", "graph", rules, "--format", "dot").stdout.startswith("digraph rules {")
    assert run("rules", "graph", rules, "--format", "png").exit_code == 2
    (rules / "bad.toml").write_text("[[rule]]\n")
    assert run("rules", "graph", rules).exit_code == 1


def test_rule_tests_that_pass(rules: Path) -> None:
    result = run("rules", "test", rules)
    assert (result.exit_code, result.stdout) == (0, "1 cases, 0 failed\n")
    assert run("rules", "test", rules / "reset.toml").exit_code == 0


def test_rule_tests_that_fail(rules: Path) -> None:
    (rules / "reset.test.toml").write_text(CASES.replace('expect = "reset"', 'expect = "unclassified"'))
    result = run("rules", "test", rules)
    assert result.exit_code == 1
    assert "a reset: expected unclassified, got reset" in result.stdout
    assert "1 cases, 1 failed" in result.stdout


def test_the_shipped_packs_pass_their_tests() -> None:
    result = run("rules", "test", ROOT / "rules")
    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize("command", ["lint", "test", "graph"])
def test_nothing_to_look_at(tmp_path: Path, command: str) -> None:
    assert run("rules", command, tmp_path).exit_code == 2
    assert run("rules", command, tmp_path / "nowhere").exit_code == 1
    assert run("rules", command).exit_code == 2


def test_rules_without_tests(rules: Path) -> None:
    (rules / "reset.test.toml").unlink()
    assert run("rules", "test", rules).exit_code == 2


def test_run_names_every_fault_and_starts_nothing(tmp_path: Path) -> None:
    pytest.importorskip("remediator.runtime.app")
    file = tmp_path / "bad.toml"
    file.write_text("[http]\nport = 'x'\n")
    result = run("run", "--config", file)
    assert result.exit_code == 2
    assert "no [[feed]]" in result.stderr
    assert "http port" in result.stderr


@pytest.mark.parametrize("arguments", [["freeze"], ["freeze", "maybe"], ["explain"], ["incidents", "--limit", "0"]])
def test_bad_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["replay", "restore", "audit verify"])
def test_a_store_that_is_not_there_is_not_made_by_looking_at_it(tmp_path: Path, command: str) -> None:
    config = stored_at(tmp_path)
    given = [*command.split(), "--store-of" if command.startswith("audit") else "--config", str(config)]
    result = CliRunner().invoke(build(), given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"store: {tmp_path / 'store.db'}: there is no such file" in result.stderr
    assert not (tmp_path / "store.db").exists()


def test_a_restore_that_would_be_made_looks_at_the_backup_first(tmp_path: Path) -> None:
    config = stored_at(tmp_path)
    result = CliRunner().invoke(build(), ["restore", "--config", str(config), "--from", str(config)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not a database" in result.stderr


def stored_at(folder: Path) -> Path:
    """A configuration whose store would be store.db in the folder."""
    (folder / "rules").mkdir()
    config = folder / "remediator.toml"
    config.write_text(
        f'[store]\nurl = "sqlite:///{folder / "store.db"}"\n'
        '[[feed]]\nname = "a"\nbootstrap_servers = ["127.0.0.1:1"]\ntopics = ["t"]\n'
        '[[deployment]]\nname = "d"\nfeed = "a"\nnamespaces = ["*"]\n'
    )
    return config
