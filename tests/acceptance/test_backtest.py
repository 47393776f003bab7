"""`remediator backtest` over the recorded traffic of Airflow 3.3.2: what it says, against what, and its exit codes."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from remediator.cli.main import build
from remediator.demo.broker import EmbeddedBroker, create_topics
from tests.acceptance.harness import PACK, ROOT

CORPUS = ROOT / "tests" / "data" / "corpus" / "openlineage-airflow-3.3.2.ndjson.gz"
LATE = 187
"""Records from 07:13 on."""
KEYS = {"records", "events", "dead_letters", "firings", "actions", "pages", "stopped"}
RETRIED = "transient-network"
FINAL = {
    ("crm_sync", "pull"): (RETRIED, 3),
    ("feature_build", "build_matrix"): ("out-of-memory-error", 2),
    ("feature_build", "child_oom"): ("out-of-memory-killed", 2),
    ("feature_build", "real_limit"): ("out-of-memory-error", 2),
    ("schema_drift", "parse"): ("unclassified", 7),
    ("slow_report", "times_out"): ("unclassified", 3),
    ("partition_load", "load"): ("unclassified", 6),
    ("branchy", "fail_no_retry"): ("unclassified", 3),
    ("killed_job", "killed"): ("unclassified", 3),
    ("killed_job", "killed_with_retry"): ("unclassified", 3),
    ("killed_job", "sysexit"): ("unclassified", 3),
    ("dq_orders", "assert_rows_fail"): ("unclassified", 2),
    ("dq_orders", "check_columns"): ("unclassified", 2),
    ("daily_revenue", "compute"): ("unclassified", 1),
}
"""Every task that failed for good: who answers, and how often.

More than `test_corpus` has, where all records are read after the fact: what somebody cleared later was final before.
"""
PATHS = f'[rules]\npaths = ["{PACK}"]\n'
NO_RULE = (
    '[[rule]]\nid = "none"\non = "task.failed_finally"\nwhere = { dag_id = "nothing" }\n[[rule.do]]\naction = "log"\n'
)


def backtest(*arguments: str | Path, rules: Path = PACK, events: str | Path = CORPUS) -> Result:
    given = ["backtest", "--rules", rules, "--events", events, *arguments]
    return CliRunner().invoke(build(), [str(one) for one in given])


def found(*arguments: str | Path, rules: Path = PACK, events: str | Path = CORPUS) -> dict[str, Any]:
    result = backtest(*arguments, "--json", rules=rules, events=events)
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The shipped rules in a git repository, of which the second commit has one rule less."""
    folder = tmp_path / "repository" / "pack"
    shutil.copytree(PACK, folder)
    git(folder.parent, "init", "-q")
    for message in ("all", "less"):
        git(folder.parent, "add", ".")
        git(folder.parent, "commit", "-q", "-m", message)
        (folder / "network.toml").unlink(missing_ok=True)
        (folder / "network.test.toml").unlink(missing_ok=True)
    shutil.rmtree(folder)
    shutil.copytree(PACK, folder)
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


# -- what it says -------------------------------------------------------------------------------------------------


def test_every_final_failure_of_the_recording_is_answered_as_the_rules_say() -> None:
    value = found("--against", PACK)
    assert value.keys() >= KEYS
    assert (value["records"], value["events"], value["dead_letters"]) == (819, 847, 0)
    paged = [task for task, (rule, _) in FINAL.items() if rule != RETRIED]
    assert (value["pages"], value["actions"], value["stopped"]) == (len(paged), len(paged) + 3, 0)
    by_rule = {one["rule"]: one for one in value["rules"]}
    for rule in {rule for rule, _ in FINAL.values()}:
        assert by_rule[rule]["firings"] == sum(times for name, times in FINAL.values() if name == rule)
    assert (by_rule[RETRIED]["retries"], by_rule[RETRIED]["helped"], by_rule[RETRIED]["pages"]) == (3, 3, 0)
    assert value["incidents"] == {"opened": 16, "open": 12}
    assert value["against"]["counts"] == {"new": 0, "gone": 0, "changed": 0}


