"""Commands against a daemon that listens on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from remediator.cli.explain import story_lines
from remediator.cli.main import build
from remediator.web.views import story_view
from tests.contract.people.told import OPEN
from tests.unit.cli.serving import TOKEN, Served, served
from tests.unit.web.surface import ACTIONS, DECISIONS

__all__ = ["served"]


def test_status(served: Served) -> None:
    result = served.run("status")
    assert result.exit_code == 0
    assert "journal          decided 11 of 12 (2.0 s behind)" in result.stdout
    assert "feed main        healthy, complete up to 12.0 s ago" in result.stdout
    assert "outbox           slack.message 1" in result.stdout
    assert "rule_set         abc123" in result.stdout
    assert json.loads(served.run("status", "--json").stdout)["frozen"] is False


def test_freeze_and_thaw_are_journalled_with_who_and_why(served: Served) -> None:
    assert served.run("freeze", "on", "--reason", "migration").stdout.startswith("frozen:")
    assert served.run("freeze", "off").stdout == "not frozen\n"
    (on, actor, reason), (off, _, _) = served.daemon.pressed
    assert (on, reason, off) == (True, "migration", False)
    assert actor.endswith("(cli)")


def test_incidents(served: Served) -> None:
    result = served.run("incidents", "--all", "--limit", "3")
    head, line = result.stdout.splitlines()
    assert head.startswith("ID ")
    assert line.startswith("5f0c1d2e3a4b  error")
    assert "orders/load" in line
    assert served.daemon.asked == [(False, 3)]
    assert json.loads(served.run("incidents", "--json").stdout)[0]["id"] == OPEN.id


def test_explain_tells_a_numbered_story(served: Served) -> None:
    result = served.run("explain", "--incident", OPEN.id[:8])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == OPEN.title
    assert any(line.startswith("  1. ") and "suspected" in line for line in lines)
    assert any(line.startswith("  3. ") and "retry_planned" in line and "(+2.0s)" in line for line in lines)
    assert any("→ airflow.retry on prod: delivered, 1 task cleared" in line for line in lines)
    assert len(json.loads(served.run("explain", "-i", OPEN.id, "--json").stdout)["decisions"]) == 3


def test_an_unknown_incident(served: Served) -> None:
    result = served.run("explain", "--incident", "../status")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_token_says_what_to_do(served: Served) -> None:
    result = served.run("status", token="wrong")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "REMEDIATOR_TOKEN" in result.stderr
    assert "wrong" not in result.stderr


def test_address_and_token_from_the_configuration(served: Served, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    config = tmp_path / "remediator.toml"
    port = served.url.rpartition(":")[2]
    config.write_text(f'[http]\nhost = "0.0.0.0"\nport = {port}\ntoken = {{ file = "token" }}\n')
    result = CliRunner().invoke(build(), ["status", "--config", str(config)])
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://", "nonsense", "http://[::1", "ftp://127.0.0.1"])
def test_no_daemon_is_one_clear_line(url: str) -> None:
    result = CliRunner().invoke(build(), ["status", "--url", url])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"cannot reach remediator at {url}")
    assert len(result.stderr.splitlines()) == 1


def test_the_terminal_obeys_nothing_from_an_event() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\r\nfake line\u202e"
    incident = msgspec.structs.replace(OPEN, title=hostile, error=hostile, dag_id=hostile, status=hostile)
    decisions = [msgspec.structs.replace(DECISIONS[0], text=hostile)]
    for line in story_lines(story_view(incident, decisions, ACTIONS)):
        assert line.isprintable()
