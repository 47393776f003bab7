"""Where a crash may fall: how actions and points are called, and that each point and each action is used once."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.model.action import Action, Pause, Pool, Request, Rerun, Retry
from remediator.model.action import Change as Params
from remediator.testing.crash import Crash, label_of


def action(params: Params, name: str = "one") -> Action:
    return Action(name, "lane", "key", "prod", params, 0, 1)


@pytest.mark.parametrize(
    ("params", "label"),
    [
        (Rerun("dag", "run"), "airflow.rerun"),
        (Pause("dag", why="rule"), "airflow.pause"),
        (Pause("dag", paused=False, why="rule"), "airflow.resume"),
        (Pause("dag", paused=False, why="undone"), "airflow.pause undo"),
        (Pool("pool", 4, 8, "undone"), "airflow.pool undo"),
        (Request("tickets"), "http.request tickets"),
    ],
)
def test_labels(params: Params, label: str) -> None:
    assert label_of(action(params)) == label


@pytest.mark.parametrize("point", ["airflow.pool before", "airflow.pool 0:sent", "airflow.pool 1:gone", "intent"])
def test_a_point_that_does_not_exist_is_refused(point: str) -> None:
    with pytest.raises(SystemExit, match="allowed: intent:before"):
        Crash([point])


def test_each_point_is_used_once_and_each_action_is_killed_once(tmp_path: Path) -> None:
    points = ["airflow.pool intent:before", "airflow.pool 1:sent"]
    killed: list[str] = []
    for passing in (("one", "intent:before"), ("two", "intent:before"), ("one", "1:sent"), ("two", "1:sent")):
        # Every life reads anew what the ones before it have left.
        name, moment = passing
        crash = Crash(points, tmp_path)
        crash.at(action(Pool("pool", 4), name), moment, lambda passing=passing: killed.append(" ".join(passing)))
    assert killed == ["one intent:before", "two 1:sent"]


def test_without_a_folder_a_moment_alone_is_one_of_a_retry() -> None:
    killed: list[str] = []
    crash = Crash(["call:after"])
    crash.at(action(Rerun("dag", "run")), "call:after", lambda: killed.append("rerun"))
    crash.at(action(Retry("dag", "run", ())), "call:after", lambda: killed.append("retry"))
    assert killed == ["retry"]