def test_each_task_is_treated_by_its_rule(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text(NO_RULE)
    value = found("--against", tmp_path)
    fired = {one["title"]: (one["rule"], one["after"]) for one in value["against"]["new"] if one["effect"] == "fired"}
    expected = {task: treated for task, treated in FINAL.items() if treated[0] != "unclassified"}
    assert fired == {f"airflow-local: {dag}.{task} failed": treated for (dag, task), treated in expected.items()}


def test_people_get_a_table() -> None:
    lines = backtest("--assume", "failed").stdout.splitlines()
    assert lines[0].startswith("819 records, 847 events, 0 dead letters; 2026-11-22T06:50:35Z and 25m39s on")
    assert "assumed of the 3 retries: failed" in lines
    row = next(line.split() for line in lines if line.startswith(RETRIED))
    assert row[1:7] == ["4", ".", "3", ".", "1", "."]
    assert " ".join(row[7:]) == "budget_spent 3, attempts_spent 1"
    assert any("KeyError: 'customer_id'" in line for line in lines)


def test_nothing_is_printed_but_json_when_json_is_asked_for() -> None:
    result = backtest("--json")
    json.loads(result.stdout)
    assert result.stderr == ""


def test_what_observes_would_have_and_can_be_judged_as_if_it_acted(tmp_path: Path) -> None:
    for file in PACK.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text().replace('mode = "act"', 'mode = "observe"'))
    value = found(rules=tmp_path)
    assert {one["rule"]: one["would_have_fired"] for one in value["rules"]}[RETRIED] == 4
    assert sum(one["retries"] for one in value["rules"]) == 0
    promoted, acting = found("--as-if-act", rules=tmp_path), found()
    assert {name: promoted[name] for name in KEYS} == {name: acting[name] for name in KEYS}


def test_a_configuration_says_who_may_be_changed(tmp_path: Path) -> None:
    config = tmp_path / "remediator.toml"
    config.write_text(
        '[[feed]]\nname = "f"\nbootstrap_servers = "a:1"\ntopics = ["openlineage.events"]\n'
        '[[deployment]]\nname = "local"\nfeed = "f"\nnamespaces = ["airflow-*"]\n'
        '[deployment.api]\nurl = "http://127.0.0.1:8181"\nusername = "u"\npassword = { env = "NOT_SET" }\n'
        '[[receiver]]\nname = "pd"\nkind = "pagerduty"\nrouting_key = { env = "NOT_SET_EITHER" }\n'
        '[routes.default]\ndestinations = [{ kind = "pagerduty", receiver = "pd" }]\n' + PATHS
    )
    value = found("--config", config)
    assert value["stopped_by"] == {"ceiling": 4}
    assert value["pages"] == len(FINAL), "each task once: its manual dagruns are one incident, which none of them ends"
    assert value["unmapped"] == {}
    assert found("--config", config, "--as-if-act")["stopped"] == 0


def test_the_same_twice() -> None:
    assert backtest("--json").stdout == backtest("--json").stdout


# -- against ------------------------------------------------------------------------------------------------------


def test_against_a_revision(pack: Path) -> None:
    result = backtest("--against", "HEAD", "--json", rules=pack)
    value = json.loads(result.stdout)["against"]
    assert {one["rule"] for one in value["new"]} == {RETRIED}
    assert {(one["rule"], one["effect"], one["before"]) for one in value["gone"]} == {
        ("unclassified", "unclassified", 4),
        ("unclassified", "paged", 1),
    }
    assert "crm_sync.pull" in value["new"][0]["title"]
    assert value["totals"]["paged"] == {"before": 14, "after": 13}
    assert "no difference" in backtest("--against", "HEAD~1", rules=pack).stdout
    assert "+  transient-network" in backtest("--against", "HEAD", rules=pack).stdout


def test_against_nothing_is_an_error(pack: Path) -> None:
    result = backtest("--against", "nowhere", rules=pack)
    assert result.exit_code == 2
    assert "'nowhere' is neither a path nor a revision" in result.output


# -- limits and errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [("--max-pages", 13), ("--max-actions", 16), ("--max-firings", 9)])
def test_a_limit_that_is_exceeded_is_exit_code_1(limit: tuple[str, int]) -> None:
    name, number = limit
    assert backtest(name, str(number)).exit_code == 0
    result = backtest(name, str(number - 1))
    assert result.exit_code == 1
    assert f"exceeded: {number} {name.removeprefix('--max-')}, at most {number - 1} are allowed" in result.stdout
    assert json.loads(backtest(name, "0", "--json").stdout)["exceeded"][0]["found"] == number


