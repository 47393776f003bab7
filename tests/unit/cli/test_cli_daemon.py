"""Commands against a daemon that listens on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from remediator.cli.explain import story_lines
from remediator.cli.main import build
from remediator.runtime.story import incident_story
from remediator.runtime.story_action import action_story
from remediator.runtime.story_text import story_json
from tests.contract.people.told import OPEN
from tests.unit.cli.serving import TOKEN, Served, served
from tests.unit.web.surface import ACTIONS, DECISIONS, GROUND

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
    assert actor.endswith("(cli) (api token)")


def test_what_is_typed_wins_over_the_environment(served: Served, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text("[http]\nport = 1\n")
    environment = {"REMEDIATOR_URL": served.url, "REMEDIATOR_TOKEN": TOKEN}
    named = CliRunner().invoke(build(), ["freeze", "on", "--config", str(config)], env=environment)
    assert (named.exit_code, served.daemon.pressed) == (2, [])
    assert "http://127.0.0.1:1" in named.stderr
    missing = CliRunner().invoke(build(), ["freeze", "on", "--config", str(tmp_path / "none.toml")], env=environment)
    assert (missing.exit_code, served.daemon.pressed) == (2, [])
    assert CliRunner().invoke(build(), ["freeze", "on"], env=environment).exit_code == 0
    assert len(served.daemon.pressed) == 1


@pytest.mark.parametrize("token", ["secr3t\n", "secr3t\r\nX-Other: 1", "sécr3t"])
def test_a_token_that_cannot_be_sent_is_named_and_not_shown(served: Served, token: str) -> None:
    environment = {"REMEDIATOR_URL": served.url, "REMEDIATOR_TOKEN": token}
    result = CliRunner().invoke(build(), ["status"], env=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "REMEDIATOR_TOKEN" in result.stderr
    assert "cr3t" not in result.stderr


@pytest.mark.parametrize("command", [["status"], ["freeze", "on"]])
def test_a_server_that_knows_no_such_path_is_not_taken_for_remediator(served: Served, command: list[str]) -> None:
    environment = {"REMEDIATOR_URL": f"{served.url}/elsewhere", "REMEDIATOR_TOKEN": TOKEN}
    result = CliRunner().invoke(build(), command, env=environment)
    assert result.exit_code == 2
    assert f"/api/v1/{command[0]}: it is not remediator, or another version of it" in result.stderr


def test_incidents(served: Served) -> None:
    result = served.run("incidents", "--all", "--limit", "3")
    head, line = result.stdout.splitlines()
    assert head.startswith("ID ")
    assert head.split()[:3] == ["ID", "EPISODE", "SEVERITY"]
    assert line.split()[:3] == ["5f0c1d2e3a4b", "1", "error"]
    assert "orders/load" in line
    assert served.daemon.asked == [(False, 3)]
    assert json.loads(served.run("incidents", "--json").stdout)[0]["id"] == OPEN.id


def test_explain_tells_what_is_wrong_done_and_left_first(served: Served) -> None:
    result = served.run("explain", "--incident", OPEN.id[:8])
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["WRONG", "DONE", "LEFT"]
    assert OPEN.title in lines[0]
    assert any("+2.0s  A retry is planned: attempt 1 of 3 in 30s." in line for line in lines)
    assert len(json.loads(served.run("explain", "-i", OPEN.id, "--json").stdout)["decisions"]) == 3


def test_explain_tells_of_one_action(served: Served) -> None:
    result = served.run("explain", "--action", "act1")
    assert result.exit_code == 0, result.stderr
    assert "action       act1, retry (airflow.retry)" in result.stdout
    assert json.loads(served.run("explain", "-a", "act1", "--json").stdout)["action"]["state"] == "delivered"


@pytest.mark.parametrize("given", [("--incident", "../status"), ("--incident", "nope"), ("--action", "nope")])
def test_an_unknown_id_is_one_line_and_exit_code_1(served: Served, given: tuple[str, str]) -> None:
    result = served.run("explain", *given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_an_id_that_names_several_lists_them(served: Served) -> None:
    result = served.run("explain", "--incident", "5")
    assert result.exit_code == 1
    head, first, second = result.stderr.splitlines()
    assert head == "remediator says: 2 incidents begin with '5'"
    assert first.strip() == f"{OPEN.id}  {OPEN.title}"
    assert second.isprintable()


@pytest.mark.parametrize("given", [(), ("--incident", "5f", "--action", "act1")])
def test_exactly_one_of_incident_and_action_is_explained(served: Served, given: tuple[str, ...]) -> None:
    result = served.run("explain", *given)
    assert result.exit_code == 2
    assert "either --incident ID or --action ID" in result.stderr


@pytest.mark.parametrize(("token", "said"), [("wrong", "asks for another token than"), ("", "asks for a token: set")])
def test_a_wrong_token_or_none_says_what_to_do(served: Served, token: str, said: str) -> None:
    result = served.run("status", token=token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
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
    written = url.replace("://", "://ada:hunter2@")
    result = CliRunner().invoke(build(), ["status", "--url", written])
    assert result.stderr.startswith(f"cannot reach remediator at {url}")
    assert "hunter2" not in result.output
    assert len(result.stderr.splitlines()) == 1


def test_the_terminal_obeys_nothing_from_an_event() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\r\nfake line\u202e"
    incident = msgspec.structs.replace(
        OPEN, title=hostile, error=hostile, dag_id=hostile, status=hostile, log_tail=f"{hostile}\n{hostile}"
    )
    decisions = [msgspec.structs.replace(DECISIONS[0], text=hostile)]
    rows = [msgspec.structs.replace(ACTIONS[0], detail=hostile)]
    ground = msgspec.structs.replace(GROUND, incident=incident, decisions=tuple(decisions), actions=tuple(rows))
    for story in (incident_story(ground), action_story(ground, rows[0])):
        for line in story_lines({"story": story_json(story)}):
            assert line.isprintable()


COMMANDS = (
    ["status"],
    ["freeze", "on"],
    ["incidents"],
    ["report"],
    ["unmatched"],
    ["explain", "-i", "abc"],
    ["audit", "export"],
    ["audit", "verify"],
    ["approvals", "list"],
    ["approvals", "show", "abc"],
    ["approvals", "approve", "abc"],
)


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """The address of a server that says the same to whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  (named by the base class)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=20)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"{}"])
def test_what_is_not_remediators_answer_is_taken_for_none(body: bytes) -> None:
    with answering(body) as url:
        for command in COMMANDS:
            result = CliRunner().invoke(build(), [*command, "--url", url])
            assert (result.exit_code, result.stdout) == (2, ""), command
            assert "is not remediator, or another version of it" in result.stderr


