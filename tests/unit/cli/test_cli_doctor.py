"""What doctor concludes from what it found, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from remediator.actions.airflow.errors import Answered, Lost
from remediator.cli.doctor import check_lines, schema_check, status_checks
from remediator.cli.doctor_airflow import role_text, silent_text, skew_check
from remediator.cli.doctor_check import fail, ok
from remediator.cli.doctor_feeds import Sampled, lag_check, sample_checks, take, topic_checks
from remediator.cli.doctor_group import Member, group_check, own_members
from remediator.cli.main import build
from remediator.config.settings import Config, Feed, StoreSettings
from remediator.model.event import Event
from remediator.model.policy import Policy
from remediator.model.time import SECOND
from remediator.store.inspect import Schema, schema_of
from remediator.store.port import StoreError
from remediator.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
FEED = Feed("main", ("b:1",), topics=("t",))


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (-1, "ok"), (5, "ok"), (7, "warn"), (-8, "warn"), (60, "warn"), (90, "fail"), (-3600, "fail")],
)
def test_clocks(seconds: int, status: str) -> None:
    assert skew_check("prod", NOW - seconds * SECOND, NOW).status == status


def test_a_server_without_a_clock() -> None:
    assert skew_check("prod", None, NOW).status == "warn"


def test_what_a_refusal_asks_for() -> None:
    assert "role Op" in role_text(Answered(403, "Forbidden"), "Op")
    assert "password" in role_text(Answered(401, "no"), "Op")
    assert "log" in role_text(Lost("cut"), "Op")


def test_refused_credentials_are_not_taken_for_a_wrong_address() -> None:
    refused, todo = silent_text(Answered(401, "Invalid credentials"))
    assert "refuses the credentials" in refused
    assert "password" in todo
    assert "url" in silent_text(Lost("cut"))[1]


@pytest.mark.parametrize(("found", "status"), [(None, "warn"), (0, "warn"), (1, "warn"), (2, "ok"), (3, "fail")])
def test_schemas(found: int | None, status: str) -> None:
    assert schema_check("sqlite", Schema(found, 2)).status == status


async def test_a_schema_is_looked_at_and_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    newest = (await schema_of(url)).newest
    assert await schema_of(url) == Schema(None, newest)
    assert not (tmp_path / "store.db").exists()
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    assert await schema_of(url) == Schema(newest, newest)
    await store.close()
    (tmp_path / "other.db").write_bytes(b"no database at all, but long enough to look like one" * 10)
    with pytest.raises(StoreError, match="not a database"):
        await schema_of(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(StoreError, match=r"^postgresql://u@127.0.0.1:1/d"):
        await schema_of("postgresql://u@127.0.0.1:1/d")


def test_topics() -> None:
    assert topic_checks(FEED, {"t", "u"})[1] == ["t"]
    [missing], topics = topic_checks(FEED, {"u"})
    assert (missing.status, topics) == ("fail", [])
    pattern = Feed("main", ("b:1",), topic_pattern="t.*")
    assert topic_checks(pattern, {"ta", "tb", "u"})[1] == ["ta", "tb"]
    assert topic_checks(pattern, {"u"})[0][0].status == "warn"


def test_lag() -> None:
    ends = {TopicPartition("t", 0): 20_000, TopicPartition("t", 1): 5}
    assert lag_check("lag", {"t": {}}, ends).status == "warn"
    assert lag_check("lag", {"t": {0: 19_999, 1: 7}}, ends).text == "1 records behind"
    assert lag_check("lag", {"t": {0: 1}}, ends).status == "warn"


def test_namespaces_that_nobody_claims() -> None:
    sampled = Sampled()
    owners = {"known": ("prod", ("prod",)), "both": ("", ("prod", "test"))}
    for namespace in ("known", "both", "strange", "strange"):
        event = Event("task.failed", NOW, namespace=namespace)
        take(sampled, [event], lambda event, topic: owners.get(event.namespace or "", ("", ())), "t")
    take(sampled, "not JSON", lambda event, topic: ("", ()), "t")
    checks = {(check.name, check.status): check.text for check in sample_checks(FEED, sampled)}
    assert checks[("feed main: records", "warn")] == "4 of the latest 5 records are understood"
    texts = [check.text for check in sample_checks(FEED, sampled) if check.name == "feed main: namespaces"]
    assert texts == ["no deployment claims 'strange' on t (2)", "several deployments claim 'both' on t (1)"]
    assert sample_checks(FEED, Sampled())[0].status == "warn"


def status(**more: Any) -> dict[str, Any]:
    return {"version": "1", "incidents_open": 0, "frozen": False, "feeds": {}, "deployments": {}, **more}


@pytest.mark.parametrize(
    ("view", "statuses"),
    [
        (status(), ["ok"]),
        (status(frozen=True), ["warn"]),
        (status(store_failing=["store: controller: database or disk is full"]), ["ok", "fail"]),
        (status(feeds={"main": {"blind": True, "problem": ""}}), ["ok", "fail"]),
        (status(feeds={"main": {"blind": False, "problem": ""}}), ["ok"]),
        (status(deployments={"p": {"failures_last_hour": 0, "unannounced_last_hour": 0}}), ["ok"]),
        (status(deployments={"p": {"failures_last_hour": 30, "unannounced_last_hour": 4}}), ["ok", "ok"]),
        (status(deployments={"p": {"failures_last_hour": 20, "unannounced_last_hour": 5}}), ["ok", "warn"]),
    ],
)
def test_what_the_daemon_says(view: dict[str, Any], statuses: list[str]) -> None:
    assert [check.status for check in status_checks(view)] == statuses


def test_the_table_says_what_to_do_and_obeys_no_terminal() -> None:
    lines = list(check_lines([ok("a", "fine"), fail("b", "broken\x1b[2J", "mend it")]))
    assert lines == ["OK    a  fine", "FAIL  b  broken [2J", "", "to do", "  b: mend it"]
    twice = [fail("a", "one", "mend it"), fail("a", "two", "mend it")]
    assert list(check_lines(twice))[-2:] == ["to do", "  a: mend it"]


def test_a_bad_configuration_is_the_only_check(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[daemon]\ncolour = 1\n")
    result = CliRunner().invoke(build(), ["doctor", "--config", str(config)])
    assert result.exit_code == 1
    assert "colour" in result.stdout


def test_members_that_cannot_be_this_stores() -> None:
    one, other = Member("remediator-1", "remediator", "/10.0.0.7"), Member("remediator-2")
    assert group_check("g", "remediator", [], 1) == ok("g", "nobody reads with group 'remediator' now")
    alone = ok("g", "1 reads with group 'remediator': remediator at /10.0.0.7")
    assert group_check("g", "remediator", [one], 1) == alone
    found = group_check("g", "remediator", [one, other], 1)
    named = "2 read with group 'remediator': remediator at /10.0.0.7, remediator-2"
    assert (found.status, found.text) == ("warn", f"{named}; with SQLite 1 can be this store's")
    assert "a group of its own" in found.todo
    assert group_check("g", "remediator", [one, other], None).status == "ok"


def test_how_many_members_a_store_can_have() -> None:
    feeds = (FEED, Feed("more", ("b:1", "c:1"), topics=("u",)), Feed("else", ("d:1",), topics=("t",)),
             Feed("apart", ("b:1",), topics=("t",), group="own"))  # fmt: skip
    config = Config(Path(), feeds, Policy(), store=StoreSettings("sqlite:///a.db"))
    assert [own_members(config, feed) for feed in feeds] == [2, 2, 1, 1]
    shared = Config(Path(), feeds, Policy(), store=StoreSettings("postgresql://db/r"))
    assert own_members(shared, FEED) is None