def test_rules_with_faults_are_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[rule]]\nid = 'x'\n")
    result = backtest(rules=tmp_path)
    assert (result.exit_code, "bad.toml:1" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--events", "missing.ndjson"), "missing.ndjson: No such file"),
        (("--events", str(ROOT)), "directory"),
        (("--events", os.devnull), "no record in"),
        (("--events", "kafka"), "give --config"),
        (("--since", "soon"), "'soon': neither"),
        (("--rules", "missing"), "missing: no such file or folder"),
        (("--rules", str(CORPUS.parent)), "no rule file"),
        (("--since", "2030-01-01T00:00:00Z"), "no record in"),
        (("--assume", "luck"), "luck"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2(arguments: tuple[str, str], reason: str) -> None:
    result = backtest(*arguments)
    assert result.exit_code == 2, result.output
    assert reason in result.output


def test_corrupt_lines_are_dead_letters_with_their_number(tmp_path: Path) -> None:
    lines = gzip.decompress(CORPUS.read_bytes()).splitlines()
    lines[4:4] = [b'{"topic": "t", "partition"', b"\xff" * 10, b'{"topic": "t", "timestamp_ms": "x"}']
    lines.append(b'{"specversion": "1.0", "type": "check.failed", "source": "dq", "id": "1"}')
    path = tmp_path / "some.ndjson"
    path.write_bytes(b"\n".join(lines))
    value = found(events=path)
    assert (value["records"], value["dead_letters"], value["events"]) == (823, 3, 848)
    assert [letter["place"] for letter in value["letters"]] == ["line 5", "line 6", "line 7"]
    assert value["pages"] == found()["pages"]
    assert backtest("--max-dead-letters", "2", events=path).exit_code == 1


# -- performs nothing ---------------------------------------------------------------------------------------------


@pytest.mark.subprocesses
def test_nothing_is_performed_and_nothing_is_left(tmp_path: Path) -> None:
    """Its own process, in a folder of its own: no file is written there or into the temporary folder, no call made."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    with listening() as (port, calls):
        (work / "remediator.toml").write_text(
            f'[[feed]]\nname = "f"\nbootstrap_servers = "127.0.0.1:{port}"\ntopics = ["openlineage.events"]\n'
            '[[deployment]]\nname = "local"\nfeed = "f"\nnamespaces = ["*"]\nceiling = "act"\n'
            f'[deployment.api]\nurl = "http://127.0.0.1:{port}"\nusername = "u"\npassword = {{ env = "P" }}\n'
            '[[receiver]]\nname = "pd"\nkind = "pagerduty"\nrouting_key = { env = "K" }\n'
            f'api_url = "http://127.0.0.1:{port}"\n'
            '[routes.default]\ndestinations = [{ kind = "pagerduty", receiver = "pd" }]\n' + PATHS
        )
        before = digests(work)
        done = subprocess.run(
            [sys.executable, "-m", "remediator", "backtest", "--rules", str(PACK), "--events", str(CORPUS),
             "--config", "remediator.toml", "--json"],
            cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "P": "p", "K": "k" * 32},
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        assert json.loads(done.stdout)["actions"] == 16
        assert calls == []
    assert digests(work) == before
    assert list(temporary.iterdir()) == []


def digests(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


class listening:  # noqa: N801  (reads as a verb)
    """A server at which every call of the configuration would arrive."""

    def __enter__(self) -> tuple[int, list[Any]]:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._calls: list[Any] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self._socket.getsockname()[1], self._calls

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
            except OSError:
                return
            connection.close()
            self._calls.append(address)

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


# -- Kafka --------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_kafka(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Path:
    """A configuration whose feed holds the recording, in three partitions."""
    topic = f"backtest-{uuid.uuid4().hex}"
    rows = [json.loads(line) for line in gzip.decompress(CORPUS.read_bytes()).splitlines()]

    async def fill() -> None:
        await create_topics(embedded_broker.bootstrap, {topic: 3})
        async with AIOKafkaProducer(bootstrap_servers=embedded_broker.bootstrap, enable_idempotence=False) as producer:
            for row in rows:
                value, at = row["value"].encode(), row["timestamp_ms"]
                await producer.send(topic, value, partition=row["partition"], timestamp_ms=at)

    asyncio.run(fill())
    config = tmp_path / "remediator.toml"
    config.write_text(
        f'[[feed]]\nname = "f"\nbootstrap_servers = "{embedded_broker.bootstrap}"\ntopics = ["{topic}"]\n'
        '[[deployment]]\nname = "local"\nfeed = "f"\nnamespaces = ["*"]\n'
        + '[routes.default]\ndestinations = [{ kind = "log" }]\n'
        + PATHS
    )
    return config


@pytest.mark.broker
def test_a_feeds_topics_are_read_to_their_present_ends(on_kafka: Path) -> None:
    value = found("--config", on_kafka, "--since", "2026-11-22T00:00:00Z", "--feed", "f", events="kafka")
    assert (value["records"], value["events"], value["dead_letters"]) == (819, 847, 0)
    assert (value["left_unread"], value["disordered"]) == (False, 0)
    of_file = found("--config", on_kafka)
    assert {name: value[name] for name in KEYS} == {name: of_file[name] for name in KEYS}
    late = found("--config", on_kafka, "--since", "2026-11-22T07:13:00Z", events="kafka")
    assert (late["records"], late["begin"][:16]) == (LATE, "2026-11-22T07:13")
    some = found("--config", on_kafka, "--max-records", "100", events="kafka")
    assert (some["records"], some["left_unread"]) == (100, True)


@pytest.mark.broker
def test_a_broker_that_is_not_there_is_exit_code_2(on_kafka: Path) -> None:
    on_kafka.write_text(on_kafka.read_text().replace("bootstrap_servers = ", 'bootstrap_servers = "127.0.0.1:1" # '))
    result = backtest("--config", on_kafka, events="kafka")
    assert result.exit_code == 2
    assert "feed f: cannot connect" in result.output
