"""[deployment.api]: versions, rates, and what surveys of it find."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.config.load import load_config
from remediator.config.settings import AirflowApi, Config
from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import FleetState
from remediator.model.action import Action, Survey
from remediator.model.inputs import Surveyed
from remediator.model.time import MINUTE, parse_instant
from remediator.rules.faults import Faults
from remediator.runtime.wiring import make_outside

NOW = parse_instant("2026-11-22T07:20:00Z")
BEFORE = """
[[feed]]
name = "main"
bootstrap_servers = ["a:9092"]
topics = ["t"]
[[deployment]]
name = "prod"
feed = "main"
topics = ["t"]
[deployment.api]
url = "{url}"
token = {{ env = "TOKEN" }}
"""


def load(folder: Path, api: str, url: str = "https://org.astronomer.run/deployment") -> Config:
    (folder / "rules").mkdir()
    path = folder / "config.toml"
    path.write_text(BEFORE.format(url=url) + api)
    return load_config(path, {"TOKEN": "abc"})


def api_of(config: Config) -> AirflowApi:
    api = config.deployments[0].api
    assert api is not None
    return api


def test_defaults(tmp_path: Path) -> None:
    api = api_of(load(tmp_path, ""))
    assert (api.api_version, api.requests_per_second, api.queued_too_long, api.must_run) == ("v2", 0, 10 * MINUTE, ())


async def test_what_it_says_is_what_is_asked(tmp_path: Path) -> None:
    """A hosted Airflow 2, whose version is found out, with a DAG paused that must run and a task that waits."""
    state = FleetState()
    state.add_dag(DagSpec("a_daily", (TaskSpec("load"),)))
    state.paused.add("a_daily")
    load_task = state.add_run("a_daily", "r", NOW).tasks["load", -1]
    load_task.state, load_task.queued_at = "queued", NOW - 15 * MINUTE
    fleet = FleetApi(state, lambda: NOW, api="v1")
    fleet.accounts.accept("abc", "admin")
    rates = "requests_per_second = 100.0\nmax_concurrency = 3\n"
    async with serving(fleet) as url:
        surveys = 'api_version = "auto"\nqueued_too_long = "12m"\nmust_run = ["a_*"]\n'
        outside = make_outside(load(tmp_path, rates + surveys, url), print)
        ask = Action("s", "l", "world", "prod", Survey(), 0, 0)
        (answer,) = await outside.questioners["airflow.survey"].ask([ask], NOW)
        await outside.close()
    assert isinstance(answer, Surveyed)
    assert [one.type for one in answer.findings] == ["dag.paused_unexpectedly", "task.queued_too_long"]
    assert {"airflow.look", "airflow.sweep", "airflow.survey", "airflow.log", "preview"} <= set(outside.questioners)


@pytest.mark.parametrize(
    ("api", "found"),
    [
        ('api_version = "v3"\n', 'api_version: found "v3"'),
        ("requests_per_second = -1\n", "requests_per_second: found -1"),
        ('queued_too_long = "1s"\n', 'queued_too_long: found "1s"'),
        ("must_run = 5\n", "must_run: found 5"),
    ],
)
def test_faults(tmp_path: Path, api: str, found: str) -> None:
    with pytest.raises(Faults, match=found):
        load(tmp_path, api)