@pytest.mark.parametrize("status", [404, 500, 502])
def test_an_error_that_is_not_remediators_is_not_put_into_its_mouth(status: int) -> None:
    with answering(b"<html>", status) as url:
        for command in COMMANDS:
            result = CliRunner().invoke(build(), [*command, "--url", url])
            assert (result.exit_code, result.stdout) == (2, ""), command
            assert f"what answers at {url} says HTTP {status} and no more" in result.stderr


def test_doctor_says_so_too(tmp_path: Path) -> None:
    config = tmp_path / "remediator.toml"
    (tmp_path / "rules").mkdir()
    with answering(b"<html>") as url:
        port = url.rpartition(":")[2]
        config.write_text(
            f'[http]\nport = {port}\n[[feed]]\nname = "a"\nbootstrap_servers = ["127.0.0.1:1"]\ntopics = ["t"]\n'
            '[[deployment]]\nname = "d"\nfeed = "a"\nnamespaces = ["*"]\n'
        )
        checks = json.loads(CliRunner().invoke(build(), ["doctor", "-c", str(config), "--json"]).stdout)["checks"]
    [daemon] = [one for one in checks if one["name"] == "daemon"]
    assert (daemon["status"], daemon["text"]) == ("fail", f"what answers at {url} is not remediator")
